"""Benchmarks: methods and peers on data sets, and studies of what things cost. `python -m benchmarks --help`."""
