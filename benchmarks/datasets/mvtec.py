"""Folders as those of MVTec AD: `train/good`, `test/<defect>` and, for some, masks in `ground_truth`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.datasets.files import IMAGE_SUFFIXES, images_below
from benchmarks.datasets.tasks import Candidates, Dataset, TaskImage, candidates
from onlygood import LabelledSetError

SINGLE = "all"
"""The class of a folder that is one part's, not a collection of such folders."""
GOOD = "good"
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
        TaskImage(name=file.relative_to(folder).as_posix(), source=file)
        for file in images_below(folder / "train" / "good")
    )
    test = tuple(_test_image(file, folder) for file in images_below(folder / "test"))
    anomalous = sum(image.is_anomalous for image in test)
    if anomalous in (0, len(test)):
        raise LabelledSetError(
            f"{folder / 'test'} must hold good images, in good, and anomalous ones, in a folder for each defect, got "
            f"{len(test) - anomalous:,} and {anomalous:,}: add what is missing"
        )
    return PartFolder(good, test, _notes(test))


def _test_image(file: Path, folder: Path) -> TaskImage:
    """A test image with its mask: `ground_truth/<defect>/<stem>_mask` or `<stem>`, with any suffix of images."""
    inside = file.relative_to(folder / "test")
    if len(inside.parts) == 1:
        raise LabelledSetError(
            f"{folder / 'test'} must hold a folder for each defect, and good, got the image {inside}: move it into one"
        )
    defect = GOOD if inside.parts[0].casefold() == GOOD else inside.parts[0]
    beside = folder / "ground_truth" / inside.parent
    names = [f"{file.stem}{ending}{suffix}" for ending in ("_mask", "") for suffix in IMAGE_SUFFIXES]
    masks = [beside / name for name in names if defect != GOOD and (beside / name).is_file()]
    return TaskImage(
        name=f"test/{inside.as_posix()}",
        source=file,
        is_anomalous=defect != GOOD,
        defect=defect,
        mask=masks[0] if masks else None,
    )


def _notes(test: Sequence[TaskImage]) -> tuple[str, ...]:
    """Which defective images have no mask, where others have one: they are left out of pixel figures."""
    bare = [image.name.removeprefix("test/") for image in test if image.is_anomalous and image.mask is None]
    if not bare or not any(image.mask for image in test):
        return ()
    return (f"defective images with no mask: {len(bare)}, the first {bare[0]}; they are left out of pixel figures",)
