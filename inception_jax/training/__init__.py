"""One run, from preparation over the training loop to its summary."""
