"""Timing one iteration on every backend, verified first."""
