"""Models for where the platform is not: self-contained folders that run with onnxruntime and numpy only."""
