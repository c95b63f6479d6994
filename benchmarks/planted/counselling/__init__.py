"""Marriages of the readers of a magazine: a real survey."""
