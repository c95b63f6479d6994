"""The gates as blocking asset checks: thin, they call the core, record the verdict and show it."""
