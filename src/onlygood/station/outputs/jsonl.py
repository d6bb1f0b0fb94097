"""Verdicts in a file: one JSON object a line."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from onlygood._paths import given_path
from onlygood.errors import OutputError
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import JsonLinesOutput

# A line that was not finished begins with as much of this as was written: every line of ours begins with it.
_BEGINNING = b'{"id":'
_CHUNK_BYTES = 1 << 16


class JsonLines:
    """Appends to a file, and is on the disk before `deliver` returns.

    A line that a killed process left unfinished is removed: its inspection is written again. A file that was moved or
    deleted by others is begun again at the same path.
    """

    kind = "jsonl"

    def __init__(self, settings: JsonLinesOutput) -> None:
        """Nothing is opened before `open`.

        Raises:
            SettingError: an empty path.
        """
        self.name = settings.name
        self._path = given_path(settings.path).absolute()
        self._max_bytes, self._max_files = settings.max_bytes, settings.max_files
        self._file: int | None = None

    def open(self) -> None:
        """Open the file for appending; it is made where it is not there.

        Raises:
            OutputError: it cannot be opened, or it holds something else than lines of ours.
        """
        if self._file is not None:
            return
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OutputError(f"output {self.name!r} needs a file, got {self._path}: name a file or a new name")
            self._remove_unfinished(self._file)
            _sync_folder(self._path.parent)
        except OSError as error:
            self.close()
            raise self._refused(error) from error
        except OutputError:
            self.close()
            raise

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Write a line for each, all or none of them.

        Raises:
            OutputError: the disk is full, or the file cannot be written.
        """
        self.check()
        lines = b"".join(record.model_dump_json().encode() + b"\n" for record in records)
        try:
            self._write(self._file_for(len(lines)), lines)
        except OSError as error:
            self.close()
            raise self._refused(error) from error

    def check(self) -> None:
        """Open the file again where others moved or deleted it.

        Raises:
            OutputError: it cannot be opened.
        """
        if self._file is not None and not self._is_at_path(self._file):
            self.close()
        self.open()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _file_for(self, num_bytes: int) -> int:
        """The open file, a new one where the lines do not fit into the old one."""
        assert self._file is not None, "open was called"
        size = os.fstat(self._file).st_size
        if size > 0 and size + num_bytes > self._max_bytes:
            self.close()
            for number in range(self._max_files - 1, 0, -1):
                with suppress(FileNotFoundError):
                    self._rotated(number).replace(self._rotated(number + 1))
            self._path.replace(self._rotated(1))
            self.open()
        return self._file

    def _rotated(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _write(self, file: int, lines: bytes) -> None:
        """Write and have it on the disk, or leave the file as it was."""
        before = os.fstat(file).st_size
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, before)
            raise

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except OSError:
            return False

    def _remove_unfinished(self, file: int) -> None:
        """Cut off a last line that does not end, where it is one of ours.

        Raises:
            OutputError: it is not, so that the file is someone else's.
        """
        size = position = os.fstat(file).st_size
        last = b""
        while position > 0 and b"\n" not in last:
            start = max(0, position - _CHUNK_BYTES)
            os.lseek(file, start, os.SEEK_SET)
            last = os.read(file, position - start) + last
            position = start
        unfinished = last[last.rfind(b"\n") + 1 :]
        if not unfinished:
            return
        if not (unfinished.startswith(_BEGINNING) or _BEGINNING.startswith(unfinished)):
            raise OutputError(
                f"output {self.name!r} appends to files that it wrote, got {self._path}, "
                f"whose last line is no inspection: name another file"
            )
        os.ftruncate(file, size - len(unfinished))

    def _refused(self, error: OSError) -> OutputError:
        reason = (error.strerror or str(error)).lower()
        remedy = _REMEDIES.get(error.errno or 0, "name another file")
        return OutputError(f"output {self.name!r} cannot write {self._path}: {reason}: {remedy}")


_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "make room, or lower max_bytes",
    errno.EACCES: "mend the permissions of file and folder",
    errno.EPERM: "mend the permissions of file and folder",
    errno.EROFS: "choose a disk that can be written",
    errno.ENOENT: "make the folder",
}


def _sync_folder(folder: Path) -> None:
    """Have the folder's entries on the disk, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
