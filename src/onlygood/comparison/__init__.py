"""Which of our methods suits a person's own images: fitted and measured on the same ones, and a recommendation.

Imports `evaluation`, `fitting`, `inspector` and what is below them.
"""
