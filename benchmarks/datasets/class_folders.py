"""CIFAR-10 as image files: `train/<class>/` and `test/<class>/`, in a folder or in a zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.files import IMAGE_SUFFIXES, images_below, reason
from benchmarks.datasets.one_versus_rest import OneVersusRest, Part, one_versus_rest
from benchmarks.datasets.tasks import TaskImage
from onlygood import LabelledSetError

MAX_ARCHIVE_BYTES = 1_000_000_000
"""Most bytes of images that an archive may hold: those of a task are kept in memory, encoded as they are."""
_SPLITS = ("train", "test")
_JPEG = (".jpe", ".jpeg", ".jpg")
_RECODED = "re-coded as JPEG: pixels differ from the original batches"


@dataclass(frozen=True, eq=False)
class _Found:
    """Names of images, `<split>/<class>/...`, in order, and how to load one."""

    names: Sequence[str]
    load: Callable[[str], TaskImage]


def open_class_folders(name: str, path: Path) -> OneVersusRest:
    """The data set of a folder, or of a zip archive, from which images are read when a task needs them.

    An image in an archive that turns out to be damaged or encrypted is a LabelledSetError then.

    Raises:
        LabelledSetError: no such folders, images outside a class's folder, a class that is missing from one split,
            or an archive that is damaged or too large.
        FolderError: a split that cannot be listed or holds no images.
    """
    found = _in_folder(path) if path.is_dir() else _in_archive(path)
    classes = tuple(sorted({_label(image) for image in found.names}))
    is_jpeg = any(image.lower().endswith(_JPEG) for image in found.names)
    train, test = (_part(split, found, classes, path) for split in _SPLITS)
    return one_versus_rest(
        name=name, kind="cifar10", classes=classes, train=train, test=test, notes=(_RECODED,) if is_jpeg else ()
    )


def _label(image: str) -> str:
    return image.split("/")[1]


def _part(split: str, found: _Found, classes: tuple[str, ...], path: Path) -> Part:
    names = [name for name in found.names if name.startswith(f"{split}/")]
    numbers = {label: number for number, label in enumerate(classes)}
    labels = np.array([numbers[_label(name)] for name in names], dtype=np.int64)

    def load(positions: NDArray[np.intp]) -> list[TaskImage]:
        return [found.load(names[position]) for position in positions]

    return Part(shown=f"{split} in {path}", labels=labels, load=load)


def _in_folder(path: Path) -> _Found:
    images: dict[str, TaskImage] = {}
    for split in _SPLITS:
        if not (path / split).is_dir():
            raise LabelledSetError(
                f"{path} must hold train/<class>/ and test/<class>/, or the batches of the original, got no folder "
                f"{split}: give the folder that holds both"
            )
        for file in images_below(path / split):
            if file.parent == path / split:
                raise LabelledSetError(
                    f"{path / split} must hold a folder for each class, got the image {file.name}: move it into one"
                )
            name = file.relative_to(path).as_posix()
            images[name] = TaskImage(name=name, source=file)
    return _Found(tuple(images), images.__getitem__)


def _in_archive(path: Path) -> _Found:
    with _unpacking(path):
        archive = zipfile.ZipFile(path)  # stays open as long as the data set: its list takes a second to read
        members = _members(archive, path)
    size = sum(member.file_size for member in members.values())
    if size > MAX_ARCHIVE_BYTES:
        raise LabelledSetError(
            f"{path} holds {size:,} bytes of images, and at most {MAX_ARCHIVE_BYTES:,} are read from an archive: "
            "unpack it and give the folder"
        )

    def load(name: str) -> TaskImage:
        with _unpacking(path):
            return TaskImage(name=name, source=archive.read(members[name]))

    return _Found(sorted(members), load)


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    """Turns whatever an archive's damage raises into a LabelledSetError: each compression has errors of its own."""
    try:
        yield
    except LabelledSetError:
        raise
    except Exception as error:
        raise LabelledSetError(f"{path} cannot be unpacked ({reason(error)}): download it again") from error


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Members that are images of a class, by `<split>/<class>/<file>`, below whatever folder holds all of them."""
    members: dict[str, zipfile.ZipInfo] = {}
    roots: set[tuple[str, ...]] = set()
    for member in archive.infolist():
        parts = PurePosixPath(member.filename).parts
        is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if len(parts) < 3 or parts[-3] not in _SPLITS or member.is_dir() or is_hidden:
            continue
        if not parts[-1].lower().endswith(IMAGE_SUFFIXES):
            continue
        name = "/".join(parts[-3:])
        if name in members:
            raise LabelledSetError(f"{path} must hold each image once, got {name} twice: download it again")
        roots.add(parts[:-3])
        members[name] = member
    if not members:
        raise LabelledSetError(
            f"{path} must hold images in train/<class>/ and test/<class>/, got {len(archive.infolist()):,} others: "
            "give another archive"
        )
    if len(roots) > 1:
        first, second, *_ = sorted("/".join(root) or "its top" for root in roots)
        raise LabelledSetError(
            f"{path} must hold one data set, got one in {first} and one in {second}: unpack it and give the folder of "
            "one of them"
        )
    return members
