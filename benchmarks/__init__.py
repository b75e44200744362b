"""The benchmarks, and the page that their results fill."""
