"""The version of ssnn."""

__version__ = "0.1.0"
