"""Paths that people give."""

from __future__ import annotations

import os
from pathlib import Path

from onlygood.errors import OnlygoodError, SettingError


def given_path(path: str | os.PathLike[str], *, error: type[OnlygoodError] = SettingError) -> Path:
    """The path. `Path` takes an empty one, as of a variable that is not set, for the current folder.

    Args:
        path: as it was given.
        error: of the kind that its reader raises.

    Raises:
        SettingError: it is empty; or whichever error is asked for.
    """
    if not os.fspath(path):
        raise error("a path must not be empty, got '': give a file or a folder, '.' for the one that you are in")
    return Path(path)
