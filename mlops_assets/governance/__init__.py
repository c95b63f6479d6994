"""Who vouches for what."""
