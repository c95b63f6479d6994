"""Alarms: what moved more than chance and a model's own history account for, within a promised budget."""
