"""Good images looked at before a fit: what among them needs a decision, and why.

Imports `features`, `detectors`, `calibration`, `datasets` and what is below them.
"""
