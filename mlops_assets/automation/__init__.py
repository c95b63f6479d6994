"""What happens by itself: one schedule and one sensor for the whole fleet."""
