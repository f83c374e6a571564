"""Reports of runs and sweeps: tables, sentences, figures and one HTML page."""
