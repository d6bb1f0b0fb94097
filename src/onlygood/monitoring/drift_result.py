"""What a drift test says: whether a process has changed, since when, how much and in what way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from onlygood._plurals import pluralize, shorten
from onlygood.monitoring.bets import HIGHEST, Kind
from onlygood.rates import format_rate

# The most characters of an image's name in a sentence.
_NAME_LENGTH = 80
# The least probability in a sentence: nobody tells smaller ones apart.
_LEAST_SHOWN = 1e-12
_WHAT: dict[Kind, tuple[str, str]] = {
    "higher": (
        "all scores are higher, not those of some images alone",
        "look at what all images share, such as light, camera, focus and material",
    ),
    "lower": (
        "all scores are lower, not those of some images alone",
        "look at what all images share, such as light, exposure and focus, and whether parts or images come that the "
        "model has learned from",
    ),
    "tail": (
        "more images lie among the highest scores, and the others stay as they were",
        "look at the parts with the highest scores",
    ),
    "narrower": (
        "scores lie nearer to one another",
        "look whether the camera gives the same image, or sees the same part, again and again",
    ),
}


class Change(BaseModel):
    """What has changed.

    Attributes:
        kind: "higher" or "lower" where all scores moved, "tail" where more images lie among the highest and the others
            stay, "narrower" where scores came near to one another.
        start: the image with which it begins, an estimate, counted from 1 over all images that were tested.
        start_name: what that image is called.
        found: the image after which it was called drift, counted in the same way.
        found_name: what that image is called.
        images: how many images there were from `start` to where the evidence was strongest; what follows is of these.
        mean_before: of the scores before `start`, those of the calibration among them, in the unit of the scores.
        mean_since: of the scores since.
        shift: mean_since - mean_before, in standard deviations of the scores before; None where those are all equal.
        highest_share: of the images since, which share is among the highest 2 % of those before them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind
    start: Annotated[int, Field(ge=1)]
    start_name: str
    found: Annotated[int, Field(ge=1)]
    found_name: str
    images: Annotated[int, Field(ge=1)]
    mean_before: float
    mean_since: float
    shift: float | None
    highest_share: Annotated[float, Field(ge=0, le=1)]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What changed and where to look, since when, and by how much."""
        what, remedy = _WHAT[self.kind]
        begins = f"It begins at about image {self.start:,} ({_short(self.start_name)})"
        if self.start == 1:
            begins = "It begins with the first image, so that all images differ from those that they are compared with"
        return (
            f"What changed: {what}; {remedy}.",
            f"{begins}, and is found at image {self.found:,} ({_short(self.found_name)}).",
            f"Over {pluralize(self.images, 'image')} since then: {self._extent}.",
        )

    @property
    def _extent(self) -> str:
        """How much has changed."""
        if self.kind == "tail":
            highest = pluralize(round(self.highest_share * self.images), "image", verb="was")
            return (
                f"{highest} among the highest {HIGHEST:.0%} of all that came before, which is {self.highest_share:.1%} "
                f"instead of {HIGHEST:.0%}"
            )
        means = f"mean score {self.mean_since:+.4g} instead of {self.mean_before:+.4g}"
        if self.shift is None:
            return means
        return f"{means}, {abs(self.shift):.1f} standard deviations {'higher' if self.shift > 0 else 'lower'}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Drift:
    """What `onlygood.drift` returns, and a `DriftTest` has as its `result`.

    Attributes:
        is_drift: whether the process has changed.
        false_drift_rate: the largest probability that a process which never changes is ever called drift.
        p_value: the largest probability that a process which never changes ever gives as much evidence as was seen.
        images: how many images were tested, those of earlier runs among them.
        baseline: how many images are to be compared with, instead of the calibration scores; 0 for those.
        baseline_images: how many of these there were so far; they are not tested.
        change: None without drift.
        unreadable: names of images of this run that could not be inspected, each with the reason.
        notes: sentences about this run that a person should read.

    Example:
        >>> import onlygood
        >>> drift = onlygood.drift("part.onnx", "good", baseline=20)
        >>> drift.is_drift, drift.images, drift.baseline_images
        (False, 0, 12)
    """

    is_drift: bool
    false_drift_rate: float
    p_value: float
    images: int
    baseline: int
    baseline_images: int
    change: Change | None = None
    unreadable: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        said = self.sentences[0].rstrip(".")
        beside = f"; {len(self.unreadable)} not readable" if self.unreadable else ""
        return f"<Drift: {said[0].lower()}{said[1:]}{beside}>"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The result in words: whether there is drift, what changed, and what is guaranteed."""
        tested = pluralize(self.images, "image")
        if self.baseline_images < self.baseline:
            return (
                f"No image is tested yet: {self.baseline_images:,} of the {self.baseline:,} images that later ones are "
                "compared with are there.",
            )
        guarantee = (
            f"A process that never changes is called drift with a probability of at most {self.false_drift_rate:g}, "
            "however many images come."
        )
        chance = format_rate(max(self.p_value, _LEAST_SHOWN))
        if self.change is None:
            return (
                f"No drift in {tested}.",
                f"The strongest evidence so far would be seen with a probability of at most {chance} if nothing "
                "changed.",
                guarantee,
            )
        return (
            f"Drift in {tested}.",
            *self.change.sentences,
            f"Such evidence would be seen with a probability of at most {chance} if nothing changed.",
            guarantee,
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "is_drift": self.is_drift,
            "false_drift_rate": self.false_drift_rate,
            "p_value": self.p_value,
            "images": self.images,
            "baseline": self.baseline,
            "baseline_images": self.baseline_images,
            "change": None if self.change is None else self.change.model_dump(),
            "unreadable": [{"name": name, "error": reason} for name, reason in self.unreadable],
            "notes": list(self.notes),
            "sentences": list(self.sentences),
        }


def _short(name: str) -> str:
    return shorten(name, _NAME_LENGTH)
