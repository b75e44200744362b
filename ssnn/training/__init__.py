"""Training: the loop, and what goes into it and comes out of it."""
