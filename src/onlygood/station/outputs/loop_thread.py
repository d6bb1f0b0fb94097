"""An asyncio loop on a thread of its own, for libraries that need one in a program that has none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
_log = logging.getLogger("onlygood.station")


class LoopThread:
    """Runs coroutines for other threads, from construction to `close`."""

    def __init__(self, name: str) -> None:
        """The thread runs at once.

        Args:
            name: of the thread.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """What a coroutine returns; not to be called from the loop's own thread.

        Raises:
            TimeoutError: it did not end in time, and was cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            if not future.done():
                future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background, until it ends or the thread is closed; an error goes into the log."""
        asyncio.run_coroutine_threadsafe(work, self._loop).add_done_callback(self._ended)

    def close(self) -> None:
        """Cancel what runs, and end the thread; no error where it has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _ended(self, future: Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.error("what runs on the thread %r ended unexpectedly", self._thread.name, exc_info=error)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            running = asyncio.all_tasks(self._loop)
            for task in running:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*running, return_exceptions=True))
            # A connection that was closed is closed in one of the next turns of the loop.
            self._loop.run_until_complete(asyncio.sleep(0.01))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
