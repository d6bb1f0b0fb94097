"""Folders as those of MVTec AD: `train/good`, `test/<defect>` and, for some, masks in `ground_truth`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onlygood.bench.tasks import Candidates, Dataset, TaskImage, candidates
from onlygood.datasets.folders import find_images
from onlygood.datasets.labelled import find_labelled
from onlygood.errors import LabelledSetError

SINGLE = "all"
"""The class of a folder that is one part's, not a collection of such folders."""
_LAYOUT = "train/good and test/<defect>"


@dataclass(frozen=True)
class PartFolder:
    """What was found of one part; `notes` are about it alone."""

    good: tuple[TaskImage, ...]
    test: tuple[TaskImage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class MvtecFolders(Dataset):
    """Tasks whose split the folders give: nothing is random but what a bound leaves out."""

    parts: Mapping[str, PartFolder] = field(repr=False)

    def _split(self, class_name: str, seed: int) -> tuple[Candidates, Candidates]:
        part = self.parts[class_name]
        return candidates(part.good), candidates(part.test)

    def _notes_of(self, class_name: str) -> tuple[str, ...]:
        return (*self.notes, *self.parts[class_name].notes)


def open_mvtec(name: str, folder: Path) -> MvtecFolders:
    """The data set of one such folder, class "all", or of a folder of such folders, a class each.

    Raises:
        LabelledSetError: no such folders, one with training or test images alone, or test images that are all good
            or all anomalous.
        FolderError: no training images.
    """
    if not folder.is_dir():
        raise LabelledSetError(
            f"{folder} must be a folder that holds {_LAYOUT}, or folders that do, got a file: give the folder"
        )
    if _is_part(folder):
        parts = {SINGLE: _open_part(folder)}
    else:
        inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.startswith(".")]
        parts = {entry.name: _open_part(entry) for entry in inner if _is_part(entry)}
    if not parts:
        raise LabelledSetError(
            f"{folder} must hold {_LAYOUT}, or folders that do, got neither: check its path, or say which kind of data "
            f"set {name} is"
        )
    return MvtecFolders(
        name=name,
        kind="mvtec",
        classes=tuple(parts),
        counts={
            "train": sum(len(part.good) for part in parts.values()),
            "test": sum(len(part.test) for part in parts.values()),
        },
        parts=parts,
    )


def _is_part(folder: Path) -> bool:
    """Whether it is meant to be one: with one of the two folders it is, and the other one's lack is an error."""
    return (folder / "train").is_dir() or (folder / "test").is_dir()


def _open_part(folder: Path) -> PartFolder:
    for needed in ("train/good", "test"):
        if not (folder / needed).is_dir():
            raise LabelledSetError(f"{folder} must hold {needed}, got none: arrange its images as {_LAYOUT}")
    good = tuple(
        TaskImage(name=f"train/good/{file.name}", source=file.path, page=file.page)
        for file in find_images(folder / "train" / "good")
    )
    labelled = find_labelled(folder / "test")
    test = tuple(
        TaskImage(
            name=f"test/{image.name}",
            source=image.file.path,
            page=image.file.page,
            is_anomalous=image.is_anomalous,
            defect=image.defect,
            mask=image.mask,
        )
        for image in labelled.images
    )
    anomalous = sum(image.is_anomalous for image in test)
    if anomalous in (0, len(test)):
        raise LabelledSetError(
            f"{folder / 'test'} must hold good images, in good, and anomalous ones, in a folder for each defect, got "
            f"{len(test) - anomalous:,} and {anomalous:,}: add what is missing"
        )
    return PartFolder(good, test, tuple(note.removesuffix(".") for note in labelled.notes))
