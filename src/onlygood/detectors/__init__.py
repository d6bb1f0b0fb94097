"""The detectors: a folder each, and what they share.

`base` is the contract, `registry` says which methods there are. Of a folder, `settings` is imported for a help text and
so needs neither NumPy nor a runtime; `detector` and `head` import `features`, `training` (inside functions alone, since
it needs torch), `graph`, `backbones`, `calibration` and what is below them.
"""
