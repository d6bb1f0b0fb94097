"""What all commands share: exit codes, and how they print: nowhere else does the package print a line.

Names of files are chosen by others: whatever steers a terminal is written out in every line.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from onlygood._printable import printable
from onlygood.errors import WriteError

EXIT_GOOD, EXIT_ANOMALY, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 2, 130, 141

# Of the command that runs: each process runs one, and tests one after the other.
_state = {"quiet": False, "without_output": False}


def open_closed_streams() -> None:
    """Lead standard streams that are closed, as for some services, to nowhere.

    Else the next file that is opened, such as a model, gets the number of one of them, and whatever a library prints
    there is written into that file.
    """
    _state["without_output"] = sys.stdout is None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))  # noqa: PTH123, SIM115


def require_output(subject: str) -> None:
    """Refuse to work for a result that nobody could get.

    Args:
        subject: whose result is what it prints.

    Raises:
        WriteError: the standard output was closed when the program began.
    """
    if _state["without_output"]:
        raise WriteError(f"{subject} needs the standard output, which is closed: open it, or send it to a file")


def output_reason(error: OSError) -> str:
    """Why the standard output cannot be written, and what to do."""
    remedy = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "send it elsewhere"
    return f"the standard output cannot be written: {(error.strerror or str(error)).lower()}: {remedy}"


def discard_output() -> None:
    """Send what is still to be printed nowhere, so that flushing it at exit cannot fail again."""
    _discard(sys.stdout)


def keep_quiet(quiet: bool) -> None:
    """Whether `say` says nothing from now on, as with --quiet."""
    _state["quiet"] = quiet


def show(text: str = "", *, flush: bool = False) -> None:
    """A line of the result, on stdout.

    Args:
        text: one line; what would break it is written out.
        flush: whether those who read it are to have it at once.
    """
    print(printable(text), flush=flush)


def show_json(value: Any, *, indent: int | None = 2, sort_keys: bool = False, flush: bool = False) -> None:
    """A result as JSON on stdout, ASCII alone, in which what is not seen is written out by JSON's own rules.

    Args:
        value: plain JSON values.
        indent: None for all in one line.
        sort_keys: whether names come in the order of the alphabet.
        flush: as for `show`.
    """
    print(json.dumps(value, indent=indent, sort_keys=sort_keys), flush=flush)


def say(text: str) -> None:
    """A line on stderr that is no error: nothing with --quiet."""
    if not _state["quiet"]:
        complain(text)


def say_json(value: Any) -> None:
    """As `say`, several lines of JSON."""
    for line in json.dumps(value, indent=2).splitlines():
        say(line)


def complain(text: str) -> None:
    """A line on stderr that is said whatever was asked for; where stderr cannot be written, the exit code is left."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    with suppress(OSError, ValueError):  # a stream that is none of the system's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
