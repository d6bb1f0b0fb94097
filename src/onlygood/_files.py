"""Writing files whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, RLock, current_thread, main_thread
from typing import BinaryIO

from onlygood._ending import when_ending
from onlygood._paths import given_path
from onlygood.errors import WriteError

# A temporary file that nobody has written to for so long is one of a process that was killed.
ABANDONED_S = 3600.0
# Of the name of a temporary file, the most that comes from its target's, in bytes: some systems allow 143 in all.
_MOST_BYTES = 100
# Temporary files that are there or about to be, and whether there are to be no more.
_unfinished: set[Path] = set()
_state = {"ending": False}
# The main thread may be interrupted while it holds it, and must then be able to have it again.
_guard = RLock()


def write_atomically(path: str | os.PathLike[str], content: bytes, *, is_private: bool = False) -> None:
    """Write a file so that at every moment the path holds either what it held before or all of the content.

    The content goes to a temporary sibling, is read back and compared, then renamed over the path. Whatever goes wrong,
    Ctrl-C included, the sibling is removed; that of a process that was killed, by the next `check_writable`.

    Args:
        path: of the file.
        content: of the file.
        is_private: whether its owner alone may read it, from its first moment on, as far as the file system has rights.

    Raises:
        WriteError: no such folder, no permission, no space, a folder in the way, or a disk that gives back other bytes.
    """
    target = _regular(path)
    _refuse_folder(target)
    with _explained(target), _temporary(target, is_private=is_private) as (temporary, file):
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if temporary.read_bytes() != content:
            raise WriteError(f"{target} cannot be written: the disk gave back other bytes than were written to it")
        temporary.replace(target)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that cannot be written, before long work begins; and tidy up after a process that was killed.

    Raises:
        WriteError: no such folder, no permission, or a folder in the way.
    """
    target = _regular(path)
    with _explained(target):
        _refuse_folder(target)
        if not target.parent.is_dir():
            raise WriteError(f"{target} cannot be written: there is no folder {target.parent}: make it first")
        with _temporary(target) as (_, file):
            file.close()
        _remove_abandoned(target)


def remove_unfinished() -> None:
    """Remove every temporary file of this process, and let no more be made: it is about to end."""
    with _guard:
        _state["ending"] = True
        for temporary in list(_unfinished):
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


when_ending(remove_unfinished)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, made if it was not there.

    Raises:
        WriteError: it cannot be made, or a file is in the way.
    """
    folder = given_path(path, error=WriteError)
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _regular(path: str | os.PathLike[str]) -> Path:
    """Where a path leads, through links: the link stays, and what it points to is written.

    Raises:
        WriteError: to something that is neither a file nor a folder, such as a device.
    """
    target = given_path(path, error=WriteError)
    with _explained(target):
        target = target.resolve() if target.is_symlink() else target
        with suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()  # says what the questions below answer with False: a name that is too long
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise WriteError(f"{target} must be a file or a new name, got a device or pipe: name a file")
    return target


def _refuse_folder(target: Path) -> None:
    if target.is_dir():
        raise WriteError(f"{target} is a folder where a file is to be written: add a file name")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns the system's errors into a WriteError that names the path."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WriteError(f"{path} cannot be written: {reason}: choose another place or make room") from error


@contextmanager
def _temporary(target: Path, *, is_private: bool = False) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside the target, which is there no longer at the end."""
    temporary = target.with_name(f".{_beginning(target)}.{secrets.token_hex(4)}.part")
    try:
        with _guard:
            if not _state["ending"]:
                _unfinished.add(temporary)
                if is_private:
                    temporary.touch(0o600, exist_ok=False)
                file = temporary.open("wb" if is_private else "xb")
        _wait_if_ending()
        with file:
            yield temporary, file
    except BaseException:
        _wait_if_ending()  # its file may have been removed below it
        raise
    finally:
        with suppress(OSError):  # where it cannot be removed it could not be made, and that is what is reported
            temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def _wait_if_ending() -> None:
    """Where the process is about to end, let it: a thread that fails to write then has nothing to report."""
    if _state["ending"] and current_thread() is not main_thread():
        Event().wait()


def _beginning(target: Path) -> str:
    """As much of the target's name as any file system has room for beside what is added to it."""
    name = target.name
    while len(os.fsencode(name)) > _MOST_BYTES:
        name = name[:-1]
    return name


def _remove_abandoned(target: Path) -> None:
    """Remove temporary files of this target that a killed process has left."""
    pattern = re.compile(rf"\.{re.escape(_beginning(target))}\.[0-9a-f]{{8}}\.part")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > ABANDONED_S:
                Path(entry.path).unlink()
