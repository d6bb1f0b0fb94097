"""Numbers and lists of things in words."""

from __future__ import annotations

from collections.abc import Sequence


def pluralize(number: int, noun: str, *, verb: str = "") -> str:
    """A number with commas and its noun, in the singular or with an s: "1 image", "1,200 images".

    Args:
        number: of things.
        noun: in the singular.
        verb: in the singular, "is", to stand behind the noun and agree with it; none unless given.
    """
    words = f"{number:,} {noun}{'s' * (number != 1)}"
    return f"{words} {verb if number == 1 else _PLURALS[verb]}" if verb else words


def name_some(names: Sequence[str], most: int) -> str:
    """The first of many names, and how many more there are: "a, b and 3 more"."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shorten(text: str, most: int) -> str:
    """A name in at most so many characters, its middle left out: of a path, beginning and end say the most."""
    half = (most - len("...")) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


_PLURALS = {"is": "are", "was": "were", "has": "have"}
