"""The fleet: one folder per model."""
