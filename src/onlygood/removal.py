"""Which good images of a model are to be taken out: by their names, by the update that they came with, or by pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._paths import given_path
from onlygood._plurals import pluralize
from onlygood.datasets.given import LIST, find_given
from onlygood.datasets.sources import Source, list_sources
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.features.extraction import pixel_digest
from onlygood.features.known_images import KnownImages
from onlygood.images.reading import ChannelOrder, ReadingLimits
from onlygood.metadata import Update
from onlygood.validation import nearest

Removed: TypeAlias = str | os.PathLike[str] | Sequence[Any]
UPDATE = "update:"


def positions_to_remove(
    removed: Removed,
    known: KnownImages,
    updates: Sequence[Update],
    *,
    limits: ReadingLimits,
    threads: int,
    channel_order: ChannelOrder = "rgb",
) -> NDArray[np.int64]:
    """Positions of the images to be taken out, int64 [k], ascending.

    Args:
        removed: one or several of: the name of an image; `update:` and the number or the name of an update (0 are the
            images of the fit); a text file (.txt) with such a line each; a folder, archive, pattern or image, whose
            images are found by their pixels.
        known: the images of the model.
        updates: of the model, so far.
        limits: on pixels and bytes of images that are read.
        threads: images worked on at once; 0 for one a core.
        channel_order: of arrays with colour.

    Raises:
        SettingError: a name or an update that is not there, or a name that several images have.
        FolderError: images that are not among those of the model, or cannot be read.
    """
    items = [removed] if isinstance(removed, str | os.PathLike) or not isinstance(removed, Sequence) else list(removed)
    if not items:
        raise SettingError("remove must name at least one image, got none: leave it out to take none out")
    found: set[int] = set()
    for item in items:
        if isinstance(item, str | os.PathLike) and given_path(item).suffix.lower() == LIST:
            for line in _lines(given_path(item)):
                found |= _named(line, known, updates)
        elif isinstance(item, str) and (item.startswith(UPDATE) or item in known.names):
            found |= _named(item, known, updates)
        elif isinstance(item, str) and not (Path(item).exists() or "*" in item):
            raise _not_there(item, known)
        else:
            found |= _by_pixels(item, known, limits=limits, threads=threads, channel_order=channel_order)
    return np.array(sorted(found), dtype=np.int64)


def _named(name: str, known: KnownImages, updates: Sequence[Update]) -> set[int]:
    if name.startswith(UPDATE):
        return _of_update(name.removeprefix(UPDATE), known, updates)
    found = {position for position, each in enumerate(known.names) if each == name}
    if not found:
        raise _not_there(name, known)
    if len(found) > 1:
        batches = sorted({int(known.batches[each]) for each in found})
        raise SettingError(
            f"remove must name one image by each name, got {name!r}, which {len(found)} have (of "
            f"{', '.join(f'update:{each}' for each in batches)}): give their folder, or the whole update"
        )
    return found


def _of_update(which: str, known: KnownImages, updates: Sequence[Update]) -> set[int]:
    numbers = {"0": 0} | {str(update.number): update.number for update in updates}
    numbers |= {update.name: update.number for update in updates if update.name is not None}
    if which not in numbers:
        shown = ", ".join(f"{UPDATE}{each}" for each in numbers)
        raise SettingError(
            f"remove must name an update that the model has had, got {UPDATE}{which}{nearest(which, list(numbers))}: "
            f"it has {shown}"
        )
    found = set(np.flatnonzero(known.batches == numbers[which]).tolist())
    if not found:
        raise SettingError(
            f"remove must name images that are in the model, got {UPDATE}{which}, of which none are left: leave it out"
        )
    return found


def _by_pixels(
    item: Any, known: KnownImages, *, limits: ReadingLimits, threads: int, channel_order: ChannelOrder
) -> set[int]:
    sources = _sources(item, limits, channel_order)

    def digest(source: Source) -> str | ImageError:
        try:
            return pixel_digest(source.read())
        except ImageError as error:
            return error

    positions: dict[str, list[int]] = {}
    for position, each in enumerate(known.digests):
        positions.setdefault(each, []).append(position)
    found: set[int] = set()
    strangers = []
    for source, one in zip(sources, map_in_order(digest, sources, threads=threads), strict=True):
        if isinstance(one, ImageError):
            raise FolderError(f"images to take out must be readable to be found by their pixels: {one}") from one
        if one not in positions:
            strangers.append(source.name)
        found |= set(positions.get(one, ()))
    if strangers:
        raise FolderError(
            f"images to take out must be in the model, got {pluralize(len(strangers), 'image')} of {len(sources)} "
            f"whose pixels are not among those that it has learned from, the first {strangers[0]}: give the others"
        )
    return found


def _sources(item: Any, limits: ReadingLimits, channel_order: ChannelOrder) -> list[Source]:
    """Images that may well be in a folder of bad ones."""
    if isinstance(item, str | os.PathLike):
        return [Source(file.name, "", partial(file.read, limits)) for file in find_given(item, limits=limits).images]
    found = list_sources(
        item, group_by=None, groups=None, limits=limits, allow_one=True, command="update", channel_order=channel_order
    )
    return found.sources


def _not_there(name: str, known: KnownImages) -> SettingError:
    return SettingError(
        "remove must name images that are in the model, as fit and update were given them, or their folder, got "
        f"{name!r}, which it has never learned from{nearest(name, known.names)}"
    )


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingError(f"the list of images to take out, {path}, cannot be read: {reason}") from error
    return [line.strip() for line in lines if line.strip()]
