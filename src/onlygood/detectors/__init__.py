"""The detectors: a folder each, and what they share.

`base` is what a detector is to a fit; `registry` makes the one that the settings name. Imports `features`, `training`
(inside functions alone, since it needs torch), `graph`, `backbones`, `calibration` and what is below them.
"""
