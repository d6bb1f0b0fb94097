"""Which images are of which product."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from onlygood._plurals import name_some, pluralize
from onlygood.datasets.folders import ImageFile, group_labels
from onlygood.datasets.given import LIST, OnePath, find_given
from onlygood.datasets.sources import Source, exclude_named, exclusion_notes
from onlygood.datasets.tree import ARCHIVE
from onlygood.errors import FolderError, SettingError
from onlygood.features.independence import LEAST_GROUPS
from onlygood.images.reading import ReadingLimits
from onlygood.products.table import check_name, composed, in_order

FOLDER = "folder"
_SHOWN = 3


def images_by_product(
    images: OnePath | Sequence[OnePath],
    product_by: str,
    *,
    exclude: Sequence[str] | None,
    is_golden: bool,
    limits: ReadingLimits,
) -> tuple[dict[str, list[ImageFile]], list[str]]:
    """The images of each product, in the order of the products' names, and notes on what was left out.

    Args:
        images: a path, or several, as `find_given` takes them.
        product_by: "folder": of one folder or archive each sub-folder is a product, of several each of them is, by its
            last name; else a regular expression that is searched in each image's name, whose first group is its name.
        exclude: names of images to leave out, as of `onlygood.fit`.
        is_golden: whether one image is enough.
        limits: on pixels and bytes.

    Raises:
        FolderError: images that cannot be used, or products with too few of them.
        NotAllGoodError: a folder holds what looks like defects.
        SettingError: an image without a product, or a name that cannot be a product's.
    """
    if product_by != FOLDER:
        found = find_given(images, good="fit", limits=limits)
        files, notes = found.images, found.notes
        labels = group_labels(files, product_by, called="product_by")
    else:
        files, labels, notes = _by_folder(images, limits)
    by_name: dict[str, list[ImageFile]] = {}
    for file, label in zip(files, labels, strict=True):
        by_name.setdefault(composed(label), []).append(file)
    for name in by_name:
        check_name(name)
    if exclude is not None:
        sources = [Source(file.name, "", file.read) for file in files]
        kept, excluded = exclude_named(sources, exclude)
        names = {source.name for source in kept}
        by_name = {name: [each for each in own if each.name in names] for name, own in by_name.items()}
        notes = [*notes, *exclusion_notes(excluded)]
    least = 1 if is_golden else LEAST_GROUPS
    few = [f"{len(own)} of {name}" for name, own in sorted(by_name.items()) if len(own) < least]
    if few:
        remedy = "" if is_golden else ", or add --golden to learn from augmentations"
        raise FolderError(
            f"each product needs at least {pluralize(least, 'good image')}, got {name_some(few, _SHOWN)}: add images, "
            f"or leave these products out{remedy}"
        )
    return {name: by_name[name] for name in sorted(by_name, key=in_order)}, notes


def _by_folder(
    images: OnePath | Sequence[OnePath], limits: ReadingLimits
) -> tuple[list[ImageFile], list[str], list[str]]:
    """The images, the product of each, and notes."""
    given = [os.fspath(each) for each in ([images] if isinstance(images, str | os.PathLike) else images)]
    paths = [each for path in given for each in _matches(path)]
    for path in paths:
        if len(paths) > 1 and os.path.lexists(path) and not (Path(path).is_dir() or path.lower().endswith(ARCHIVE)):
            raise _no_folder(path)
        if path.lower().endswith(LIST) and Path(path).is_file():
            raise _no_folder(path)
    found = find_given(paths[0] if len(paths) == 1 else paths, good="fit", limits=limits)
    if len(paths) == 1:
        labels = [image.first_folder for image in found.images]
        beside = [image.name for image, label in zip(found.images, labels, strict=True) if not label]
        if beside:
            raise SettingError(
                f"product_by='folder' needs each image in a sub-folder that is called as its product, got {beside[0]} "
                f"in {paths[0]} itself ({len(beside):,} of {len(labels):,} images): move such images, or give a "
                "regular expression that finds the product in each name"
            )
        return found.images, labels, found.notes
    roots = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - links stay as they are called
    labels = []
    for image in found.images:
        place = Path(os.path.abspath(image.path))  # noqa: PTH100
        above = [root for root in roots if place.is_relative_to(root)]
        if image.problem is not None or not above:
            raise FolderError(image.problem or f"{image.name} must lie in one of the folders given, got it elsewhere")
        root = max(above, key=lambda each: len(each.parts))
        labels.append(root.stem if root.suffix.lower() == ARCHIVE and not root.is_dir() else root.name)
    return found.images, labels, found.notes


def _no_folder(path: str) -> SettingError:
    return SettingError(
        f"product_by='folder' needs one folder of products, or a folder for each, got {path}: give folders alone, or a "
        "regular expression that finds the product in each name"
    )


def _matches(path: str) -> list[str]:
    """What a pattern matches; a path as it is."""
    if "\0" in path or os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 - Path.glob takes no absolute patterns
