"""Metrics with intervals, slices, and the comparison with the champion."""
