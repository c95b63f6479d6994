"""How a model does on rows whose labels are known, with what the figures rest on, and told from chance."""
