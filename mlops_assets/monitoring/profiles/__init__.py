"""Profiles: what columns looked like, in bounded memory, merging exactly whatever the order and grouping."""
