"""Which images of which folders are shown together, each under its folder's label, where there may be too many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onlygood._paths import given_path
from onlygood.datasets.folders import ImageFile, by_first_folder, find_by_class, look_into
from onlygood.errors import SettingError
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits

GOOD = "good"


@dataclass(frozen=True, kw_only=True)
class Label:
    """What images of one folder are called.

    Attributes:
        name: as people read it.
        is_reference: whether they are images of other things, given for comparison.
        found: how many there are.
    """

    name: str
    is_reference: bool
    found: int


@dataclass(frozen=True, kw_only=True)
class ChosenImage:
    """An image that is shown.

    Attributes:
        name: relative to the folder that was given, and below that folder's label where there are several.
        file: where to read it.
        label: the position of its label.
    """

    name: str
    file: ImageFile
    label: int


@dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """Images, and what they were chosen from.

    Attributes:
        images: by label, in the order of their names.
        labels: at least one.
        notes: what was left out where they lie, a sentence each.
    """

    images: tuple[ChosenImage, ...]
    labels: tuple[Label, ...]
    notes: tuple[str, ...]


def choose_images(
    folders: Sequence[str | os.PathLike[str]],
    *,
    reference: str | os.PathLike[str] | None = None,
    most: int,
    seed: int,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> ImageChoice:
    """The images of one folder, labelled by its first sub-folders, or of several, each labelled by its name.

    Where there are more than wanted they are drawn at random, as many of each label as of any other, or all of those
    that have fewer. Masks are no images, as in `look_into`.

    Args:
        folders: at least one.
        reference: a folder with a sub-folder for each class of other things.
        most: how many images at most.
        seed: of the drawing.
        limits: bounds on bytes and pages while pages are counted.

    Raises:
        FolderError: a folder is missing, empty, or holds no images or masks alone, or the reference holds images of
            no class.
        SettingError: no folder, or one given twice.
    """
    if isinstance(folders, str | os.PathLike):
        folders = [folders]
    if not folders:
        raise SettingError("explore needs at least one folder of images, got none: name one")
    _refuse_twins([*folders, *([] if reference is None else [reference])])
    sets = _one_folder(folders[0], limits) if len(folders) == 1 else _several_folders(folders, limits)
    if reference is not None:
        sets += _references(reference, limits)
    generator = np.random.default_rng(seed)
    labels, images = [], []
    for number, (each, count) in enumerate(zip(sets, _shares([len(each.files) for each in sets], most), strict=True)):
        labels.append(Label(name=each.name, is_reference=each.is_reference, found=len(each.files)))
        for position in np.sort(generator.permutation(len(each.files))[:count]).tolist():
            file = each.files[position]
            images.append(ChosenImage(name=f"{each.prefix}{file.name}", file=file, label=number))
    return ImageChoice(
        images=tuple(images), labels=tuple(labels), notes=tuple(note for each in sets for note in each.notes)
    )


@dataclass(frozen=True, kw_only=True)
class _Set:
    name: str
    files: list[ImageFile]
    notes: list[str] = field(default_factory=list)
    prefix: str = ""
    is_reference: bool = False


def _one_folder(folder: str | os.PathLike[str], limits: ReadingLimits) -> list[_Set]:
    found = look_into(folder, limits=limits)
    classes = by_first_folder(found.images)
    own = folder_labels([folder])[0]
    if own in classes:
        own = f"{own}/."  # no sub-folder can be called that
    # What is good comes first, whatever its neighbours are called.
    ordered = sorted(classes, key=lambda name: name.casefold() != GOOD)
    return [
        _Set(name=name or own, files=classes[name], notes=found.notes if name == ordered[0] else []) for name in ordered
    ]


def _several_folders(folders: Sequence[str | os.PathLike[str]], limits: ReadingLimits) -> list[_Set]:
    names = folder_labels(folders)
    sets = []
    for name, folder in zip(names, folders, strict=True):
        found = look_into(folder, limits=limits)
        sets.append(_Set(name=name, files=found.images, notes=found.notes, prefix=f"{name}/"))
    return sets


def _references(folder: str | os.PathLike[str], limits: ReadingLimits) -> list[_Set]:
    prefix = f"{folder_labels([folder])[0]}/"
    return [
        _Set(name=f"reference: {name}", files=files, prefix=prefix, is_reference=True)
        for name, files in find_by_class(folder, limits=limits).items()
    ]


def folder_labels(folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The folders' own names; of those that share one, as much of what is above them as tells them apart.

    Args:
        folders: all different.
    """
    parts = [_spelled_out(folder).parts for folder in folders]
    depths = [1] * len(parts)
    while True:
        labels = [Path(*path[-depth:]).as_posix() for path, depth in zip(parts, depths, strict=True)]
        alike = [number for number, label in enumerate(labels) if labels.count(label) > 1]
        longer = [number for number in alike if depths[number] < len(parts[number])]
        if not longer:
            return labels
        for number in longer:
            depths[number] += 1


def _spelled_out(folder: str | os.PathLike[str]) -> Path:
    """Its whole path, without `.` and `..`; links keep the names that people gave them."""
    return Path(os.path.abspath(given_path(folder)))  # noqa: PTH100 - what ruff would have instead follows links


def _refuse_twins(folders: Sequence[str | os.PathLike[str]]) -> None:
    seen = set()
    for folder in folders:
        place = os.path.realpath(given_path(folder))
        if place in seen:
            raise SettingError(f"each folder must be given once, got {os.fsdecode(folder)} twice: leave one out")
        seen.add(place)


def _shares(found: Sequence[int], most: int) -> Iterator[int]:
    """How many of each are taken, as even as their numbers allow; as many as wanted, or all."""
    shares, left = [0] * len(found), most
    ascending = sorted(range(len(found)), key=lambda number: found[number])
    for served, number in enumerate(ascending):
        shares[number] = min(found[number], left // (len(found) - served))
        left -= shares[number]
    return iter(shares)
