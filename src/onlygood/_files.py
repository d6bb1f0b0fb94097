"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onlygood.errors import WriteError


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that at every moment the path holds either what it held before or all of the content.

    The content goes to a temporary sibling, is read back and compared, then renamed over the path. Whatever goes wrong,
    Ctrl-C included, the sibling is removed.

    Raises:
        WriteError: no such folder, no permission, no space, a folder in the way, or a disk that gives back other bytes.
    """
    target = _regular(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with _explained(target):
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if temporary.read_bytes() != content:
                raise WriteError(f"{target} cannot be written: the disk gave back other bytes than were written to it")
            temporary.replace(target)
    finally:
        with suppress(OSError):  # where it cannot be removed it could not be made, and that is what is reported
            temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that cannot be written, before long work begins.

    Raises:
        WriteError: no such folder, no permission, or a folder in the way.
    """
    target = _regular(path)
    with _explained(target):
        if target.is_dir():
            raise WriteError(f"{target} is a folder where a file is to be written: add a file name")
        if not target.parent.is_dir():
            raise WriteError(f"{target} cannot be written: there is no folder {target.parent}: make it first")
        probe = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        probe.touch(exist_ok=False)
        probe.unlink()


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, made if it was not there.

    Raises:
        WriteError: it cannot be made, or a file is in the way.
    """
    folder = Path(path)
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _regular(path: str | os.PathLike[str]) -> Path:
    """Where a path leads, through links: the link stays, and what it points to is written.

    Raises:
        WriteError: to something that is neither a file nor a folder, such as a device.
    """
    target = Path(path)
    with _explained(target):
        target = target.resolve() if target.is_symlink() else target
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise WriteError(f"{target} must be a file or a new name, got a device or pipe: name a file")
    return target


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns the system's errors into a WriteError that names the path."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WriteError(f"{path} cannot be written: {reason}: choose another place or make room") from error
