"""How well scores and maps tell good from anomalous, with intervals.

Knows arrays alone: no files, no images, no graph.
"""
