"""The commands, a file each: `arguments` declares the options, and `run` checks them
and returns the work itself.

Imports are inside `run`, so that help is instant and a command loads only the modules
that it needs.
"""
