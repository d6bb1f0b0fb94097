"""Patch memory: embeddings of patches at several levels, a memory of those of good images, distances to it."""
