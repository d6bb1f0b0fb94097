"""A small network that tells patches of good images from the same with noise."""
