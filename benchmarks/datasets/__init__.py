"""Data sets on disk, and the tasks of learning from good images only that they become."""
