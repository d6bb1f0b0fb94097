"""Image files in the data folder, each named by the SHA-256 of its content: the same image twice is one file."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from itertools import count
from pathlib import Path
from threading import Event, Lock

from onlygood.errors import StoreError
from onlygood.station.station_settings import MIB

FOLDER_NAME = "images"
_IS_WINDOWS = sys.platform == "win32"
_TEMPORARY = "unfinished"
# Images are let go before the disk is as full as it may be, and a little more of them than was short.
ENOUGH = 1.1


class Images:
    """The files, in two levels of sub-folders by their first digits. Methods may be called from any thread.

    A file is written before the row that names it is committed, and removed after no row names it any more. Between
    the two it is held, so that nothing removes what is about to be named.

    Args:
        folder: of the images; made where it is missing.
        max_bytes: of all files; beyond, `is_short` is set.
        min_free_bytes: of the disk, that no image may take.
        kept_bytes: of the files that are there.

    Raises:
        StoreError: it cannot be made.
    """

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int, kept_bytes: int = 0) -> None:
        self.folder = folder
        self.max_bytes, self.min_free_bytes = max_bytes, min_free_bytes
        # Set while images should be let go to make room for others.
        self.is_short = Event()
        # Whether there may be files that no row names: of a station that was killed, or whose database went away.
        self.may_have_orphans = True
        self._kept_bytes = kept_bytes
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
            OSError: it cannot be written, or would take room that is to stay free; nothing is left of it.
        """
        path = self.path(digest)
        if _size(path) == len(content):
            _outlives_power_loss(path)
            return
        self._check_room(len(content))
        temporary = self._temporary / f"{digest}-{next(self._numbers)}"
        try:
            with temporary.open("wb", buffering=0) as file:
                _write_all(file, content)
                if _IS_WINDOWS:
                    os.fsync(file.fileno())
            self._give_name(temporary, path, len(content))
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        try:
            _outlives_power_loss(path)
        except OSError:
            self.remove(digest, lambda _: False, is_held=True)
            raise

    def _give_name(self, temporary: Path, path: Path, size: int) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._guard:
            # Another thread may have written the same content meanwhile.
            before = _size(path) or 0
            temporary.replace(path)
            self._kept_bytes += size - before
            if self._kept_bytes > self.max_bytes:
                self.is_short.set()

    def probe(self) -> None:
        """Whether an image could be written: no error where it could.

        Raises:
            OSError: it could not.
        """
        content = bytes(1 << 16)
        self._check_room(len(content))
        temporary = self._temporary / f"probe-{next(self._numbers)}"
        try:
            temporary.write_bytes(content)
        finally:
            temporary.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where the file of a digest lies, if it is there."""
        return file_of(self.folder, digest)

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

    def remove(
        self, digest: str, is_needed: Callable[[str], bool], *, is_orphan: bool = False, is_held: bool = False
    ) -> int | None:
        """Remove a file unless it is held or needed; returns the bytes that became free, None where it stays.

        Args:
            digest: of its content.
            is_needed: whether some row names it; asked while nothing can begin to hold it.
            is_orphan: whether it is none of those that are in `kept_bytes`.
            is_held: whether the caller holds it, and alone.
        """
        path = self.path(digest)
        with self._guard:
            if self._held[digest] > is_held or is_needed(digest):
                return None
            size = _size(path) or 0
            try:
                path.unlink()
            except OSError:
                return None
            if not is_orphan:
                self._kept_bytes -= size
        return size

    def remove_if_possible(self, digest: str, is_needed: Callable[[str], bool]) -> None:
        """The same for what was not recorded; where the database cannot say whether it is needed, later.

        Args:
            digest: of the content.
            is_needed: whether some row names it.
        """
        try:
            self.remove(digest, is_needed)
        except StoreError:
            self.may_have_orphans = True

    def _check_room(self, size: int) -> None:
        free = self.free_bytes() - size
        if free < ENOUGH * self.min_free_bytes:
            self.is_short.set()
        if free < self.min_free_bytes:
            raise OSError(
                errno.ENOSPC,
                f"the disk has {(free + size) / MIB:,.0f} MiB free, and {self.min_free_bytes / MIB:,.0f} MiB are to "
                "stay free",
            )

    @property
    def kept_bytes(self) -> int:
        """Of all files."""
        return self._kept_bytes

    def free_bytes(self) -> int:
        """Of the disk that the files are on."""
        return shutil.disk_usage(self.folder).free

    def lacking_bytes(self) -> int:
        """How many should become free: 0 while the files and the disk are within their bounds."""
        of_disk = math.ceil(ENOUGH * self.min_free_bytes) - self.free_bytes()
        return max(0, self._kept_bytes - self.max_bytes, of_disk)

    def digests(self) -> Iterator[tuple[str, list[str]]]:
        """Those of all files, by their first two digits; while files come and go, those that are there throughout."""
        for first in sorted(_folders(self.folder)):
            found = []
            for second in _folders(first):
                with suppress(OSError):
                    found += [file.name for file in second.iterdir() if _is_digest(file.name, first.name + second.name)]
            yield first.name, found


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if len(path.name) == 2 and path.is_dir()]
    except OSError:
        return []


def _write_all(file: FileIO, content: bytes) -> None:
    """Write every byte: a disk that is almost full takes some and says how many."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _outlives_power_loss(path: Path) -> None:
    """Have the file's content and its name on the disk, when this returns; at once where they are."""
    if _IS_WINDOWS:
        return  # its content was written through before it got its name
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_of(folder: Path, digest: str) -> Path:
    """Where the file of a digest lies in a folder of images.

    Args:
        folder: of the images.
        digest: of the content.
    """
    return folder / digest[:2] / digest[2:4] / digest


def reason_of(error: OSError) -> str:
    """Why a file could not be written, to stand within a sentence."""
    said = error.strerror or str(error) or type(error).__name__
    return said[0].lower() + said[1:]


def _is_digest(name: str, begin: str) -> bool:
    return len(name) == 64 and name.startswith(begin) and not set(name) - set("0123456789abcdef")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
