"""One run: its preparation, its training loop and its summary."""
