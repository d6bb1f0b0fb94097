"""Image files in the data folder, each named by the SHA-256 of its content: the same image twice is one file."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock

from onlygood.errors import StoreError

FOLDER_NAME = "images"
_TEMPORARY = "unfinished"


class Images:
    """The files, in two levels of sub-folders by their first digits. Methods may be called from any thread.

    A file is written before the row that names it is committed, and removed after no row names it any more. Between
    the two it is held, so that nothing removes what is about to be named.

    Args:
        folder: of the images; made where it is missing.

    Raises:
        StoreError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary = folder / _TEMPORARY
        self._numbers = count()
        self._guard = Lock()
        self._held: Counter[str] = Counter()
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
            for leftover in self._temporary.iterdir():
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder of images {folder} must be writable, got an error ({error.strerror}): check who owns it"
            ) from error

    def hold(self, content: bytes) -> str:
        """The digest of an image that is about to be kept; `release` it once a row names it, or none will.

        Args:
            content: of its file.
        """
        digest = hashlib.sha256(content).hexdigest()
        with self._guard:
            self._held[digest] += 1
        return digest

    def release(self, digest: str) -> None:
        """End what `hold` began."""
        with self._guard:
            self._held[digest] -= 1
            if self._held[digest] <= 0:
                del self._held[digest]

    def write(self, digest: str, content: bytes) -> None:
        """Write a file that is held, so that it outlives a loss of power; at once where it is there.

        The path holds all of the content or does not exist.

        Args:
            digest: of the content.
            content: of the file.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        path = self.path(digest)
        if _size(path) == len(content):
            return
        temporary = self._temporary / f"{digest}-{next(self._numbers)}"
        try:
            with temporary.open("wb", buffering=0) as file:
                file.write(content)
                os.fsync(file.fileno())
            try:
                temporary.replace(path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def path(self, digest: str) -> Path:
        """Where the file of a digest lies, if it is there."""
        return self.folder / digest[:2] / digest[2:4] / digest

    def read(self, digest: str) -> bytes | None:
        """The content of a file; None where it is not there.

        Args:
            digest: of the content.

        Raises:
            StoreError: it cannot be read, or is no longer what was written.
        """
        path = self.path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"the image {path} cannot be read ({error.strerror}): check the disk") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"the image {path} is damaged, its content is not what was written: check the disk")
        return content

    def remove(self, digest: str, is_needed: Callable[[str], bool]) -> int:
        """Remove a file unless it is held or needed; returns the bytes that became free.

        Args:
            digest: of its content.
            is_needed: whether some row names it; asked while nothing can begin to hold it.
        """
        path = self.path(digest)
        with self._guard:
            if digest in self._held or is_needed(digest):
                return 0
            size = _size(path)
            try:
                path.unlink()
            except OSError:
                return 0
        return size or 0

    def digests(self) -> Iterator[str]:
        """Those of all files, in no order; while files come and go, those that are there throughout."""
        for first in _folders(self.folder):
            for second in _folders(first):
                with suppress(OSError), os.scandir(second) as entries:
                    for entry in entries:
                        if len(entry.name) == 64 and entry.name.startswith(first.name + second.name):
                            yield entry.name

    def kept_bytes(self) -> int:
        """Of all files that are there."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if len(path.name) == 2 and path.is_dir()]
    except OSError:
        return []


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
