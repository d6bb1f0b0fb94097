"""Text of unknown origin, as a terminal may be given it."""

from __future__ import annotations

import re

# Controls (C0, DEL, C1), line and paragraph separators, what turns the direction of writing, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with each character that would move, colour, clear or turn around what a terminal shows escaped.

    Args:
        text: a name or a sentence from a file, such as a name with an escape character, which becomes `\x1b`.
    """
    return _UNPRINTABLE.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
