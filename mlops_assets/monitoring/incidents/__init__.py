"""Incidents: alarms that have one cause are one matter, with an owner, a severity, a life and a timeline."""
