"""From features to a packaged model."""
