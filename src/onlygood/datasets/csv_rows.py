"""Read the rows of a CSV file that a person, a script or a spreadsheet wrote, each with where it stands, for errors."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onlygood.errors import LabelledSetError
from onlygood.images.limits import reason


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        where: the file and the line, counted from 1, in which the row begins.
        cells: the text of each known column that the file has, without the spaces around it.
    """

    where: str
    cells: dict[str, str]


def read_rows(
    path: str | os.PathLike[str], *, needed: Sequence[str], allowed: Sequence[str], max_bytes: int
) -> tuple[list[Row], list[str]]:
    """The rows below the header, in their order, and the columns that are not known.

    The file is UTF-8, with a byte order mark or without, separated by commas, or by semicolons if its header has more
    of those. The header comes first, or behind the line `sep=;` of Excel; its columns stand in any order, in upper or
    lower case. Rows with nothing in any cell are skipped: spreadsheets leave them at the end.

    Args:
        path: the file.
        needed: columns that it must have, in lower case.
        allowed: columns that it may have.
        max_bytes: of the file.

    Raises:
        LabelledSetError: if the file cannot be read, is too large, or is no such CSV file; all but the first two say
            in which line.
    """
    shown = os.fsdecode(path)
    text = _text(Path(path), shown, max_bytes)
    # A line for Excel alone; its line end stays, so that lines are counted as the person sees them.
    text = re.sub(r"^sep=.(?=\r?\n)", "", text)
    start = re.match(r"\s*([^\r\n]*)", text)
    first_line = start[1] if start else ""
    delimiter = ";" if first_line.count(";") > first_line.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    unknown: list[str] = []
    rows: list[Row] = []
    while True:
        where = f"{shown}, line {reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise LabelledSetError(f"{where}: this is no row of a CSV file ({error}): correct its quotes") from error
        if cells is None:
            break
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if not header:
            header = [cell.casefold() for cell in cells]
            _check_header(header, cells, needed, allowed, where)
            unknown = [cell for cell in cells if cell and cell.casefold() not in {*needed, *allowed}]
            continue
        if len(cells) != len(header):
            raise LabelledSetError(
                f"{where}: a row must have as many cells as the header, {len(header)}, got {len(cells)}: put cells "
                f"that hold a {'semicolon' if delimiter == ';' else 'comma'} into double quotes"
            )
        known = {name: cell for name, cell in zip(header, cells, strict=True) if name in {*needed, *allowed}}
        rows.append(Row(where, known))
    if not header:
        raise LabelledSetError(f"{shown} is empty: it must have a header with {_listed(needed)}, and rows below it")
    if not rows:
        raise LabelledSetError(f"{shown} must have rows below its header, got none: add one for each image")
    return rows, unknown


def _text(path: Path, shown: str, max_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise LabelledSetError(f"{shown} cannot be read ({reason(error)}): check its permissions") from error
    if len(data) > max_bytes:
        raise LabelledSetError(f"{shown} has more than {max_bytes:,} bytes, the most that are read: split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LabelledSetError(
            f"{shown}, line {line}: a CSV file must be UTF-8, and this line is not: save it as 'CSV UTF-8'"
        ) from error


def _check_header(
    header: Sequence[str], cells: Sequence[str], needed: Sequence[str], allowed: Sequence[str], where: str
) -> None:
    for name in (*needed, *allowed):
        if header.count(name) > 1:
            raise LabelledSetError(f"{where}: a column must be there once, and {name} is there twice: rename one")
    missing = [name for name in needed if name not in header]
    if missing:
        raise LabelledSetError(
            f"{where}: the header must have {_listed(needed)}, separated by commas or semicolons, got "
            f"{', '.join(map(repr, cells))}: add {' and '.join(missing)}"
        )


def _listed(columns: Sequence[str]) -> str:
    return f"the columns {' and '.join(columns)}"
