"""How good a model is on labelled images: what is measured, at which rates, and what errors cost.

Imports `inspector`, `recalibration`, `datasets`, `metrics` and what is below them. Nothing of it reaches a
model or its threshold.
"""
