"""Misses and false alarms at several rates, and whether what a model guarantees is what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onlygood.evaluation.figures import (
    EvaluatedImage,
    scores_and_labels,
)
from onlygood.graph.verdict import CalibrationScores
from onlygood.metadata import Metadata
from onlygood.metrics.image import (
    Proportion,
    exact_proportion,
)
from onlygood.rates import DECIMAL, Notation

# Misses and false alarms are tabulated at these false-alarm rates beside the model's own.
TABULATED_RATES = (0.01, 0.05, 0.1)


@dataclass(frozen=True, kw_only=True)
class GuaranteeCheck:
    """The guaranteed false-alarm rate beside the observed one.

    Attributes:
        stated_rate: by the model.
        observed: among the good test images, with an exact binomial interval.
        verdict: "contradicted" where the whole interval lies above the rate, "confirmed" where it lies at or below,
            "consistent" where it holds the rate, so that more images would be needed to tell.
        sentence: the same in words.
    """

    stated_rate: float
    observed: Proportion
    verdict: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "stated_rate": self.stated_rate,
            "observed": self.observed.to_dict(),
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, kw_only=True)
class RateOutcome:
    """What the threshold for a false-alarm rate does to the test images; the threshold itself comes from none of them.

    Attributes:
        requested_rate: the false-alarm rate that the threshold is for.
        guaranteed_rate: what the calibration scores can guarantee: requested_rate, or more where they are too few; by
            leave-one-out the guarantee is approximate. None where the threshold is estimated, which guarantees nothing.
        threshold: relative to the model's own, like scores: an image with a higher score is called anomalous.
        is_own: whether this is the rate and the threshold that the model has.
        false_alarms: good images called anomalous; None without good images.
        misses: anomalous images called good; None without anomalous images.
    """

    requested_rate: float
    guaranteed_rate: float | None
    threshold: float
    is_own: bool
    false_alarms: Proportion | None
    misses: Proportion | None

    @property
    def is_guaranteed(self) -> bool:
        """Whether the calibration scores suffice for the rate that is requested."""
        return self.guaranteed_rate is not None and self.guaranteed_rate <= self.requested_rate

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "requested_rate": self.requested_rate,
            "guaranteed_rate": self.guaranteed_rate,
            "threshold": self.threshold,
            "is_own": self.is_own,
            "false_alarms": None if self.false_alarms is None else self.false_alarms.to_dict(),
            "misses": None if self.misses is None else self.misses.to_dict(),
        }


def check_guarantee(metadata: Metadata, observed: Proportion) -> GuaranteeCheck:
    """Whether the false alarms among good test images agree with what the model guarantees.

    The interval takes the images as independent. Where they are of few parts or sessions it is too narrow.

    Args:
        metadata: of the model.
        observed: good images called anomalous.
    """
    rate = metadata.guarantee.stated_rate
    verdict = "contradicted" if observed.low > rate else "confirmed" if observed.high <= rate else "consistent"
    sentence = check_sentence(metadata, observed, verdict, DECIMAL)
    return GuaranteeCheck(stated_rate=rate, observed=observed, verdict=verdict, sentence=sentence)


def check_sentence(metadata: Metadata, observed: Proportion, verdict: str, notation: Notation) -> str:
    """A check of a guarantee in words.

    Args:
        metadata: of the model.
        observed: good images called anomalous.
        verdict: of `GuaranteeCheck`.
        notation: of shares and rates.
    """
    guarantee = metadata.guarantee
    stated = notation.stated(guarantee.stated_rate, is_guaranteed=guarantee.is_guaranteed)
    if guarantee.is_guaranteed:
        what, stated = "guarantee", f"at most {stated} was guaranteed"
    else:
        what, stated = "estimate", f"about {stated} was estimated"
    seen = (
        f"{observed.events} of {observed.trials} good images were called anomalous, "
        f"{notation.share(observed.value, 3)} ({observed.confidence:.0%} interval {notation.share(observed.low, 3)} to "
        f"{notation.share(observed.high, 3)}), and {stated}"
    )
    if verdict == "contradicted":
        return (
            f"The {what} is CONTRADICTED: {seen}. These good images are not like those that the model learned from: "
            "look at the false alarms, and fit again with good images taken as these were."
        )
    if verdict == "confirmed":
        return f"The {what} is confirmed: {seen}."
    return f"The {what} is not contradicted: {seen}. More good images would be needed to confirm it."


def outcomes_at_rates(
    judged: Sequence[EvaluatedImage], metadata: Metadata, calibration_scores: CalibrationScores | None
) -> tuple[RateOutcome, ...]:
    """Misses and false alarms at the model's own false-alarm rate and at TABULATED_RATES, by rising rate.

    Args:
        judged: the test images.
        metadata: of the model.
        calibration_scores: in the model's file, from which the other thresholds come; None for its own rate alone.
    """
    guarantee = metadata.guarantee
    own = guarantee.requested_rate
    guaranteed = guarantee.stated_rate if guarantee.is_guaranteed else None
    found = [_outcome(judged, own, guaranteed, np.float32(0.0), is_own=True)]
    if calibration_scores is not None:
        for rate in TABULATED_RATES:
            if rate != own:
                calibration = calibration_scores.at(rate, rule=metadata.threshold_rule, is_exact=guarantee.is_exact)
                # The difference that the graph would make of a raw score at that threshold.
                relative = np.float32(calibration.threshold) - np.float32(calibration_scores.threshold)
                guaranteed = calibration.stated_rate if calibration.is_guaranteed else None
                found.append(_outcome(judged, rate, guaranteed, relative, is_own=False))
    return tuple(sorted(found, key=lambda outcome: outcome.requested_rate))


def _outcome(
    judged: Sequence[EvaluatedImage], requested: float, guaranteed: float | None, threshold: np.float32, *, is_own: bool
) -> RateOutcome:
    scores, labels = scores_and_labels(judged)
    above = scores.astype(np.float32) > threshold
    good, anomalous = int((~labels).sum()), int(labels.sum())
    return RateOutcome(
        requested_rate=requested,
        guaranteed_rate=guaranteed,
        threshold=float(str(threshold)),
        is_own=is_own,
        false_alarms=exact_proportion(int(above[~labels].sum()), good) if good else None,
        misses=exact_proportion(int((~above[labels]).sum()), anomalous) if anomalous else None,
    )
