"""Weight files, and conversion from and to the layouts of other libraries."""
