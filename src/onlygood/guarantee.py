"""What is guaranteed of a model, or estimated: how often good images will be called anomalous, and why."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator, model_validator

from onlygood._plurals import pluralize
from onlygood.rates import DECIMAL, Notation, Rule, images_needed, rate_in_short

# An estimated rate is an extrapolation where fewer independent images than this are expected above its threshold.
FAR_BELOW = 0.1
# One over a lower rate is no number.
LEAST_RATE = 1e-300


class Guarantee(BaseModel):
    """How often a good image will be called anomalous, and why that can be said.

    Attributes:
        requested_rate: the false-alarm rate that was asked for.
        stated_rate: with the conformal rule, the one that is guaranteed; larger than requested_rate where there are too
            few images. With the estimated rule, the one that is estimated, requested_rate.
        is_exact: True for split calibration, False for leave-one-out and cross-fitting.
        calibration_images: how many good images' scores it rests on.
        groups: how many independent groups those images form.
        fitted_images: how many good images the detector learned from.
        golden_images: how many golden images all of these are augmentations of; 0 if they are images of parts.
        augmentations: how many augmentations of the fitted images it learned from beside them.
        rotations: at how many angles it learned each of the fitted images; 1 is as they were given.
        rule: "conformal" or "estimated": how the threshold was decided; "given" if a person named it.
        interval: between which rates the true one lies (90 %): with the estimated rule by resampling, of a threshold
            that was given by counting.
        odd: how many images the estimated rule set aside, since their scores stand apart from the others.
        folds: with cross-fitting, how many parts of the images were each left out in turn; else 0.
        is_split: whether the images that calibrate are held out, and yet nothing is exact: after an update.
        rescored: how many of the images that calibrate were scored by what the file keeps of them, after an update.

    Example:
        >>> import onlygood
        >>> guarantee = onlygood.Inspector("part.onnx").metadata.guarantee
        >>> guarantee.requested_rate, guarantee.calibration_images
        (0.1, 12)
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    requested_rate: float = Field(gt=LEAST_RATE, lt=1)
    stated_rate: float = Field(gt=LEAST_RATE, le=1)
    is_exact: bool
    calibration_images: int = Field(ge=0)
    groups: int = Field(ge=0)
    fitted_images: int = Field(ge=0)
    golden_images: int = Field(default=0, ge=0)
    augmentations: int = Field(default=0, ge=0)
    rotations: int = Field(default=1, ge=1)
    rule: Rule = "conformal"
    interval: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] | None = None
    odd: int = Field(default=0, ge=0)
    folds: int = Field(default=0, ge=0)
    is_split: bool = False
    rescored: int = Field(default=0, ge=0)

    def __repr__(self) -> str:
        rate = rate_in_short(self.stated_rate, is_guaranteed=self.is_guaranteed, is_exact=self.is_exact)
        return f"<Guarantee: {rate}, from {self.calibration_images} images in {pluralize(self.groups, 'group')}>"

    @property
    def is_guaranteed(self) -> bool:
        """Whether stated_rate is guaranteed, exactly or approximately, and not only estimated."""
        return self.rule == "conformal"

    @property
    def guaranteed_rate(self) -> float:
        """What these images could guarantee: requested_rate, or the least for their number where that is larger."""
        return max(self.requested_rate, 1.0 / (self.groups + 1))

    @property
    def learned_from(self) -> str:
        """What the detector learned from, in words: "10 good images and 190 augmentations of them"."""
        if self.golden_images:
            return f"{self.fitted_images} augmentations of {pluralize(self.golden_images, 'golden image')}"
        images = pluralize(self.fitted_images, "good image")
        if self.rotations > 1:
            return f"{images} at {self.rotations} angles{' each' * (self.fitted_images > 1)}"
        if not self.augmentations:
            return images
        them = "it" if self.fitted_images == 1 else "them"
        return f"{images} and {pluralize(self.augmentations, 'augmentation')} of {them}"

    @property
    def sentences(self) -> list[str]:
        """The guarantee in words."""
        return self.sentences_in(DECIMAL)

    def sentences_in(self, notation: Notation) -> list[str]:
        """The guarantee in words, with its rates written in this way."""
        noun = "augmented" if self.golden_images else "good"
        images = pluralize(self.calibration_images, f"{noun} image")
        if self.groups < self.calibration_images:
            images += f" in {self.groups} independent groups"
        if self.golden_images:
            golden = "a golden image" if self.golden_images == 1 else f"{self.golden_images} golden images"
            whose = f"augmentations of {golden}"
        else:
            whose = "good images"
        say = {"conformal": self._guaranteed, "estimated": self._estimated, "given": self._given}[self.rule]
        said = say(whose, images, notation)
        if self.golden_images:
            said.append(
                "This holds for these augmentations, not for tomorrow's parts: how good parts differ from one another "
                "is not in them. Fit again when there are images of several."
            )
        else:
            said.append("This holds for images taken as these were; a new session, lens or lamp asks for a new fit.")
        return said

    def _guaranteed(self, whose: str, images: str, notation: Notation) -> list[str]:
        if self.is_exact:
            argument = f"exact, by split conformal calibration on {images} that the detector has not seen"
        elif self.is_split:
            argument = f"approximate, by split conformal calibration on {images} held out{self._kept}"
        else:
            how = f"cross-fitting in {pluralize(self.folds, 'fold')}" if self.folds else "leave-one-out"
            argument = f"approximate, by {how} over {images}{self._kept}"
        said = [f"At most {notation.at_most(self.stated_rate)} of {whose} will be called anomalous ({argument})."]
        if self.stated_rate > self.requested_rate:
            asked = notation.share(self.requested_rate, 6)
            unit = "images" if self.groups == self.calibration_images else "independent groups of images"
            said.append(
                f"The rate asked for, {asked}, needs at least {self.groups_needed} {unit} to calibrate "
                f"with, got {self.groups}: the threshold is the highest calibration score; add images"
                f"{' (augmentations do not count)' if self.augmentations else ''}, or ask for "
                f"{notation.at_most(self.stated_rate)}."
            )
        return said

    def _estimated(self, whose: str, images: str, notation: Notation) -> list[str]:
        if self.is_exact:
            source = f"{images} that the detector has not seen"
        else:
            source = f"{images}{' held out' if self.is_split else ', each scored without itself'}{self._kept}"
        without = f", without {self.odd} that {'stands' if self.odd == 1 else 'stand'} apart" if self.odd else ""
        between = ""
        if self.interval is not None:
            low, high = self.interval
            between = f"; 90% interval {notation.share(low, 2)} to {notation.share(high, 2)}"
        guaranteed = self.guaranteed_rate
        stated, asked = (notation.share(rate, 6) for rate in (self.stated_rate, self.requested_rate))
        far = []
        if self.requested_rate * (self.groups + 1) < FAR_BELOW:
            far.append(
                f"So low a rate is far beyond what {self.groups} independent images can show: the estimate is an "
                "extrapolation that they cannot check."
            )
        return [
            f"About {stated} of {whose} will be called anomalous (estimated, not guaranteed, from the "
            f"tail of the scores of {source}{without}{between}).",
            f"With threshold_rule conformal, at most {notation.at_most(guaranteed)} would be guaranteed"
            + (" approximately" if not self.is_exact else "")
            + (
                f", as {asked} needs at least {self.groups_needed} independent images, got {self.groups}."
                if guaranteed > self.requested_rate
                else "; then a few of the most anomalous good images decide the threshold."
            ),
            *far,
        ]

    @property
    def _kept(self) -> str:
        """How some of the images were scored after an update, as the end of a phrase."""
        return f", {self.rescored} of them by the patches that the file keeps of them" if self.rescored else ""

    def _given(self, whose: str, images: str, notation: Notation) -> list[str]:
        source = "that the detector has not seen" if self.is_exact or self.is_split else "each scored without itself"
        above = round(self.stated_rate * (self.groups + 1)) - 1
        things = "of them" if self.groups == self.calibration_images else "groups of them"
        between = ""
        if self.interval is not None:
            low, high = self.interval
            between = f"; 90% interval {notation.share(low, 2)} to {notation.share(high, 2)}"
        return [
            f"The threshold was given, not calibrated: of the scores of {images}, {source}, about {above} {things} lie "
            f"above it, so that about {notation.share(self.stated_rate, 2)} of {whose} will be called anomalous "
            f"(counted, not guaranteed{between})."
        ]

    @property
    def groups_needed(self) -> int:
        """The fewest groups from which requested_rate can be guaranteed."""
        return images_needed(self.requested_rate)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def statement(self) -> str:
        """The guarantee in words, as one text."""
        return " ".join(self.sentences)

    @model_validator(mode="before")
    @classmethod
    def _without_statement(cls, values: Any) -> Any:
        """The text follows from the other values."""
        return (
            {key: value for key, value in values.items() if key != "statement"} if isinstance(values, dict) else values
        )

    @field_validator("interval")
    @classmethod
    def _three_digits(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        """Resampling gives no more, and a file says the same as the object that it was written from."""
        return None if interval is None else (float(f"{interval[0]:.3g}"), float(f"{interval[1]:.3g}"))

    def replaced(self, **changes: Any) -> Self:
        """A copy with other values for some fields."""
        return type(self)(**{**self.model_dump(exclude={"statement"}), **changes})

    def to_dict(self) -> dict[str, Any]:
        """The guarantee as plain JSON values."""
        return self.model_dump(mode="json")
