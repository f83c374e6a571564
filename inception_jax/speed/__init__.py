"""Measured speed, costs of compiled programs, and rooflines."""
