"""A trained network and all that belongs to it."""
