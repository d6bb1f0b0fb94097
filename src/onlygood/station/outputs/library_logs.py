"""Keeping libraries out of the log that say again, with every attempt, what an `OutputError` says once."""

from __future__ import annotations

import logging


def silence(library: str) -> None:
    """Let nothing of a library into the log; whoever gave its logger a level of their own keeps that.

    Args:
        library: the name of its logger.
    """
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
