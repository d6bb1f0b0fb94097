"""What errors cost at the threshold of a model, and at the cheapest one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onlygood._plain import plain
from onlygood.errors import SettingError
from onlygood.evaluation.figures import (
    EvaluatedImage,
    ImageFigures,
    scores_and_labels,
)
from onlygood.metrics.costs import OperatingPoint, cheapest_operating_point, check_cost, cost_per_thousand
from onlygood.rates import DECIMAL, Notation


@dataclass(frozen=True, kw_only=True)
class CostAdvice:
    """What the model's threshold costs, and which threshold would have been the cheapest on these images.

    Attributes:
        cost_false_alarm: of one good part refused.
        cost_miss: of one anomalous part let through.
        anomaly_share: of all parts, that is assumed.
        is_share_of_test: whether that is merely the test images' own share.
        current: the model's own threshold.
        cheapest: chosen on these very images, so its cost is too optimistic.
    """

    cost_false_alarm: float
    cost_miss: float
    anomaly_share: float
    is_share_of_test: bool
    current: OperatingPoint
    cheapest: OperatingPoint

    @property
    def is_cheaper(self) -> bool:
        """Whether another threshold than the model's own would have been cheaper."""
        return self.cheapest.cost_per_thousand < self.current.cost_per_thousand

    @property
    def sentence(self) -> str:
        """The advice in words."""
        return self.sentence_in(DECIMAL)

    def sentence_in(self, notation: Notation) -> str:
        """The advice in words, with the share of anomalous parts written in this way."""
        share = notation.share(self.anomaly_share, 3)
        source = "as among the test images" if self.is_share_of_test else "as given"
        if not self.is_cheaper:
            return (
                f"No other threshold would have been cheaper on these images: {self.current.cost_per_thousand:.4g} "
                f"per thousand parts, with {share} of them anomalous ({source})."
            )
        return (
            f"Cheapest on these images would have been a threshold at score {self.cheapest.threshold:+.4g}: "
            f"{self.cheapest.cost_per_thousand:.4g} per thousand parts instead of "
            f"{self.current.cost_per_thousand:.4g}, with {share} of them anomalous ({source}). It was "
            "chosen on the images that it is measured on, so it is optimistic; nothing was changed."
        )

    @property
    def applicable(self) -> float | None:
        """The cheapest threshold, as a score of this run, where it is another one than the model's and finite."""
        score = self.cheapest.threshold
        return score if self.is_cheaper and math.isfinite(score) else None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "cost_false_alarm": self.cost_false_alarm,
            "cost_miss": self.cost_miss,
            "anomaly_share": self.anomaly_share,
            "is_share_of_test": self.is_share_of_test,
            "current": self.current.to_dict(),
            "cheapest": self.cheapest.to_dict(),
            "sentence": self.sentence,
        }


def cost_advice(
    judged: Sequence[EvaluatedImage],
    image: ImageFigures,
    cost_false_alarm: float,
    cost_miss: float,
    share: float | None,
) -> CostAdvice:
    """What the model's own threshold costs, and the cheapest."""
    scores, labels = scores_and_labels(judged)
    assumed = float(labels.mean()) if share is None else share
    costs = {"cost_false_alarm": cost_false_alarm, "cost_miss": cost_miss, "anomaly_share": assumed}
    assert image.false_alarms is not None and image.misses is not None  # there are images of both kinds
    rates = {"false_alarm_rate": image.false_alarms.value, "miss_rate": image.misses.value}
    current = OperatingPoint(threshold=0.0, cost_per_thousand=cost_per_thousand(**rates, **costs), **rates)
    return CostAdvice(
        **costs,
        is_share_of_test=share is None,
        current=current,
        cheapest=cheapest_operating_point(scores, labels, **costs),
    )


def check_costs(
    false_alarm: float | None, miss: float | None, share: float | None
) -> tuple[float, float, float | None] | None:
    """The costs and the share of anomalous parts; None where none are given.

    Raises:
        SettingError: one cost without the other, a share without costs, or values that cannot be used.
    """
    if false_alarm is None and miss is None:
        if share is not None:
            raise SettingError("anomaly_share goes with cost_false_alarm and cost_miss, got neither: give both")
        return None
    if false_alarm is None or miss is None:
        given, missing = ("cost_miss", "cost_false_alarm") if false_alarm is None else ("cost_false_alarm", "cost_miss")
        raise SettingError(f"{given} goes with {missing}, got none: give both, in the same unit")
    false_alarm, miss = check_cost("cost_false_alarm", false_alarm), check_cost("cost_miss", miss)
    share = plain(share)
    if share is not None and not 0.0 < share < 1.0:
        raise SettingError(f"anomaly_share must be between 0 and 1, both excluded, got {share!r}")
    return false_alarm, miss, share
