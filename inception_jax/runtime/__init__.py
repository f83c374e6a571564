"""The process and its files: messages, memory, signals, other processes, compilers."""
