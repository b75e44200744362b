"""Tables and charts from result files."""
