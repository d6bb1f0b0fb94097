"""Silence of the decoders' loggers while this thread reads an image: what matters is in the error that we raise."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("tifffile", "imagecodecs", "pydicom")


class _SilenceFilter(logging.Filter):
    """Drops what is logged while this thread reads an image, and nothing that other threads log."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.thread, "reading", False)


_SILENCE = _SilenceFilter()


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Within, tifffile, imagecodecs and pydicom log nothing in this thread."""
    # a filter added once and switched on per thread: setting a logger's level would race with other threads
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_SILENCE)
    _SILENCE.thread.reading = True
    try:
        yield
    finally:
        _SILENCE.thread.reading = False
