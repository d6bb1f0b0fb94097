"""Labelled images from a CSV file."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from onlygood.datasets.csv_rows import Row, read_rows
from onlygood.datasets.folders import find_images, group_labels
from onlygood.datasets.labelled_set import GOOD, LabelledImage, LabelledSet, checked_set
from onlygood.errors import LabelledSetError
from onlygood.images.limits import reason
from onlygood.images.reading import ReadingLimits

_NEEDED = ("path", "label")
_ALLOWED = ("mask", "defect", "session")
_LABELS = {"good": False, "0": False, "bad": True, "anomalous": True, "1": True}


def labelled_from_csv(path: Path, shown: str, group_by: str | None, limits: ReadingLimits) -> LabelledSet:
    """The labelled set of a CSV file; `find_labelled` says what it holds and which errors there are."""
    rows, unknown = read_rows(path, needed=_NEEDED, allowed=_ALLOWED, max_bytes=limits.max_bytes)
    labelled: list[LabelledImage] = []
    listed: dict[Path, tuple[Row, bool]] = {}
    for row in rows:
        written, file = _existing(row, "path", path.parent)
        is_anomalous = _is_labelled_anomalous(row)
        # Not the file that a link leads to: data stores link all images of one content to one file.
        place = Path(os.path.realpath(file.parent), file.name)
        if place in listed:
            first, first_is_anomalous = listed[place]
            contradiction = "" if is_anomalous == first_is_anomalous else ", with another label"
            raise LabelledSetError(
                f"{row.where}: each image must be listed once, and {written} is in {first.where} too{contradiction}: "
                "remove one of them"
            )
        listed[place] = row, is_anomalous
        labelled += _labelled_row(row, written, file, is_anomalous, path.parent, limits)
    if group_by is not None:
        sessions = group_labels([image.file for image in labelled], group_by)
        labelled = [replace(one, session=session) for one, session in zip(labelled, sessions, strict=True)]
    columns = "column" if len(unknown) == 1 else "columns"
    used = ", ".join((*_NEEDED, *_ALLOWED))
    notes = (
        [f"The {columns} {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not used; {used} are."]
        if unknown
        else []
    )
    return checked_set(labelled, "csv", notes, shown)


def _is_labelled_anomalous(row: Row) -> bool:
    label = row.cells["label"]
    if label.casefold() not in _LABELS:
        raise LabelledSetError(
            f"{row.where}: a label must be good or 0, or bad, anomalous or 1, got {label!r}: write one of these, and "
            "the type of defect, if that is what it is, into a column defect"
        )
    return _LABELS[label.casefold()]


def _existing(row: Row, column: str, folder: Path) -> tuple[str, Path]:
    """A path as it is written, with forward slashes, and the file that is there."""
    text = row.cells[column]
    what = "image" if column == "path" else column
    if not text:
        raise LabelledSetError(f"{row.where}: the path of an image must be given, got an empty cell: fill it in")
    problem = ""
    for written in (text.replace("\\", "/"), text):
        try:
            mode = (folder / written).stat().st_mode
        except (OSError, ValueError) as error:  # ValueError: a null character
            problem = problem or reason(error)
            continue
        if stat.S_ISREG(mode):
            return written, folder / written
        problem = "it is a folder or a device"
    raise LabelledSetError(
        f"{row.where}: the {what} {text} is not a file that can be read ({problem}): give its path from the folder of "
        "the CSV file, or its whole path"
    )


def _labelled_row(
    row: Row, written: str, file: Path, is_anomalous: bool, folder: Path, limits: ReadingLimits
) -> list[LabelledImage]:
    """The image of a row, or all pages of its file."""
    defect, has_mask = row.cells.get("defect", ""), bool(row.cells.get("mask"))
    if not is_anomalous and has_mask:
        raise LabelledSetError(
            f"{row.where}: a good image must have no mask, got {row.cells['mask']}: correct the label or "
            "remove the mask"
        )
    if not is_anomalous and defect.casefold() not in ("", GOOD):
        raise LabelledSetError(
            f"{row.where}: a good image must have no type of defect, got {defect!r}: correct the label or "
            "empty the cell"
        )
    if is_anomalous and defect.casefold() == GOOD:
        raise LabelledSetError(
            f"{row.where}: an anomalous image must have another type of defect than {defect!r}: correct one of them"
        )
    mask = _existing(row, "mask", folder)[1] if has_mask else None
    pages = find_images(file, allow_file=True, limits=limits)
    if mask is not None and pages[0].pages > 1:
        raise LabelledSetError(
            f"{row.where}: a mask must belong to one image, and {written} holds {pages[0].pages}: save each page "
            "as a file, or remove the mask"
        )
    return [
        LabelledImage(
            file=replace(page, relative=written),
            is_anomalous=is_anomalous,
            defect=(defect or "bad") if is_anomalous else GOOD,
            mask=mask,
            session=row.cells.get("session") or None,
        )
        for page in pages
    ]
