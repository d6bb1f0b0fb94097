"""What lies in a folder into which other programs write: the image files, and the folders below it."""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from onlygood.images.extensions import extension_of, readable_extensions

# What programs call a file that they have not finished; hidden files begin with a dot.
_UNFINISHED = (".part", ".tmp", ".temp", ".partial", ".filepart", ".crdownload", ".download", ".swp", "~")

Signature = tuple[int, int, int]
"""Of a file: bytes, and the times in nanoseconds at which its content and anything of it changed."""


@dataclass
class Listing:
    """What was found.

    Attributes:
        files: for each image file, by its path within the folder with slashes, its signature.
        folders: the folder and those below it, each with its device and its number in the file system.
        closed: folders that may not be read, as paths within the folder.
        others: of each extension that is no image's, one file.
    """

    files: dict[str, Signature] = field(default_factory=dict)
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)


def list_images(root: Path) -> Listing:
    """The image files in a folder and in those below it. Links are not followed, the folder itself excepted.

    Args:
        root: the folder.

    Raises:
        OSError: the folder itself is not there or may not be read.
    """
    extensions = _image_extensions()
    found = Listing()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        folder = root / inside
        try:
            status = folder.stat()
            entries = list(os.scandir(folder))
        except OSError:
            if not inside:
                raise
            if folder.is_dir():
                found.closed.append(inside.rstrip("/"))
            continue
        found.folders[str(folder)] = (status.st_dev, status.st_ino)
        for entry in entries:
            name = inside + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        waiting.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False) and not is_unfinished(entry.name):
                    extension = extension_of(entry.name)
                    if extension in extensions:
                        found.files[name] = signature_of(entry.stat(follow_symlinks=False))
                    else:
                        found.others.setdefault(extension, name)
            except OSError:
                continue  # it vanished in this moment, or cannot be asked: the next look finds out
    return found


def is_unfinished(name: str) -> bool:
    """Whether a file's name says that it is hidden or not finished.

    Args:
        name: without folders.
    """
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def signature_of(status: os.stat_result) -> Signature:
    """What changes where a file changes."""
    # not its number in the file system, which some network drives make up each time
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def look_at(path: Path) -> Signature | None:
    """The signature of an image file by that path; None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    is_image = extension_of(path.name) in _image_extensions() and not is_unfinished(path.name)
    return signature_of(status) if is_image and stat.S_ISREG(status.st_mode) else None


@functools.cache
def _image_extensions() -> frozenset[str]:
    """Those of images that are read here; which libraries there are does not change while a station runs."""
    return frozenset(readable_extensions())
