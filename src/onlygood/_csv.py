"""CSV files, as spreadsheets and programs read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from onlygood._printable import printable

# A spreadsheet takes a cell that begins with one of these for a formula. The wide forms count too.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file of `csv_line`: UTF-8 with a byte order mark.

    Args:
        header: the names of the columns.
        rows: texts, numbers, and None for an empty cell.
    """
    lines = [csv_line(header), *map(csv_line, rows)]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")


def csv_line(row: Sequence[Any]) -> str:
    r"""One row without its end: texts in quotes, numbers bare.

    Names are files' names, which others choose. So that none of them is run as a formula, an apostrophe goes before a
    text that begins with one of = + - @; and what cannot be seen is written out (`\n`), so that a row is a line.

    Args:
        row: texts, numbers, and None for an empty cell.
    """
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="").writerow([_cell(value) for value in row])
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
