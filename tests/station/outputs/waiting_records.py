"""Inspections, an outbox in memory, and waiting for what other threads do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from onlygood.errors import StoreError
from onlygood.station.outputs.pauses import Pauses
from onlygood.station.schemas import InspectionRecord, Verdict

DEADLINE_S = 30.0
START = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def record(number: int, **changes: Any) -> InspectionRecord:
    """One inspection: those with even numbers are anomalous."""
    is_anomalous = number % 2 == 0
    values: dict[str, Any] = {
        "id": number,
        "at": START + timedelta(seconds=number),
        "model": "part",
        "model_sha256": "ab" * 32,
        "source": "camera",
        "name": f"camera {number}",
        "verdict": Verdict.ANOMALOUS if is_anomalous else Verdict.GOOD,
        "score": 0.25 * number if is_anomalous else -0.25 * number,
        "p_value": 1 / (number + 1),
        "latency_ms": 12.5,
        "width": 640,
        "height": 480,
    }
    return InspectionRecord(**values | changes)


def records(first: int, last: int) -> list[InspectionRecord]:
    return [record(number) for number in range(first, last + 1)]


def quick_pauses() -> Pauses:
    """So short that a test of many failures takes no time."""
    return Pauses(first_s=0.01, longest_s=0.05, seed=1)


def wait_until(holds: Callable[[], Any], what: str) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE_S:g} s"
        time.sleep(0.005)


class MemoryOutbox:
    """What waits for each output, in memory; can be broken as a database can."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.is_broken = False
        self._waiting: dict[str, dict[int, InspectionRecord]] = {}
        self._guard = Lock()

    def put(self, output: str, added: Sequence[InspectionRecord]) -> None:
        with self._guard:
            self._waiting.setdefault(output, {}).update({each.id: each for each in added})

    def waiting(self, output: str, limit: int) -> list[InspectionRecord]:
        self._check()
        with self._guard:
            waiting = self._waiting.get(output, {})
            return [waiting[number] for number in sorted(waiting)[:limit]]

    def delivered(self, output: str, ids: Sequence[int]) -> None:
        self._check()
        with self._guard:
            for each in ids:
                self._waiting[output].pop(each, None)

    def failed(self, output: str, sentence: str) -> None:
        self._check()
        self.problems.append(sentence)

    def count(self, output: str) -> int:
        self._check()
        with self._guard:
            return len(self._waiting.get(output, {}))

    def _check(self) -> None:
        if self.is_broken:
            raise StoreError("the database is locked: end the other program")
