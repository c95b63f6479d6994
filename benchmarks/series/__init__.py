"""Real supervised series, one file for each source of rows."""
