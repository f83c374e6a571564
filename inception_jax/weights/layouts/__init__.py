"""The layouts of other libraries, a file each."""
