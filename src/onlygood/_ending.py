"""How a process ends that is told to: by Ctrl-C, by a service manager, or since its terminal was closed.

Python raises KeyboardInterrupt wherever its main thread happens to be: within an import, a destructor or a callback of
a library, where it becomes another error or is lost. Here the process ends in the handler itself: what asked to be done
before is done, files that are half-written are removed, and nothing else runs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

# What is said of each signal; a system may not have all of them.
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up", "SIGBREAK": "interrupted"}
# To be done before files are removed, the last first: what keeps the work so far.
_keeping: list[Callable[[], None]] = []
# To be done at the very end.
_removing: list[Callable[[], None]] = []
# The process that is to end so, and whether it has begun to.
_state: dict[str, int] = {}


def end_on_signals() -> None:
    """From now on the signals that end a process end this one at once, with exit code 128 and the signal's number.

    A signal that is ignored, as for background jobs of a shell or below nohup, stays so.
    """
    _state["process"] = os.getpid()
    for name in _WORDS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def end_as_others() -> None:
    """From now on those signals do what they do to any process: when all work is done, and Python takes itself down."""
    for name in _WORDS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def before_ending(act: Callable[[], None]) -> Iterator[None]:
    """While it lasts, `act` is called when a signal ends the process: on the main thread, between any two of its steps.

    Those that began last are called first. What it writes must be whole whenever it is called, and it must not wait for
    a lock that the main thread may hold.
    """
    _keeping.append(act)
    try:
        yield
    finally:
        _keeping.remove(act)


def when_ending(act: Callable[[], None]) -> None:
    """Have `act` called at the very end, also where a second signal cuts short what comes before."""
    _removing.append(act)


def tell(text: str) -> None:
    """A line on stderr, past what the interrupted thread may be in the middle of writing there."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))


def _end(number: int, _: FrameType | None) -> NoReturn:
    try:
        if _state.get("process") == os.getpid():  # and not a copy of it that it has made
            is_first, _state["ending"] = "ending" not in _state, number
            if is_first:
                with suppress(Exception):
                    if sys.stderr.isatty():
                        tell("")  # a progress bar may stand on this line
                for act in reversed(_keeping):
                    with suppress(Exception):
                        act()
            for act in _removing:
                with suppress(Exception):
                    act()
            if is_first:
                _flush_output()
                tell(f"onlygood: {_WORDS[signal.Signals(number).name]}; nothing half-written was left")
    finally:
        os._exit(128 + number)


def _flush_output() -> None:
    """Send on the lines printed so far, unless that could wait for a reader that has stopped reading."""
    import select

    with suppress(Exception):
        if os.name != "posix" or select.select([], [sys.stdout], [], 0)[1]:
            sys.stdout.flush()
