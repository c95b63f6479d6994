"""What the endpoint did, how the world moved, and whether it did harm."""
