"""Progress on long work: a bar on a terminal, silence anywhere else; and words to a program that asks for them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

# Of a terminal that does not know its size, such as a serial console: tqdm would find no room in it for a bar.
COLUMNS, ROWS = 80, 24
# Between two looks at the clock while there is nothing else to show.
TICK_S = 0.5


@dataclass(frozen=True)
class Progress:
    """Where a long work is.

    Attributes:
        step: what is done.
        done: of its items, so many.
        total: how many items there are; None where that is not known.
    """

    step: str
    done: int = 0
    total: int | None = None


# Who is told of the work of this context.
_told: ContextVar[Callable[[Progress], None] | None] = ContextVar("told", default=None)


@contextmanager
def reported(to: Callable[[Progress], None]) -> Iterator[None]:
    """While it lasts, `to` is told of all progress of this thread's work, whether or not anything is drawn.

    Args:
        to: called on this thread after each item, at the beginning of each step and for each line of a long work.
    """
    before = _told.set(to)
    try:
        yield
    finally:
        _told.reset(before)


def track(items: Iterable[T], *, total: int | None, description: str, show: bool) -> Iterator[T]:
    """The same items, with a bar on stderr while they are consumed, if `show` is set and stderr is a terminal.

    Args:
        items: taken as they are consumed.
        total: how many there are; None where that is not known.
        description: what the bar says.
        show: whether a bar is wanted.
    """
    tell = _told.get()
    if tell is not None:
        items = _telling(items, total, description, tell)
    if not (show and sys.stderr.isatty()):
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=description, unit="image", leave=False, file=sys.stderr, **_size())


def _telling(items: Iterable[T], total: int | None, description: str, tell: Callable[[Progress], None]) -> Iterator[T]:
    tell(Progress(description, 0, total))
    for done, item in enumerate(items, 1):
        yield item
        tell(Progress(description, done, total))


@contextmanager
def waiting(description: str, *, show: bool) -> Iterator[None]:
    """While it lasts, a line on stderr with the time that has passed: for work of which no share done is known.

    Args:
        description: what is done.
        show: whether the line is wanted; it is drawn if stderr is a terminal and the work takes longer than TICK_S.
    """
    tell = _told.get()
    if tell is not None:
        tell(Progress(description))
    if not (show and sys.stderr.isatty()):
        yield
        return
    from tqdm import tqdm

    started, is_done = time.time(), Event()

    def tick() -> None:
        if is_done.wait(TICK_S):
            return
        with tqdm(desc=description, bar_format="{desc}: {elapsed}", leave=False, file=sys.stderr, **_size()) as line:
            line.start_t = started
            while not is_done.wait(TICK_S):
                line.refresh()

    ticking = Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        is_done.set()
        ticking.join()


@contextmanager
def status_line(*, show: bool) -> Iterator[Callable[[str], None] | None]:
    """What shows the latest line of a long work on stderr, and clears it at the end; None unless somebody is told of
    progress, or `show` is set and stderr is a terminal.
    """
    tell = _told.get()
    if not (show and sys.stderr.isatty()):
        yield None if tell is None else lambda text: tell(Progress(text))
        return
    from tqdm import tqdm

    with tqdm(bar_format="{desc}", leave=False, file=sys.stderr, **_size()) as line:

        def say(text: str) -> None:
            line.set_description_str(text)
            if tell is not None:
                tell(Progress(text))

        yield say


def _size() -> dict[str, int]:
    """The size to draw for; empty where tqdm finds it out."""
    return {} if _knows_its_size() else {"ncols": COLUMNS, "nrows": ROWS}


def _knows_its_size() -> bool:
    """Whether stderr's terminal has a size, and not 0 by 0."""
    try:
        return all(side > 0 for side in os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError):  # no terminal of the system's
        return False
