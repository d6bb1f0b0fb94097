"""Small pieces of HTML for notebooks, which need no template."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from onlygood._printable import printable


def escape(text: str) -> str:
    """The text as HTML shows it. What is not seen, which a file's name may hold, is written out."""
    return html.escape(printable(text))


def table(rows: Iterable[Sequence[str]], *, header: Sequence[str] = ()) -> str:
    """A table of texts, which are escaped; the first cell of each row is its heading."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = [f"<tr>{head}</tr>"] if head else []
    for first, *others in rows:
        cells = "".join(f'<td style="text-align: left">{escape(text)}</td>' for text in others)
        lines.append(f'<tr><th style="text-align: left">{escape(first)}</th>{cells}</tr>')
    return f"<table>{''.join(lines)}</table>"
