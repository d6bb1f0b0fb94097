"""What all commands share: exit codes, and what they say on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXIT_GOOD, EXIT_ANOMALY, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 2, 130, 141


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


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)
