"""Images from a source to batches of crops."""
