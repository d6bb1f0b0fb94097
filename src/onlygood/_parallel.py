"""Work on several threads, results in order, memory bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from onlygood._integers import check_threads

In = TypeVar("In")
Out = TypeVar("Out")


def map_in_order(work: Callable[[In], Out], items: Iterable[In], *, threads: int) -> Iterator[Out]:
    """`work` of each item, in the items' order, with few results waiting at any time.

    `ThreadPoolExecutor.map` takes all items at once and keeps every result that nobody has asked for yet, which for
    images is all of them.

    Args:
        work: called on several threads at once.
        items: taken as needed.
        threads: how many; 0 for one a core.

    Raises:
        SettingError: a number of threads that cannot be used.
    """
    return _mapped(work, items, check_threads(threads) or os.cpu_count() or 1)


def _mapped(work: Callable[[In], Out], items: Iterable[In], workers: int) -> Iterator[Out]:
    remaining = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Out]] = deque(pool.submit(work, item) for item in islice(remaining, 2 * workers))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(remaining, 1))
        finally:
            for future in waiting:
                future.cancel()


def one_blas_thread() -> AbstractContextManager[Any]:
    """While it lasts, each matrix product of NumPy takes one thread, so that several can run side by side.

    BLAS's own threads wait for one another at every product: beside a busy neighbour that costs many times what they
    gain. And how many there are changes the last digits of a product, and so, at times, which rows a memory keeps.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits
