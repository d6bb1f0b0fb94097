"""Progress on long work: a bar on a terminal, silence anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], *, total: int | None, description: str, show: bool) -> Iterator[T]:
    """The same items, with a bar on stderr while they are consumed, if `show` is set and stderr is a terminal."""
    if not (show and sys.stderr.isatty()):
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=description, unit="image", leave=False, file=sys.stderr)
