"""Studies of one question each: `python -m benchmarks.studies.NAME --help`."""
