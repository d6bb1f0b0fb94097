"""Figures that others published, to stand beside measured ones and to be marked as what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

from onlygood import SettingError


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """One figure from a paper or a page.

    Attributes:
        data: name of the data set, as in the results.
        class_name: of the class that was good; "mean" for the mean over all classes of the data set.
        method: as its authors call it.
        image_auroc: in 0..1.
        source: paper or page, precisely enough to find the figure.
    """

    data: str
    class_name: str
    method: str
    image_auroc: float
    source: str


def read_published(path: Path) -> list[PublishedFigure]:
    """The figures of a JSON file: a list of objects with the attributes of `PublishedFigure`.

    Raises:
        SettingError: no such file, or other contents.
    """
    wanted = [entry.name for entry in fields(PublishedFigure)]
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} must be a JSON list of published figures, got {error}") from error
    if not isinstance(entries, list):
        raise SettingError(f"{path} must be a JSON list of published figures, got a {type(entries).__name__}")
    found = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or sorted(entry) != sorted(wanted):
            raise SettingError(
                f"each published figure in {path} must have {', '.join(wanted)} and nothing else, got {entry!r} at "
                f"position {number}"
            )
        figure = PublishedFigure(**entry)
        value = figure.image_auroc
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            raise SettingError(f"image_auroc in {path} must be between 0 and 1, got {value!r} at position {number}")
        found.append(figure)
    return found
