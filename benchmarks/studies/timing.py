"""Times of alternating contestants: seconds of one call, and the spread of several."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most, and how many there are."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}
