"""The stages of the road, one Dagster asset each, in the order models travel them."""
