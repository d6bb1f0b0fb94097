"""What all commands share: exit codes, and what they say on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXIT_GOOD, EXIT_ANOMALY, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 2, 130, 141

# Of the command that runs: each process runs one, and tests one after the other.
_state = {"quiet": False}


def note_other_files(paths: Sequence[str]) -> None:
    """Say on stderr which files were passed over, since an image under another extension may be among them."""
    from onlygood.datasets.folders import other_files

    for path in paths:
        others = other_files(path)
        if others:
            noun = "file" if len(others) == 1 else "files"
            say(f"note: {len(others)} other {noun} in {path} not looked at, the first: {others[0]}")


def discard_output() -> None:
    """Send what is still to be printed nowhere, so that flushing it at exit cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def keep_quiet(quiet: bool) -> None:
    """Whether `say` says nothing from now on, as with --quiet."""
    _state["quiet"] = quiet


def say(text: str) -> None:
    """A line on stderr that is no error: nothing with --quiet."""
    if not _state["quiet"]:
        complain(text)


def complain(text: str) -> None:
    """A line on stderr that is said whatever was asked for."""
    print(text, file=sys.stderr, flush=True)
