"""What errors cost, and the threshold at which they cost least."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onlygood._plain import plain
from onlygood.errors import SettingError
from onlygood.metrics.image import TOLERANCE, between_scores, roc_points

# The highest cost of one error, in any unit: a thousand of them can still be added up.
MOST_COST = 1e100


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold, and what it costs.

    Attributes:
        threshold: anomalous if score >= threshold; infinite where nothing is called anomalous, minus infinite where
            everything is.
        false_alarm_rate: share of good images called anomalous.
        miss_rate: share of anomalous images called good.
        cost_per_thousand: of a thousand parts, in the unit of the costs.
    """

    threshold: float
    false_alarm_rate: float
    miss_rate: float
    cost_per_thousand: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; an infinite threshold, which JSON has no number for, as "inf" or "-inf"."""
        threshold = self.threshold if math.isfinite(self.threshold) else str(self.threshold)
        return {**asdict(self), "threshold": threshold}


def cheapest_operating_point(
    scores: ArrayLike, labels: ArrayLike, *, cost_false_alarm: float, cost_miss: float, anomaly_share: float
) -> OperatingPoint:
    """The threshold with the lowest expected cost, of all, also of those that call nothing or everything anomalous.

    Of equally cheap ones, the one with the fewest false alarms, and of these the one with the fewest misses. The
    threshold is midway between two scores. It is chosen on the images it is said of, so its cost is too optimistic.

    Args:
        scores: float [n], higher is more anomalous.
        labels: bool or 0 and 1 [n], 1 is anomalous; both must occur.
        cost_false_alarm: of one good part refused, in any unit.
        cost_miss: of one anomalous part let through, in the same unit.
        anomaly_share: of all parts, in (0, 1).

    Raises:
        SettingError: if a cost is negative or not finite, or the share is outside (0, 1).
        ValueError: as `image_auroc`.
    """
    _check_costs(cost_false_alarm, cost_miss, anomaly_share)
    curve = roc_points(scores, labels, drop_intermediate=False)
    of_false_alarms = 1000.0 * (1.0 - anomaly_share) * cost_false_alarm * curve.x
    of_misses = 1000.0 * anomaly_share * cost_miss * (1.0 - curve.y)
    costs = of_false_alarms + of_misses
    cheapest = np.flatnonzero(costs <= costs.min() * (1.0 + TOLERANCE))
    # Along the curve false alarms rise and misses fall.
    fewest_alarms = cheapest[curve.x[cheapest] == curve.x[cheapest[0]]]
    best = int(fewest_alarms[-1])
    false_alarm_rate, miss_rate = float(curve.x[best]), float(1.0 - curve.y[best])
    return OperatingPoint(
        threshold=between_scores(curve.thresholds, best),
        false_alarm_rate=false_alarm_rate,
        miss_rate=miss_rate,
        cost_per_thousand=cost_per_thousand(
            false_alarm_rate,
            miss_rate,
            cost_false_alarm=cost_false_alarm,
            cost_miss=cost_miss,
            anomaly_share=anomaly_share,
        ),
    )


def check_cost(name: str, cost: float) -> float:
    """The cost as a number of Python's.

    Raises:
        SettingError: it is not a number from 0 to MOST_COST.
    """
    cost = plain(cost)
    if not 0 <= cost < math.inf:
        raise SettingError(f"{name} must be a number of at least 0, got {cost!r}")
    if cost > MOST_COST:
        raise SettingError(f"{name} must be at most {MOST_COST:g}, got {cost!r}: count in a larger unit")
    return float(cost)


def cost_per_thousand(
    false_alarm_rate: float,
    miss_rate: float,
    *,
    cost_false_alarm: float,
    cost_miss: float,
    anomaly_share: float,
) -> float:
    """What a thousand parts cost on average: 1000 ((1 - s) false_alarm_rate cost_false_alarm + s miss_rate cost_miss).

    Args:
        false_alarm_rate: share of good parts refused, in [0, 1].
        miss_rate: share of anomalous parts let through, in [0, 1].
        cost_false_alarm: of one good part refused, in any unit.
        cost_miss: of one anomalous part let through, in the same unit.
        anomaly_share: s, of all parts, in (0, 1).

    Raises:
        SettingError: if a cost is negative or not finite, or the share is outside (0, 1).
        ValueError: if a rate is outside [0, 1].
    """
    _check_costs(cost_false_alarm, cost_miss, anomaly_share)
    for name, rate in (("false-alarm", false_alarm_rate), ("miss", miss_rate)):
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"the {name} rate must be from 0 to 1, got {rate!r}")
    per_part = (1.0 - anomaly_share) * false_alarm_rate * cost_false_alarm + anomaly_share * miss_rate * cost_miss
    return 1000.0 * per_part


def _check_costs(cost_false_alarm: float, cost_miss: float, anomaly_share: float) -> None:
    check_cost("cost_false_alarm", cost_false_alarm)
    check_cost("cost_miss", cost_miss)
    if not 0.0 < anomaly_share < 1.0:
        raise SettingError(f"anomaly_share must be between 0 and 1, both excluded, got {anomaly_share!r}")
