"""The model registry: versions, aliases, lineage. MLflow is the one source of truth for what serves."""
