"""The commands, a file each: `arguments` declares them, `run` does all that a mistake
can stop and returns the work itself.

Imports stand inside `run`, so that help is instant and a command loads only what it
needs.
"""
