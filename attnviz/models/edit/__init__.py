"""A model with something changed: the same weights, other attention."""
