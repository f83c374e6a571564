"""The process: files, messages, memory, signals, other processes, flags of XLA."""
