"""From the text of an option to its value, where a number can be written in more than one way."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from decimal import Decimal, InvalidOperation

# A number as most of Europe writes it.
_COMMA = re.compile(r"[0-9]*,[0-9]+ ?%?")


def rate(text: str) -> float:
    """A rate or a share, written as 0.05 or as 5%; which of those up to 1 can be used is for its reader to say.

    Raises:
        ArgumentTypeError: it is no number, or one above 1.
    """
    written = text.strip()
    is_percentage = written.endswith("%")
    try:
        number = Decimal(written.removesuffix("%").rstrip() if is_percentage else written)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        point = written.replace(",", ".")
        remedy = f": did you mean {point}?" if _COMMA.fullmatch(written) else ""
        raise ArgumentTypeError(f"must be a share such as 0.05 or 5%, got {text!r}{remedy}")
    if is_percentage:
        number /= 100
    if number > 1:
        remedy = f": did you mean {written}%?" if not is_percentage and number <= 100 else ""
        raise ArgumentTypeError(f"must be a share of at most 1, such as 0.05 or 5%, got {text!r}{remedy}")
    return float(number)
