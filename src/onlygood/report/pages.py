"""One HTML file a report, and a CSV file beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from onlygood._csv import csv_bytes
from onlygood._extras import need_extra
from onlygood._files import write_atomically
from onlygood._printable import printable
from onlygood._version import __version__
from onlygood.errors import SettingError
from onlygood.report import formatting, palette
from onlygood.report.map_legend import map_legend

_SUFFIXES = (".htm", ".html")


def report_paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Where a report goes, and where its rows go: `report.html` and, beside it, `report.csv`.

    Raises:
        SettingError: the name does not end in .html or .htm.
        MissingExtraError: Jinja2 or matplotlib, which draw reports, are not installed.
    """
    page = page_path(path, "a report", "one page for any browser, and a CSV file of the same name is written beside it")
    need_extra("Jinja2", module="jinja2", extra="report", purpose="--report")
    need_extra("matplotlib", module="matplotlib", extra="report", purpose="--report")
    return page, page.with_suffix(".csv")


def page_path(path: str | os.PathLike[str], subject: str, nature: str) -> Path:
    """Where a page goes.

    Args:
        path: its path.
        subject: what messages call it.
        nature: what it is, for those who gave another name.

    Raises:
        SettingError: the name does not end in .html or .htm.
    """
    page = Path(path)
    if page.suffix.lower() not in _SUFFIXES:
        shown = printable(os.fsdecode(path))
        raise SettingError(f"{subject} must have a name that ends in .html, got {shown!r}: it is {nature}")
    return page


def write_report(
    path: str | os.PathLike[str],
    template: str,
    *,
    model_name: str,
    written_at: datetime | None,
    scores: Iterable[float],
    rates: Iterable[float],
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    **values: Any,
) -> None:
    """Write both files of a report, each whole or not at all.

    Args:
        path: of the page.
        template: its name in the folder of templates, without `.html.j2`.
        model_name: what the page calls the model.
        written_at: the date and time that the page bears; None for now.
        scores: all that the page shows, for one form of all of them.
        rates: false-alarm rates that were asked for, for one form of all shares.
        header: the columns of the CSV file.
        rows: its rows; None for an empty cell.
        **values: what the template needs beside these.

    Raises:
        SettingError, MissingExtraError: as `report_paths`.
        WriteError: a file cannot be written.
    """
    page_path, csv_path = report_paths(path)
    page = render_page(
        template,
        model_name=model_name,
        written_at=written_at,
        scores=scores,
        rates=rates,
        csv_name=csv_path.name,
        **values,
    )
    write_atomically(csv_path, csv_bytes(header, rows))
    write_atomically(page_path, page)


def render_page(
    template: str,
    *,
    model_name: str,
    written_at: datetime | None,
    scores: Iterable[float],
    rates: Iterable[float],
    **values: Any,
) -> bytes:
    """The bytes of a page.

    Args:
        template: its name in the folder of templates, without `.html.j2`.
        model_name: what the page calls the model.
        written_at: the date and time that the page bears; None for now.
        scores: all that the page shows, for one form of all of them.
        rates: false-alarm rates that were asked for, for one form of all shares.
        **values: what the template needs beside these.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("onlygood.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=formatting.visible_or_same,
    )
    notation = formatting.percent_notation(rates)
    environment.globals["palette"] = palette
    environment.globals["notation"] = notation
    environment.globals["map_legend"] = map_legend()
    environment.filters.update(
        share=notation.share,
        p_value=formatting.format_p_value,
        area=formatting.format_area,
        count=formatting.format_count,
        at_most=notation.at_most,
        stated=lambda guarantee: notation.stated(guarantee.stated_rate, is_guaranteed=guarantee.is_guaranteed),
        visible=printable,
    )
    page = environment.get_template(f"{template}.html.j2").render(
        format_score=formatting.score_format(scores),
        model_name=model_name,
        written_at=datetime.now().astimezone() if written_at is None else written_at,
        version=__version__,
        **values,
    )
    return page.encode("utf-8")
