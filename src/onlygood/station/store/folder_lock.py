"""One station on one data folder: a lock that the operating system releases when the process ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from onlygood.errors import StoreError

FILE_NAME = "station.lock"
# Beyond what is written into the file, since Windows lets nobody read what is locked.
_LOCKED_BYTE = 1 << 20


class FolderLock:
    """Holds a data folder until it is closed.

    Args:
        data: the folder, which exists.

    Raises:
        StoreError: another station holds it, or the file cannot be written.
    """

    def __init__(self, data: Path) -> None:
        path = data / FILE_NAME
        try:
            self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        except OSError as error:
            raise StoreError(
                f"the data folder {data} must be writable, got an error ({error.strerror}): check who owns it"
            ) from error
        try:
            _lock(self._file.fileno())
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read(20).decode("ascii", "replace").strip()
            self._file.close()
            raise StoreError(
                f"the data folder {data} must belong to one station alone, got one that the process {holder or '?'} "
                "has open: end that one, or give another folder"
            ) from error
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{os.getpid()}\n".encode("ascii"))

    def close(self) -> None:
        """Let others have the folder."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
