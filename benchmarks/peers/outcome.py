"""What a peer says of a task's test images, and the error where it says nothing that can be measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood import OnlygoodError


class PeerError(OnlygoodError):
    """A peer failed, or gave what cannot be measured: its run is recorded as failed and never counts as a win."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PeerResult:
    """What a peer says of a task's test images, and what that took.

    Attributes:
        scores: float64 [n], higher is more anomalous.
        is_anomaly: its own verdicts, bool [n]; None if it has none that good images alone decided.
        maps: the anomaly map of a test image by its position, float32 [h, w] at the size that the peer works at; None
            if it has none.
        fit_s: wall time of learning: images read, embedded, fitted.
        inspect_ms: of each test image, one at a time, warm, from decoded pixels to score (and map).
        model_bytes: size of what was learned, with the network; None if it cannot be saved.
        settings: all that decides the result, as plain JSON values.
        versions: of the packages that did the work.
        peak_memory_mb: of the process that did the work, in 10^6 bytes; None for this process.
    """

    scores: NDArray[np.float64]
    is_anomaly: NDArray[np.bool_] | None
    maps: Callable[[int], NDArray[np.float32]] | None
    fit_s: float
    inspect_ms: list[float]
    model_bytes: int | None
    settings: dict[str, Any]
    versions: dict[str, str]
    peak_memory_mb: float | None = None
