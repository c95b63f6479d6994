"""One model, one window: what was served, what moved, whether it did harm, and what is worth an alarm."""
