"""The train step and the evaluation step as pure functions, and their parts."""
