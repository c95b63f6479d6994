"""What alarms are tried on, and who is tried: columns, streams of windows, judges."""
