"""Values on a command line that people write in more than one way."""

from __future__ import annotations

import argparse


def rate(text: str) -> float:
    """A rate or share, such as 0.05 or 5%."""
    number, percent = (text[:-1], True) if text.endswith("%") else (text, False)
    try:
        value = float(number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number such as 0.05 or 5%, got {text!r}") from error
    return value / 100 if percent else value
