"""Benchmarks: data sets on disk become tasks of learning from good images only."""
