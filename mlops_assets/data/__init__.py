"""Raw rows in, validated features out."""
