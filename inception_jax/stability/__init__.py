"""Section 3.3 as pure functions: diagnostics, verdicts, probes and curvature."""
