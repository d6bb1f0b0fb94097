"""ELPV: electroluminescence images of solar cells, graded by experts from 0 (functional) to 1 (defective).

Source: Deitsch et al., "Automatic classification of defective photovoltaic module cells in electroluminescence images",
2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy as np

from benchmarks.datasets.tasks import Candidates, Dataset, TaskImage, candidates
from onlygood import LabelledSetError, MissingExtraError

CELLS = ("mono", "poly")
GRADES = {"good": 0.0, "1/3": 1 / 3, "2/3": 2 / 3, "1": 1.0}
SHARE_LEARNED = 0.6
_ALL_GRADES = "-all-grades"
_NOTE = f"of the good cells {SHARE_LEARNED:.0%}, drawn by the seed, are learned from, and the rest are judged"
_COPY = "copy the data set again"


@dataclass(frozen=True, kw_only=True, eq=False)
class Elpv(Dataset):
    """Tasks of one kind of cell: `mono` and `poly` without the grades of which experts were not sure, or with all."""

    cells: dict[str, tuple[TaskImage, ...]] = field(repr=False)

    def _split(self, class_name: str, seed: int) -> tuple[Candidates, Candidates]:
        kind = class_name.removesuffix(_ALL_GRADES)
        cells = [cell for cell in self.cells[kind] if class_name != kind or cell.defect in ("good", "1")]
        good = [position for position, cell in enumerate(cells) if not cell.is_anomalous]
        order = np.random.default_rng(seed).permutation(len(good))
        learned = {good[place] for place in order[: _learned(len(good))]}
        return (
            candidates([cells[position] for position in sorted(learned)]),
            candidates([cell for position, cell in enumerate(cells) if position not in learned]),
        )


def open_elpv(name: str, folder: Path | None) -> Elpv:
    """The data set of a folder with `labels.csv`, or of the installed package elpv-dataset, which is not imported.

    Raises:
        LabelledSetError: no labels, labels that cannot be understood or that name missing files, or too few cells.
        MissingExtraError: no folder is given and the package is not installed.
    """
    folder = _installed() if folder is None else folder
    labels = folder / "labels.csv"
    if not labels.is_file():
        raise LabelledSetError(f"{folder} must hold labels.csv, got none: give the folder data of elpv-dataset")
    try:
        lines = labels.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise LabelledSetError(f"{labels} must be UTF-8 text, got other bytes: {_COPY}") from error
    cells: dict[str, list[TaskImage]] = {kind: [] for kind in CELLS}
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            kind, cell = _cell(line, folder, f"line {number} of {labels}")
            if cell.name in seen:
                raise LabelledSetError(
                    f"line {number} of {labels} must name a new image, got {cell.name} again: {_COPY}"
                )
            seen.add(cell.name)
            cells[kind].append(cell)
    learned = judged = 0
    for kind in CELLS:
        good = sum(not cell.is_anomalous for cell in cells[kind])
        defective = sum(cell.defect == "1" for cell in cells[kind])
        if good < 2 or defective < 1:
            raise LabelledSetError(
                f"{labels} must list at least two {kind} cells of grade 0 and one of grade 1, got {good} and "
                f"{defective}: {_COPY}"
            )
        learned += _learned(good)
        judged += len(cells[kind]) - _learned(good)
    return Elpv(
        name=name,
        kind="elpv",
        classes=(*CELLS, *(kind + _ALL_GRADES for kind in CELLS)),
        counts={"train": learned, "test": judged},
        notes=(_NOTE,),
        cells={kind: tuple(cells[kind]) for kind in CELLS},
    )


def _learned(good: int) -> int:
    return round(SHARE_LEARNED * good)


def _installed() -> Path:
    package = find_spec("elpv_dataset")
    if package is None:
        raise MissingExtraError(
            "the data set elpv needs elpv-dataset, which is not installed: run pip install 'onlygood[bench]'"
        )
    places: Sequence[str] = package.submodule_search_locations or ()
    return Path(next(iter(places), "")) / "data"


def _cell(line: str, folder: Path, shown: str) -> tuple[str, TaskImage]:
    fields = line.split()
    if len(fields) != 3:
        raise LabelledSetError(f"{shown} must hold a path, a grade and a kind of cell, got {line.strip()!r}: {_COPY}")
    path, grade, kind = fields
    if kind not in CELLS:
        raise LabelledSetError(f"{shown} must name a kind of cell, {' or '.join(CELLS)}, got {kind!r}: {_COPY}")
    try:
        defect = next(defect for defect, value in GRADES.items() if abs(float(grade) - value) < 1e-6)
    except (ValueError, StopIteration):
        raise LabelledSetError(f"{shown} must grade the cell 0, 1/3, 2/3 or 1, got {grade!r}: {_COPY}") from None
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or not (folder / relative).is_file():
        raise LabelledSetError(f"{shown} must name an image in {folder}, got {path!r}, which is not there: {_COPY}")
    return kind, TaskImage(name=path, source=folder / relative, is_anomalous=defect != "good", defect=defect)
