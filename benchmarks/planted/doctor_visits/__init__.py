"""Visits to doctors in the RAND Health Insurance Experiment: real people, real plans."""
