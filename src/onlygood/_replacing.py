"""A file that is replaced only if nobody else has written it since it was looked at."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onlygood._files import check_writable, write_atomically
from onlygood._paths import given_path
from onlygood.errors import WriteError

# A lock is held for as long as a file takes to be compared and written; one that is older is of a killed process.
ABANDONED_S = 60.0


class Replacing:
    """A path whose content is remembered, and replaced if it is still the same.

    Args:
        path: of a file, or a new name.

    Raises:
        WriteError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_writable(path)
        self.path = given_path(path, error=WriteError)
        self.before = self._digest()

    def write(self, content: bytes) -> None:
        """Replace the file, whole or not at all.

        Raises:
            WriteError: it cannot be written, or was written by someone else since.
        """
        with _locked(self.path):
            if self._digest() != self.before:
                raise WriteError(
                    f"{self.path} must be as it was when the update began, got a file that was written since: it was "
                    "left as it is; update that one"
                )
            write_atomically(self.path, content)

    def _digest(self) -> str | None:
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise WriteError(f"{self.path} cannot be read before it is written: {error.strerror}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """While it lasts, another process that would write this path is refused."""
    target = path.resolve()
    lock = target.with_name(f".{target.name[:80]}.lock")
    with suppress(OSError):
        if time.time() - lock.stat().st_mtime > ABANDONED_S:
            lock.unlink()
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError as error:
        raise WriteError(
            f"{path} is being written by another update: wait until it has ended, and update what it has written"
        ) from error
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
