"""What two models say of the same images: which verdicts flip, and how far the scores lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from onlygood._plurals import name_some, pluralize
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.labelled_set import LabelledImage
from onlygood.metadata import Metadata
from onlygood.model_diff.differing_facts import DifferingFact
from onlygood.rates import format_rate

# How many names a sentence gives.
_SHOWN_NAMES = 3


@dataclass(frozen=True)
class ModelVerdict:
    """What one of the models says of an image.

    Attributes:
        score: distance from that model's threshold, in its own unit: above 0 anomalous.
        p_value: the conformal one, in (0, 1].
        is_anomaly: score > 0.
        relative_score: score as a multiple of the distance from that model's typical good image to its threshold: -1
            where a good image typically lies, 0 at the threshold. This unit is the same for all models. None where the
            threshold is not above the median of the calibration scores.
    """

    score: float
    p_value: float
    is_anomaly: bool
    relative_score: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "score": self.score,
            "p_value": self.p_value,
            "is_anomaly": self.is_anomaly,
            "relative_score": self.relative_score,
        }


@dataclass(frozen=True)
class DiffedImage:
    """An image that both models could inspect.

    Attributes:
        file: where to read it again.
        old: what the old model says.
        new: what the new model says.
        labelled: what people say, where images are labelled.
    """

    file: ImageFile
    old: ModelVerdict
    new: ModelVerdict
    labelled: LabelledImage | None = None

    @property
    def name(self) -> str:
        """Of the image."""
        return self.file.name

    @property
    def flips(self) -> bool:
        """Whether the models differ in their verdict."""
        return self.old.is_anomaly != self.new.is_anomaly

    @property
    def change(self) -> float | None:
        """How much further up the new model has it, in relative scores; None where one of them has none."""
        if self.old.relative_score is None or self.new.relative_score is None:
            return None
        return self.new.relative_score - self.old.relative_score

    @property
    def is_right(self) -> bool | None:
        """Whether the new model's verdict is what people say; None where they say nothing."""
        return None if self.labelled is None else self.new.is_anomaly == self.labelled.is_anomalous

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.name,
            "flips": self.flips,
            "old": self.old.to_dict(),
            "new": self.new.to_dict(),
            "change": self.change,
            "label": None if self.labelled is None else self.labelled.defect,
        }


@dataclass(frozen=True)
class RefusedImage:
    """An image that at least one of the models could not inspect.

    Attributes:
        name: of the image.
        old: why the old model could not; None where it could.
        new: why the new model could not; None where it could.
    """

    name: str
    old: str | None
    new: str | None

    @property
    def sentence(self) -> str:
        """Which of the models refuse it, and why."""
        if self.old == self.new:
            return f"refused by both models: {self.old}"
        parts = [f"by the {which} model: {why}" for which, why in (("old", self.old), ("new", self.new)) if why]
        return f"refused {'; '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"name": self.name, "old": self.old, "new": self.new}


@dataclass(frozen=True, kw_only=True, repr=False)
class Diff:
    """What `onlygood.diff` returns.

    Attributes:
        old_name: of the old model.
        new_name: of the new model.
        old: its description.
        new: its description.
        images: those that both could inspect, in the order in which they were found.
        refused: the others.
        facts: in what the descriptions differ.
        notes: sentences that a person should read.

    Example:
        >>> import onlygood
        >>> looser = onlygood.calibrate("part.onnx", threshold=100)
        >>> diff = onlygood.diff("part.onnx", looser, "new")
        >>> [(each.name, each.new.is_anomaly) for each in diff.flips]
        [('3.jpg', False)]
    """

    old_name: str
    new_name: str
    old: Metadata
    new: Metadata
    images: tuple[DiffedImage, ...]
    refused: tuple[RefusedImage, ...]
    facts: tuple[DifferingFact, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        beside = f"; {len(self.refused):,} refused" if self.refused else ""
        return (
            f"<Diff: {len(self.to_anomalous):,} of {pluralize(len(self.images), 'image')} become anomalous, "
            f"{len(self.to_good):,} good{beside}>"
        )

    @cached_property
    def flips(self) -> tuple[DiffedImage, ...]:
        """The images whose verdict differs, the largest change first."""

        def size(each: DiffedImage) -> tuple[float, float]:
            change = abs(each.new.p_value - each.old.p_value) if each.change is None else abs(each.change)
            return -change, -abs(each.new.p_value - each.old.p_value)

        return tuple(sorted((each for each in self.images if each.flips), key=lambda each: (*size(each), each.name)))

    @property
    def to_anomalous(self) -> tuple[DiffedImage, ...]:
        """Those of the flips that the new model calls anomalous."""
        return tuple(each for each in self.flips if each.new.is_anomaly)

    @property
    def to_good(self) -> tuple[DiffedImage, ...]:
        """Those of the flips that the new model calls good."""
        return tuple(each for each in self.flips if not each.new.is_anomaly)

    @property
    def anomalous(self) -> tuple[int, int]:
        """How many of the images the old model calls anomalous, and how many the new one does."""
        return sum(each.old.is_anomaly for each in self.images), sum(each.new.is_anomaly for each in self.images)

    @property
    def is_labelled(self) -> bool:
        """Whether people have said of the images what they are."""
        return any(each.labelled is not None for each in self.images)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What flips, how many images each model calls anomalous, and what was refused, in words."""
        total = len(self.images)
        flips = len(self.flips)
        said = [
            f"{flips:,} of {pluralize(total, 'image')} {'changes its' if flips == 1 else 'change their'} verdict: "
            f"{len(self.to_anomalous):,} from good to anomalous, {len(self.to_good):,} from anomalous to good."
            if flips
            else f"No verdict changes in {pluralize(total, 'image')}."
        ]
        before, after = (
            f"{count:,} of {total:,} images anomalous ({count / total:.3g}; {_stated(metadata)})"
            for count, metadata in zip(self.anomalous, (self.old, self.new), strict=True)
        )
        said.append(f"The old model calls {before}, the new one {after}.")
        if self.is_labelled:
            said += self._label_sentences
        if self.refused:
            names = name_some([each.name for each in self.refused], _SHOWN_NAMES)
            said.append(f"{pluralize(len(self.refused), 'image', verb='is')} refused by at least one model: {names}.")
        return tuple(said)

    @property
    def _label_sentences(self) -> list[str]:
        """What the labels say of the flips, and of each model."""
        said = []
        if self.flips:
            right = sum(each.is_right is True for each in self.flips)
            said.append(
                f"By the labels the new model is right in {right:,} of these {len(self.flips):,}, and the old one in "
                f"{len(self.flips) - right:,}."
            )
        counted = []
        for which in ("old", "new"):
            verdicts = [(each.labelled, getattr(each, which).is_anomaly) for each in self.images if each.labelled]
            good = [is_anomaly for labelled, is_anomaly in verdicts if not labelled.is_anomalous]
            anomalous = [is_anomaly for labelled, is_anomaly in verdicts if labelled.is_anomalous]
            parts = []
            if good:
                parts.append(f"calls {sum(good):,} of {len(good):,} good images anomalous")
            if anomalous:
                parts.append(f"misses {len(anomalous) - sum(anomalous):,} of {len(anomalous):,} anomalous ones")
            counted.append(f"the {which} model {' and '.join(parts)}")
        said.append(f"{counted[0][0].upper()}{counted[0][1:]}; {counted[1]}.")
        return said

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        before, after = self.anomalous
        return {
            "old": {"name": self.old_name, "sha256": self.old.content_sha256, "anomalous": before},
            "new": {"name": self.new_name, "sha256": self.new.content_sha256, "anomalous": after},
            "to_anomalous": len(self.to_anomalous),
            "to_good": len(self.to_good),
            "sentences": list(self.sentences),
            "differing": [fact.to_dict() for fact in self.facts],
            "images": [each.to_dict() for each in self.images],
            "refused": [each.to_dict() for each in self.refused],
            "notes": list(self.notes),
        }


def _stated(metadata: Metadata) -> str:
    """The false-alarm rate that a model states, in a few words."""
    guarantee = metadata.guarantee
    if guarantee.is_guaranteed:
        return f"of good ones at most {format_rate(guarantee.stated_rate)} is guaranteed"
    return f"of good ones about {guarantee.stated_rate:g} is expected"
