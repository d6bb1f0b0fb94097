"""Results of other threads, awaited."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def result_of(future: Future[T]) -> T:
    """What a future of another thread gives; cancelled, it cancels that.

    `asyncio.wrap_future` leaves a cycle behind, in which a result, such as an anomaly map, stays in memory until the
    collector of cycles comes by.

    Args:
        future: whose result is awaited.

    Raises:
        BaseException: whatever the future raises.
    """
    loop = asyncio.get_running_loop()
    is_over = loop.create_future()

    def over(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(_settle, is_over)

    future.add_done_callback(over)
    try:
        await is_over
    except asyncio.CancelledError:
        future.cancel()
        raise
    return future.result()


def _settle(is_over: asyncio.Future[None]) -> None:
    if not is_over.done():
        is_over.set_result(None)
