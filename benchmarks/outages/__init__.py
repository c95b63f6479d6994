"""Faults upstream of a fleet of models, and the alarms that come of them: for ``benchmarks/incidents.py``."""
