"""A run on disk: its folder, identity, records, checkpoints and outcome."""
