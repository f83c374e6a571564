"""Images from a source to batches (pipeline), and their distortion (augment)."""
