"""Inspections as tests hand them in."""

from __future__ import annotations

from typing import Any

from onlygood.station.schemas import Verdict
from onlygood.station.store.records import NewInspection

DIGEST = "a" * 64


def inspected(**values: Any) -> NewInspection:
    """An inspection with some of its values."""
    given: dict[str, Any] = {
        "model": "part",
        "model_sha256": DIGEST,
        "source": "http",
        "name": "new.jpg",
        "verdict": Verdict.GOOD,
        "score": -0.5,
        "p_value": 0.75,
        "latency_ms": 3.0,
        "width": 64,
        "height": 48,
        "content": b"image",
    }
    return NewInspection(**{**given, **values})
