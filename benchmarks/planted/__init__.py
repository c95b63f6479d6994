"""Real candidates with planted faults, and without: what ``benchmarks/gates.py`` sends through the gates."""
