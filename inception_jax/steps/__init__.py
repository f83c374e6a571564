"""The pure steps of a run, the train step and the evaluation step, and their parts."""
