"""The benchmarks: suites for pytest, other libraries to compare with, and the page that the results fill."""
