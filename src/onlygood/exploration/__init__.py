"""How images lie to one another in the space in which a model compares them.

Imports a fitted model's face (`model`, `inspector`), `graph` and what is below them.
"""
