"""Where the threshold is decided: scores, the tail of scores, and which images count as independent.

Knows arrays alone: no files, no images, no graph.
"""
