"""Progress on long work: a bar on a terminal, silence anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, description: str, show: bool) -> Iterator[T]:
    """The same items, with a bar on stderr while they are consumed, if `show` is set and stderr is a terminal."""
    if not (show and sys.stderr.isatty()):
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=description, unit="image", leave=False, file=sys.stderr)


@contextmanager
def status_line(*, show: bool) -> Iterator[Callable[[str], None] | None]:
    """What shows the latest line of a long work on stderr, and clears it at the end; None unless `show` is set and
    stderr is a terminal.
    """
    if not (show and sys.stderr.isatty()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(bar_format="{desc}", leave=False, file=sys.stderr) as line:
        yield line.set_description_str
