"""Paths that people give."""

from __future__ import annotations

import os
import re
from pathlib import Path

from onlygood.errors import OnlygoodError, SettingError

# An address; a path that was made of one has one slash left.
_ADDRESS = re.compile(r"(?:(https?|ftp|s3|gs|file|smb):/|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)


def given_path(path: str | os.PathLike[str], *, error: type[OnlygoodError] = SettingError) -> Path:
    """The path. `Path` takes an empty one, as of a variable that is not set, for the current folder.

    Args:
        path: as it was given.
        error: of the kind that its reader raises.

    Raises:
        SettingError: it is empty or no path; or whichever error is asked for.
    """
    if not isinstance(path, str | os.PathLike):
        raise error(f"a path must be text or a pathlib.Path, got {type(path).__name__}: give one file or folder")
    if not os.fspath(path):
        raise error("a path must not be empty, got '': give a file or a folder, '.' for the one that you are in")
    return Path(path)


def missing(shown: str) -> str:
    """The sentence on a path that leads nowhere; an address or a home folder is named as what it is.

    Args:
        shown: the path as it was given.
    """
    address = _ADDRESS.match(shown)
    if address is not None:
        is_file = (address[1] or "").lower() == "file"
        remedy = "leave out file://" if is_file else "copy it to this machine, and give its path"
        return f"{shown} is an address where a path is meant: {remedy}"
    remedy = "write the home folder out, as ~ stands for it in a shell alone" if shown[0:1] == "~" else "check the path"
    return f"{shown} does not exist: {remedy}"
