"""Changed copies of images: seeded changes, how they are drawn, and fits that learn from them.

Imports `datasets`, `images` and what is below them.
"""
