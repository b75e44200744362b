"""ssnn: the shallow network that everybody writes once to learn, on every array library, from one source."""

__version__ = "0.1.0"
