"""Numbers as people's arrays and tables hold them, turned into Python's own."""

from __future__ import annotations

import sys
from typing import Any


def plain(value: Any) -> Any:
    """The Python number, truth value or text that a scalar of NumPy stands for; anything else as it is.

    Of a float32 and a float16, the shortest decimal that means it: a person who writes float32(0.05) means 0.05, and
    not 0.05000000074505806. Also within lists and tuples.
    """
    numpy = sys.modules.get("numpy")  # who has a scalar of it has imported it
    if numpy is None:
        return value
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(plain(each) for each in value)
    if isinstance(value, numpy.floating):
        return float(value) if value.itemsize >= 8 else float(str(value))
    if isinstance(value, numpy.bool_):
        return bool(value)
    if isinstance(value, numpy.integer):
        return int(value)
    if isinstance(value, numpy.str_):
        return str(value)
    return value
