"""Fits and updates, each in a process of its own, one after another."""
