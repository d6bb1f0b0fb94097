"""What all commands share: exit codes, and what they say on stderr."""

from __future__ import annotations

import os
import sys

EXIT_GOOD, EXIT_ANOMALY, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 2, 130, 141

# Of the command that runs: each process runs one, and tests one after the other.
_state = {"quiet": False}


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
