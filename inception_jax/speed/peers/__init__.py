"""Programs of other libraries that are measured beside ours, each in its own process.

They import nothing of this package: their interpreter may have other packages. What
they share with our own is `serving`, which lies beside them.
"""
