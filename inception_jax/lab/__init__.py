"""Experiments on runs: sweeps, forks, replays and probes."""
