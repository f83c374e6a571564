"""A run on disk: its folder, identity, records and checkpoints."""
