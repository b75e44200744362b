"""The commands, one file each; `ssnn/__main__.py` runs them."""
