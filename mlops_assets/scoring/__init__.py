"""Batch scoring: a file of rows becomes a file of predictions, by the version that serves, exactly once."""
