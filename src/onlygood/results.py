"""What comes back: the inspection of a picture, and the promise of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.rates import pictures_needed, show_rate

# An estimated rate is an extrapolation where fewer independent images than this are expected above its threshold.
FAR_BELOW = 0.1


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a model says of one picture.

    Attributes:
        name: of the picture, as given.
        score: distance from the threshold in the model's own unit: above 0 anomalous, below 0 inside.
        p_value: share of good pictures at least this strange, in (0, 1]; small is anomalous.
        is_anomaly: score > 0.
        anomaly_map: float32 [H, W], at the picture's own size, higher is stranger; None if it was not asked for. In the
            same unit as the raw score; `Inspector.map_levels` says what is ordinary.
        latency_ms: of the graph's run, without reading the file.
    """

    name: str
    score: float
    p_value: float
    is_anomaly: bool
    anomaly_map: NDArray[np.float32] | None
    latency_ms: float

    def to_json(self) -> dict[str, Any]:
        """All but the map, as plain JSON values."""
        return {
            "name": self.name,
            "is_anomaly": self.is_anomaly,
            "score": self.score,
            "p_value": self.p_value,
            "latency_ms": round(self.latency_ms, 3),
        }


@dataclass(frozen=True, kw_only=True)
class Promise:
    """How often a good picture will be called anomalous, and why that can be said.

    Attributes:
        asked_rate: the false-alarm rate that was asked for.
        promised_rate: with the conformal rule, the one that is guaranteed; larger than asked_rate where there are too
            few pictures. With the estimated rule, the one that is estimated, asked_rate.
        is_exact: True for split calibration, False for leave-one-out and cross-fitting.
        calibration_pictures: how many good pictures' scores it rests on.
        groups: how many independent groups those pictures form.
        fitted_pictures: how many good pictures the detector learned from.
        golden_pictures: how many golden pictures all of these are augmentations of; 0 if they are pictures of parts.
        augmentations: how many augmentations of the fitted pictures it learned from beside them.
        rotations: at how many angles it learned each of the fitted pictures; 1 is as they were given.
        rule: "conformal" or "estimated": how the threshold was decided.
        interval: with the estimated rule, between which rates the true one lies, by resampling (90 %).
        odd: how many pictures the estimated rule set aside, since their scores stand apart from the others.
        folds: with cross-fitting, how many parts of the pictures were each left out in turn; else 0.
    """

    asked_rate: float
    promised_rate: float
    is_exact: bool
    calibration_pictures: int
    groups: int
    fitted_pictures: int
    golden_pictures: int = 0
    augmentations: int = 0
    rotations: int = 1
    rule: str = "conformal"
    interval: tuple[float, float] | None = None
    odd: int = 0
    folds: int = 0

    @property
    def is_guaranteed(self) -> bool:
        """Whether promised_rate is guaranteed, exactly or approximately, and not only estimated."""
        return self.rule == "conformal"

    @property
    def guaranteed_rate(self) -> float:
        """What these pictures could guarantee: asked_rate, or the least for their number where that is larger."""
        return max(self.asked_rate, 1.0 / (self.groups + 1))

    @property
    def learned_from(self) -> str:
        """What the detector learned from, in words: "10 good pictures and 190 augmentations of them"."""
        if self.golden_pictures:
            return f"{self.fitted_pictures} augmentations of {counted(self.golden_pictures, 'golden picture')}"
        pictures = counted(self.fitted_pictures, "good picture")
        if self.rotations > 1:
            return f"{pictures} at {self.rotations} angles{' each' * (self.fitted_pictures > 1)}"
        if not self.augmentations:
            return pictures
        them = "it" if self.fitted_pictures == 1 else "them"
        return f"{pictures} and {counted(self.augmentations, 'augmentation')} of {them}"

    @property
    def sentences(self) -> list[str]:
        """The promise in words, for people."""
        noun = "augmented" if self.golden_pictures else "good"
        pictures = counted(self.calibration_pictures, f"{noun} picture")
        if self.groups < self.calibration_pictures:
            pictures += f" in {self.groups} independent groups"
        if self.golden_pictures:
            golden = "a golden picture" if self.golden_pictures == 1 else f"{self.golden_pictures} golden pictures"
            whose = f"augmentations of {golden}"
        else:
            whose = "good pictures"
        said = self._guaranteed(whose, pictures) if self.is_guaranteed else self._estimated(whose, pictures)
        if self.golden_pictures:
            said.append(
                "This holds for these augmentations, not for tomorrow's parts: how good parts differ from one another "
                "is not in them. Fit anew when there are pictures of several."
            )
        else:
            said.append("This holds for pictures taken as these were; a new session, lens or lamp asks for a new fit.")
        return said

    def _guaranteed(self, whose: str, pictures: str) -> list[str]:
        if self.is_exact:
            argument = f"exact, by split conformal calibration on {pictures} that the detector has not seen"
        else:
            how = f"cross-fitting in {counted(self.folds, 'fold')}" if self.folds else "leave-one-out"
            argument = f"approximate, by {how} over {pictures}"
        said = [f"At most {show_rate(self.promised_rate)} of {whose} will be called anomalous ({argument})."]
        if self.promised_rate > self.asked_rate:
            unit = "pictures" if self.groups == self.calibration_pictures else "independent groups of pictures"
            said.append(
                f"The rate asked for, {self.asked_rate:g}, needs at least {self.groups_needed} {unit} to calibrate "
                f"with, got {self.groups}: the threshold is the highest calibration score; add pictures"
                f"{' (augmentations do not count)' if self.augmentations else ''}, or ask for "
                f"{show_rate(self.promised_rate)}."
            )
        return said

    def _estimated(self, whose: str, pictures: str) -> list[str]:
        if self.is_exact:
            source = f"{pictures} that the detector has not seen"
        else:
            source = f"{pictures}, each scored without itself"
        without = f", without {self.odd} that {'stands' if self.odd == 1 else 'stand'} apart" if self.odd else ""
        between = ""
        if self.interval is not None:
            low, high = self.interval
            between = f"; 90 % interval {low:.2g} to {high:.2g}"
        guaranteed = self.guaranteed_rate
        far = []
        if self.asked_rate * (self.groups + 1) < FAR_BELOW:
            far.append(
                f"So low a rate is far beyond what {self.groups} independent pictures can show: the estimate is an "
                "extrapolation that they cannot check."
            )
        return [
            f"About {self.promised_rate:g} of {whose} will be called anomalous (estimated, not guaranteed, from the "
            f"tail of the scores of {source}{without}{between}).",
            f"With threshold_rule conformal, at most {show_rate(guaranteed)} would be guaranteed"
            + (" approximately" if not self.is_exact else "")
            + (
                f", as {self.asked_rate:g} needs at least {self.groups_needed} independent pictures, got {self.groups}."
                if guaranteed > self.asked_rate
                else "; then a few of the most anomalous good pictures decide the threshold."
            ),
            *far,
        ]

    @property
    def groups_needed(self) -> int:
        """The fewest groups from which asked_rate can be promised."""
        return pictures_needed(self.asked_rate)

    def to_json(self) -> dict[str, Any]:
        """The promise as plain JSON values."""
        return {
            "asked_rate": self.asked_rate,
            "promised_rate": self.promised_rate,
            "is_exact": self.is_exact,
            "calibration_pictures": self.calibration_pictures,
            "groups": self.groups,
            "fitted_pictures": self.fitted_pictures,
            "golden_pictures": self.golden_pictures,
            "augmentations": self.augmentations,
            "rotations": self.rotations,
            "rule": self.rule,
            "interval": None if self.interval is None else [float(f"{rate:.3g}") for rate in self.interval],
            "odd": self.odd,
            "folds": self.folds,
            "statement": " ".join(self.sentences),
        }


def counted(number: int, noun: str) -> str:
    """A number of things in words: "1 group", "3 groups"."""
    return f"{number} {noun}{'s' * (number != 1)}"
