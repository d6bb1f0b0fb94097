"""Good images through the first part of a graph, within bounded memory: what a detector learns from.

Imports `graph`, `augmentation`, `datasets`, `images` and what is below them.
"""
