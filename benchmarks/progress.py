"""A line on stderr while a run lasts: which it is, and for how long it has run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

# How often the line is drawn again, in seconds: on a terminal, and in a file or pipe, where each time is a new piece.
EVERY_S, EVERY_S_ELSEWHERE = 1.0, 60.0


@contextmanager
def running(title: str, *, number: int, total: int) -> Iterator[None]:
    """Show a run while it lasts, with the time that it has taken so far.

    Args:
        title: the run in a few words.
        number: its place among those that are run now, from 1.
        total: how many are.
    """
    bar = tqdm(
        total=total,
        initial=number - 1,
        desc=f"[{number}/{total}] {title}",
        bar_format="{desc} ({elapsed})",
        leave=False,
        file=sys.stderr,
    )
    ended = threading.Event()

    def redraw() -> None:
        while not ended.wait(EVERY_S if sys.stderr.isatty() else EVERY_S_ELSEWHERE):
            bar.refresh()

    thread = threading.Thread(target=redraw, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        bar.close()
