"""The images that a fit is given, good ones and references: from folders, files or memory, all with a name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from onlygood._paths import given_path
from onlygood._plurals import name_some, pluralize
from onlygood.datasets.folders import ImageFile, find_by_class, group_labels
from onlygood.datasets.given import LIST, OnePath, find_given
from onlygood.datasets.tree import ARCHIVE
from onlygood.errors import FolderError, SettingError
from onlygood.images.extensions import why_not_taken
from onlygood.images.kinds import format_of_source
from onlygood.images.named import NamedImage
from onlygood.images.reading import ChannelOrder, ImageArray, ReadingLimits, check_channel_order, read_image
from onlygood.settings import REFERENCE_WHY, FitSettings

ONE = "give a folder, or add --golden to learn from augmentations of this one"

GoodImages = str | os.PathLike[str] | Sequence[Any]
ReferenceImages = str | os.PathLike[str] | Mapping[str, Sequence[Any]]

# How many names of images that were left out a note gives.
SHOWN_NAMES = 3


@dataclass(frozen=True)
class Source:
    """One image.

    Attributes:
        name: what it is called.
        label: of its group or class.
        read: gives its pixels.
        file_format: gives the format of its file; None for an image in memory.
        is_copy: whether it is made of another one with its label.
    """

    name: str
    label: str
    read: Callable[[], ImageArray]
    file_format: Callable[[], str | None] = lambda: None
    is_copy: bool = False


def reading_limits(settings: FitSettings) -> ReadingLimits:
    """How the images of a fit with these settings are read."""
    return ReadingLimits(
        max_pixels=settings.max_pixels,
        max_bytes=settings.max_bytes,
        channels=settings.channels,
        alpha=settings.alpha,
    )


def file_ranks(sources: Sequence[Source]) -> list[int]:
    """The place of each image among all, with numbers in names by their value: frame_9 before frame_10."""
    return ranks_of([source.name for source in sources])


def ranks_of(names: Sequence[str]) -> list[int]:
    """The place of each name among all, with numbers by their value: frame_9 before frame_10."""

    def key(position: int) -> list[tuple[int, str]]:
        parts = re.split(r"([0-9]+)", names[position])
        digits = [part.lstrip("0") if number % 2 else "" for number, part in enumerate(parts)]
        # A number by how many digits it has, and then by these: names may have more than `int` takes.
        return [(len(digits[number]), digits[number]) if number % 2 else (0, part) for number, part in enumerate(parts)]

    ranks = [0] * len(names)
    for rank, position in enumerate(sorted(range(len(names)), key=key)):
        ranks[position] = rank
    return ranks


@dataclass(frozen=True)
class FoundSources:
    """The images that were given, and what was left out where they lie.

    Attributes:
        sources: in a fixed order.
        notes: what was left out, a sentence each.
    """

    sources: list[Source]
    notes: list[str]


def list_sources(
    images: GoodImages,
    *,
    group_by: str | None,
    groups: Sequence[str] | None,
    limits: ReadingLimits,
    allow_one: bool = False,
    command: str = "fit",
    channel_order: ChannelOrder = "rgb",
) -> FoundSources:
    """The good images of a fit or a calibration, in a fixed order.

    Args:
        images: a path or a sequence of paths, as `find_given` takes them, or a sequence of paths of images, bytes, PIL
            images, arrays or NamedImage; an array [N, H, W, C] counts as one. Also of images that were found in a
            folder, which keep their names and pages.
        group_by: as in FitSettings; needs paths.
        groups: a label an image instead; needs a sequence of images.
        limits: on pixels and bytes.
        allow_one: take one image, too: a file, bytes, a PIL image or an array.
        command: what needs them, as the subject of a sentence.
        channel_order: of arrays with colour.

    Raises:
        FolderError: nothing there, or one image where several are meant.
        NotAllGoodError: a folder holds what looks like defects.
        SettingError: labels that do not fit the images.
    """
    if isinstance(images, str | os.PathLike):
        if groups is not None:
            raise SettingError("groups goes with a sequence of images, got one path: use group_by")
        is_several = given_path(images).suffix.lower() in (ARCHIVE, LIST)
        if not allow_one and Path(images).is_file() and not is_several:
            raise FolderError(_one_file(os.fsdecode(images)))
        return _from_paths(images, group_by, limits, command)
    if is_one_in_memory(images):
        if not allow_one:
            raise FolderError(f"{command} needs a folder or a sequence of good images, got {_one(images)}")
        images = [images]
    if isinstance(images, Mapping):
        raise FolderError(
            f"{command} needs a folder or a sequence of good images, got a mapping: give its values, "
            "with keys as groups if they say what belongs together"
        )
    if not isinstance(images, Iterable):
        raise FolderError(f"{command} needs a folder or a sequence of good images, got {type(images).__name__}")
    items = list(images)
    if not items:
        raise FolderError(f"{command} needs good images, got an empty sequence")
    if groups is None and all(isinstance(item, str | os.PathLike) for item in items):
        return _from_paths(items, group_by, limits, command)
    if group_by is not None and groups is None and all(isinstance(item, ImageFile) for item in items):
        groups, group_by = group_labels(items, group_by), None
    if group_by is not None:
        raise SettingError(f"group_by needs paths, got a sequence with others and group_by={group_by!r}: use groups")
    return FoundSources(_one_each(items, groups, limits, check_channel_order(channel_order)), [])


def _one(image: Any) -> str:
    """What one image in memory is called where several are meant, and what to do."""
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] not in (1, 3, 4):
        return f"an array {list(image.shape)}: if it holds {image.shape[0]} grey images, give list(images)"
    return f"one image: {ONE}"


def _one_file(shown: str) -> str:
    """What is said of a file where a folder is meant, which may be no image at all."""
    problem = why_not_taken(shown)
    if problem is not None:
        return problem
    if format_of_source(shown) is not None:
        return f"{shown} is one image where a folder of good ones is meant: {ONE}"
    return f"{shown} is a file that is no image, where good ones are meant: give their folder, a ZIP archive or a list"


def _from_paths(
    paths: OnePath | Sequence[OnePath], group_by: str | None, limits: ReadingLimits, command: str
) -> FoundSources:
    found = find_given(paths, good=command, limits=limits)
    labels = group_labels(found.images, group_by)
    return FoundSources(
        [
            Source(file.name, label, partial(file.read, limits), file.file_format)
            for file, label in zip(found.images, labels, strict=True)
        ],
        found.notes,
    )


def _one_each(
    items: Sequence[Any], groups: Sequence[str] | None, limits: ReadingLimits, channel_order: ChannelOrder
) -> list[Source]:
    """A source an item, each an image."""
    folders = [item for item in items if isinstance(item, str | os.PathLike) and Path(item).is_dir()]
    if folders:
        raise SettingError(
            "a sequence with groups or with images in memory must hold one image an item, got the folder "
            f"{folders[0]}: give its images, or folders alone"
        )
    names = [name_of(item, position) for position, item in enumerate(items)]
    if groups is None:
        groups = [str(position) for position in range(len(items))]
    if len(groups) != len(items):
        raise SettingError(f"groups must have one label an image, got {len(groups)} for {len(items)} images")
    return [
        Source(name, str(label), _reader(item, name, limits, channel_order), _format_reader(item))
        for item, name, label in zip(items, names, groups, strict=True)
    ]


def exclude_named(sources: Sequence[Source], names: Sequence[str]) -> tuple[list[Source], list[str]]:
    """The sources without those of these names, and the names of those left out.

    Args:
        sources: all of them.
        names: each as `fit` shows it, or its last part where that is one source's alone; '@' and the path of a text
            file stand for its lines.

    Raises:
        SettingError: a name that no source has or that several have, or a list that cannot be read.
    """
    wanted: list[str] = []
    for name in names:
        wanted += _lines(Path(name[1:])) if name.startswith("@") else [name]
    known = {source.name for source in sources}
    by_last_part: dict[str, list[str]] = {}
    for name in known:
        by_last_part.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    out: set[str] = set()
    for name in wanted:
        found = [name] if name in known else by_last_part.get(name, [])
        if len(found) > 1:
            raise SettingError(
                f"exclude must name one image each, got {name!r}, which {len(found)} have: add the sub-folder, as in "
                f"{sorted(found)[0]!r}"
            )
        if not found:
            near = get_close_matches(name, known, n=1)
            raise SettingError(
                f"exclude must name good images that are there, got {name!r}"
                + (f": did you mean {near[0]!r}?" if near else ": names are as inspect and fit show them")
            )
        out.update(found)
    return [source for source in sources if source.name not in out], sorted(out)


def exclusion_notes(excluded: Sequence[str]) -> list[str]:
    """Which images were left out since they were named, as a sentence; none where none were."""
    if not excluded:
        return []
    shown = name_some(excluded, SHOWN_NAMES)
    return [f"{pluralize(len(excluded), 'image')} left out, as asked with exclude: {shown}."]


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingError(f"the list of images to exclude, {path}, cannot be read: {reason}") from error
    return [line.strip() for line in lines if line.strip()]


def list_references(reference: ReferenceImages, *, limits: ReadingLimits) -> list[Source]:
    """Reference images, each with its class as label, in a fixed order.

    Args:
        reference: a folder with one sub-folder a class, or sequences of images by class.
        limits: on pixels and bytes.

    Raises:
        FolderError: nothing there, images beside the sub-folders, or fewer than two classes.
    """
    if isinstance(reference, str | os.PathLike):
        shown = os.fsdecode(reference)
        found = [
            Source(file.name, label, partial(file.read, limits), file.file_format)
            for label, files in find_by_class(reference, limits=limits).items()
            for file in files
        ]
    elif isinstance(reference, Mapping):
        shown = "a mapping"
        found = []
        for label, items in reference.items():
            is_one = isinstance(items, str | os.PathLike) or is_one_in_memory(items)
            if is_one or not isinstance(items, Iterable):
                raise FolderError(
                    f"reference must have a sequence of images for each class, got {type(items).__name__} for "
                    f"{label!r}: give a list, or one folder with a sub-folder for each class"
                )
            for place, item in enumerate(items):
                name = f"{label}: {name_of(item, place)}"
                found.append(Source(name, str(label), _reader(item, name, limits)))
    else:
        raise FolderError(
            f"reference must be a folder, or sequences of images by class, got {type(reference).__name__}"
        )
    labels = {source.label for source in found}
    if len(labels) < 2:
        raise FolderError(
            f"reference images must be of at least 2 classes, got {', '.join(sorted(labels)) or 'none'} in "
            f"{shown}: {REFERENCE_WHY}"
        )
    return found


def is_one_in_memory(item: Any) -> bool:
    """Whether it is one image rather than several: an array [N, H, W, C] is several, any other one, not its rows."""
    return isinstance(item, bytes | Image.Image | NamedImage) or (isinstance(item, np.ndarray) and item.ndim != 4)


def _reader(
    item: Any, name: str, limits: ReadingLimits, channel_order: ChannelOrder = "rgb"
) -> Callable[[], ImageArray]:
    if isinstance(item, ImageFile):
        return partial(item.read, limits)
    page = None
    if isinstance(item, NamedImage):
        item, page, channel_order = item.image, item.page, item.channel_order or channel_order
    order = channel_order if isinstance(item, np.ndarray) else "rgb"  # files and PIL images say their own
    return partial(read_image, item, name=name, page=page, channel_order=order, limits=limits)


def _format_reader(item: Any) -> Callable[[], str | None]:
    if isinstance(item, ImageFile):
        return item.file_format
    return partial(format_of_source, item.image if isinstance(item, NamedImage) else item)


def name_of(item: Any, position: int) -> str:
    """What an image in a sequence is called: its name, its path, or its place."""
    if isinstance(item, ImageFile | NamedImage):
        return item.name
    return os.fspath(item) if isinstance(item, str | os.PathLike) else f"image {position}"
