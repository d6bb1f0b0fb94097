"""What a station that runs says on stderr: one line an event."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from onlygood.cli.console import complain

# Those whose warnings are of interest to who runs a station.
_OTHERS = ("uvicorn", "asyncio", "concurrent.futures")
# A line for each request: with -v alone, or a station that is asked every second fills a disk in a year.
_ACCESS = "onlygood.station.access"


class _Lines(logging.Handler):
    """Writes records as all commands write to stderr: what steers a terminal is written out."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, and the lines of its traceback behind it."""
        try:
            for line in self.format(record).splitlines():
                complain(line)
        except Exception:
            self.handleError(record)


@contextmanager
def station_log(level: int, *, with_times: bool = True) -> Iterator[None]:
    """While it lasts, the station's log goes to stderr, from this level on, and warnings of what serves it.

    Args:
        level: of `logging`.
        with_times: whether each line begins with the time; below systemd none does, whose journal has its own.
    """
    handler = _Lines()
    begins = "%(asctime)s " if with_times and "JOURNAL_STREAM" not in os.environ else ""
    handler.setFormatter(logging.Formatter(f"{begins}%(levelname)s %(message)s"))
    loggers = [logging.getLogger("onlygood.station"), *map(logging.getLogger, _OTHERS)]
    access = logging.getLogger(_ACCESS)
    before = [(each, each.level, each.propagate) for each in (*loggers, access)]
    access.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
        each.setLevel(level if each is loggers[0] else max(level, logging.WARNING))
    try:
        yield
    finally:
        for each, former, propagates in before:
            each.removeHandler(handler)
            each.setLevel(former)
            each.propagate = propagates
