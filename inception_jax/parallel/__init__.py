"""Devices, shardings, and steps compiled over several devices."""
