"""All files below a folder or in a ZIP archive, in one order for every machine, and what is not looked at there."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from onlygood.datasets.folder_names import FolderKind, folder_kind
from onlygood.errors import FolderError, ImageError, ImageTooLargeError
from onlygood.images.extensions import extension_of, readable_extensions
from onlygood.images.limits import ReadingLimits, damaged, reason
from onlygood.images.signatures import HEAD_BYTES

ARCHIVE = ".zip"


@dataclass(frozen=True)
class Member:
    """A file in a ZIP archive.

    Attributes:
        archive: the archive's path.
        name: as the archive has it.
    """

    archive: Path
    name: str

    def head(self) -> bytes:
        """Its first bytes; none where it cannot be read."""
        try:
            return self.read(self.name, ReadingLimits(), most=HEAD_BYTES)
        except ImageError:
            return b""

    def read(self, shown: str, limits: ReadingLimits, *, most: int | None = None) -> bytes:
        """Its bytes; nothing is unpacked onto the disk.

        Args:
            shown: what errors call it.
            limits: bound on bytes.
            most: how many are wanted, from its beginning; all unless given.

        Raises:
            ImageTooLargeError: it has more bytes than the limit.
            ImageError: it is gone, encrypted, damaged, or compressed in a way that is not read.
        """
        try:
            opened = _open_archive(self.archive, _stamp(self.archive))
            info = opened.getinfo(self.name)
            if info.flag_bits & 1:
                raise ImageError(f"{shown} is encrypted in its archive: unpack {self.archive} and give the folder")
            with opened.open(info) as file:
                # One byte more than the limit: what an archive says of its sizes need not be true.
                data = file.read(limits.max_bytes + 1 if most is None else most)
        except ImageError:
            raise
        except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise damaged(shown, "ZIP", f"it cannot be unpacked ({reason(error)})") from error
        except Exception as error:
            if type(error).__module__ in ("zlib", "lzma", "bz2"):  # each codec has an error of its own
                raise damaged(shown, "ZIP", f"it cannot be unpacked ({reason(error)})") from error
            raise
        if len(data) > limits.max_bytes:
            raise ImageTooLargeError(
                f"{shown} has more than {limits.max_bytes:,} bytes in its archive, the most that are read: make it "
                "smaller or raise max_bytes"
            )
        return data


@dataclass
class FileTree:
    """What lies below a folder or in an archive.

    Attributes:
        shown: the folder's or archive's path, for errors.
        files: each by its relative path, with forward slashes.
        service_folders: relative paths of folders that a storage system or an archive keeps for itself.
        service_images: how many files in those have an image's extension, as far as they may be listed.
    """

    shown: str
    files: dict[str, Path | Member] = field(default_factory=dict)
    service_folders: list[str] = field(default_factory=list)
    service_images: int = 0
    _readable: frozenset[str] = field(default_factory=lambda: frozenset(readable_extensions()))

    def is_image(self, name: str) -> bool:
        """Whether a file of that name has the extension of images that are read."""
        return extension_of(name) in self._readable

    def images(self) -> dict[str, Path | Member]:
        """The files whose extensions are those of images that are read, sorted by relative path."""
        return {relative: self.files[relative] for relative in sorted(self.files) if self.is_image(relative)}

    def others(self) -> list[str]:
        """The other files, sorted."""
        return sorted(relative for relative in self.files if not self.is_image(relative))

    def head(self, relative: str) -> bytes:
        """The first bytes of a file; none of what cannot be read, or is a pipe or a device."""
        file = self.files[relative]
        if isinstance(file, Member):
            return file.head()
        try:
            if not file.is_file():
                return b""
            with file.open("rb") as opened:
                return opened.read(HEAD_BYTES)
        except OSError:
            return b""

    def leave_out(self, relative: str, folder: Path) -> None:
        """Count a service folder, and the images in it as far as they may be listed, instead of its files."""
        self.service_folders.append(relative)
        self.service_images += sum(map(self.is_image, _names_below(folder)))


def folder_tree(root: Path, shown: str) -> FileTree:
    """What lies below a folder: linked folders wait until all real ones have been listed.

    Each folder is listed once, under its own path rather than a link's where it has both: an image under two names
    would stand on both sides of a split. Names that begin with a dot are skipped, and so are service folders.

    Raises:
        FolderError: a folder that may not be listed, unless it is a service folder.
    """
    tree = FileTree(shown)
    seen: set[tuple[int, int]] = set()
    real: list[tuple[str, Path]] = [("", root)]
    linked: list[tuple[str, Path]] = []
    while real or linked:
        prefix, folder = real.pop() if real else linked.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            where = f"{prefix[:-1]} in {shown}" if prefix else shown
            said = error.strerror or type(error).__name__
            raise FolderError(f"{where} cannot be listed ({said}): change its permissions or move it away") from error
        for entry in entries:
            if not _is_folder(entry):
                if not entry.name.startswith("."):
                    tree.files[prefix + entry.name] = folder / entry.name
            elif folder_kind(entry.name) is FolderKind.SERVICE:
                tree.leave_out(prefix + entry.name, folder / entry.name)
            elif not entry.name.startswith("."):
                (linked if entry.is_symlink() else real).append((f"{prefix}{entry.name}/", folder / entry.name))
    return tree


def archive_tree(path: Path, shown: str) -> FileTree:
    """What a ZIP archive holds; nothing is unpacked.

    Raises:
        FolderError: it cannot be read, or is no ZIP archive.
    """
    tree = FileTree(shown)
    try:
        entries = _open_archive(path, _stamp(path)).infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise FolderError(
            f"{shown} must be a ZIP archive that can be read, got one that cannot ({reason(error)}): copy it again, or "
            "unpack it and give the folder"
        ) from error
    service: set[str] = set()
    for entry in entries:
        parts = [part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if entry.is_dir() or not parts:
            continue
        hidden = next((at for at, part in enumerate(parts[:-1]) if folder_kind(part) is FolderKind.SERVICE), None)
        if hidden is not None:
            service.add("/".join(parts[: hidden + 1]))
            tree.service_images += tree.is_image(parts[-1])
        elif not any(part.startswith(".") for part in parts):
            tree.files["/".join(parts)] = Member(path, entry.filename)
    tree.service_folders = sorted(service)
    return tree


def service_tree(root: Path, shown: str) -> FileTree:
    """The service folders right in a folder, and nothing else of it."""
    tree = FileTree(shown)
    for entry in sorted(root.iterdir()):
        if folder_kind(entry.name) is FolderKind.SERVICE and entry.is_dir():
            tree.leave_out(entry.name, entry)
    return tree


@lru_cache(maxsize=4)
def _open_archive(path: Path, stamp: tuple[int, int]) -> zipfile.ZipFile:
    """An archive, opened once for all of its files, on any thread; `stamp` makes a changed file another one."""
    return zipfile.ZipFile(path)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _names_below(folder: Path) -> Iterator[str]:
    """The names of all files below a folder; of what may not be listed, none."""
    for _, folders, names in os.walk(folder):
        folders.sort()
        yield from names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
