"""Which images: folders, labelled sets, masks, CSV files, sessions, and how they are split.

Imports `images` and what is below it.
"""
