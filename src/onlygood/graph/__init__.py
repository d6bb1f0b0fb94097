"""Parts of a model file's graph that every detector uses: preprocessing, trunk, verdict; and the file around them.

Imports `backbones`, `calibration`, `images` and what is below them.
"""
