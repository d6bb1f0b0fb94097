"""From the bytes of a file to pixels: formats, bit depth, orientation, limits on size, and the window of levels.

Imports nothing of onlygood but errors and checks of numbers.
"""
