"""When a line raises an alarm: a single anomalous image is none, m of the last n are; and their running mean."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from onlygood.station.station_settings import Alarm


@dataclass(frozen=True)
class AlarmReading:
    """What the last images of a line say.

    Attributes:
        images: how many they are, at most n.
        anomalous: how many of them are anomalous.
        mean_score: of them; above 0 they are anomalous on average.
        is_alarmed: whether the alarm is on.
        has_changed: whether the newest image switched it.
    """

    images: int
    anomalous: int
    mean_score: float
    is_alarmed: bool
    has_changed: bool


class AlarmWindow:
    """The verdicts on the last n images of one line.

    The alarm goes on when m of them are anomalous, and off when at most half of m are, rounded down: an alarm that went
    off with one fewer than m would go on and off with every other image of a part that is at the edge.

    Args:
        alarm: m and n.
    """

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._scores: deque[float] = deque(maxlen=alarm.n)
        self._verdicts: deque[bool] = deque(maxlen=alarm.n)
        self.is_alarmed = False

    def add(self, score: float, *, is_anomaly: bool) -> AlarmReading:
        """Take the verdict on one more image, and return what the last ones say."""
        self._scores.append(score)
        self._verdicts.append(is_anomaly)
        anomalous, before = sum(self._verdicts), self.is_alarmed
        self.is_alarmed = anomalous > self._alarm.m // 2 if before else anomalous >= self._alarm.m
        images = len(self._scores)
        return AlarmReading(
            images=images,
            anomalous=anomalous,
            mean_score=math.fsum(self._scores) / images,
            is_alarmed=self.is_alarmed,
            has_changed=self.is_alarmed is not before,
        )

    def reset(self) -> bool:
        """Forget all images, as where another model inspects from now on; return whether the alarm was on."""
        was, self.is_alarmed = self.is_alarmed, False
        self._scores.clear()
        self._verdicts.clear()
        return was
