"""What can be asked of any fit, whatever its method, and what the settings of a method are.

The settings of each method lie in its folder, `onlygood.detectors.<method>.settings`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictFloat, StringConstraints

from onlygood._integers import HIGHEST_SEED, MOST_THREADS
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import SettingError
from onlygood.rates import ThresholdRule, check_false_alarm_rate
from onlygood.validation import Settings, one_of

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask

Calibration = Literal["leave-one-out", "split", "cross-fit"]
Alpha = Literal["black", "mask"]
Motion = Literal["translation", "rigid"]
NearDuplicates = Literal["group", "ignore"]

# Why `doc` needs reference images.
REFERENCE_WHY = "images of other things, one sub-folder a class, show the network what sets things apart"
# A golden image and 199 augmentations of it.
GOLDEN_COUNT = 200
# Tiles as large as the method looks at as they are.
AUTO = "auto"
LEAST_TILE = 32
# The most angles at which an image is learned: 5 degrees apart.
MOST_ROTATIONS = 72
# So many of the images held out are expected above the threshold unless a share is given: at 0.05, 100 are held out.
HELD_OUT_ABOVE = 5


class FitSettings(Settings):
    """How any detector is fitted and calibrated: the keywords of `onlygood.fit` and options of `onlygood fit`."""

    subject: ClassVar[str] = "settings of every method"

    false_alarm_rate: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="share of good images that may be called anomalous, such as 0.05 or 5%",
        json_schema_extra={"must_be": "between 0 and 1, both excluded (0.01 is one good image in a hundred)"},
    )
    threshold_rule: ThresholdRule = Field(
        default="auto",
        description="guarantee the rate by the highest scores of good images, or estimate it from their tail; auto "
        "guarantees where there are enough images",
    )
    calibration: Calibration | None = Field(
        default=None,
        description="where calibration scores come from: each image by a detector without it (all are learned from, "
        "the guarantee is approximate), or images held out (it is exact); the method's first choice unless given",
    )
    calibration_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of the images that split holds out; chosen by the rate unless given, at most a third",
    )
    group_by: str | None = Field(
        default=None,
        description="what keeps images of one session or part together: 'folder' (the sub-folder), or the first group "
        "of a regular expression in each name",
        json_schema_extra={"must_be": "'folder' or a regular expression", "metavar": "REGEX"},
    )
    exclude: tuple[Annotated[str, StringConstraints(min_length=1)], ...] | None = Field(
        default=None,
        strict=False,
        description="images to leave out, separated by commas, or '@' and a text file with one a line",
        json_schema_extra={"must_be": "a sequence of names of images", "metavar": "NAMES"},
    )
    near_duplicates: NearDuplicates = Field(
        default="group",
        description="images of (nearly) the same thing: keep them together, or do not look",
    )
    window: tuple[StrictFloat, StrictFloat] | None = Field(
        default=None,
        strict=False,
        description="levels of black and white; of 16-bit images chosen from the good ones unless given",
        json_schema_extra={"must_be": "two levels, black and white", "metavar": "BLACK,WHITE"},
    )
    channels: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="of each image, where its file or array does not say: with 4, the fourth is none of transparency",
        json_schema_extra={"metavar": "N"},
    )
    alpha: Alpha = Field(
        default="black",
        description="lay transparent images over black, or look at nothing where they are transparent",
    )
    golden: bool = Field(
        default=False, description="learn from augmentations of these images, which are golden samples (one is enough)"
    )
    augment: int | None = Field(
        default=None,
        ge=3,
        description=f"learn from so many images, augmentations among them (with --golden {GOLDEN_COUNT} unless given)",
        json_schema_extra={"metavar": "N"},
    )
    augmentation: AugmentationSettings | None = Field(
        default=None,
        description="the ranges of augmentations",
        json_schema_extra={"must_be": "AugmentationSettings"},
    )
    rotations: int = Field(
        default=1,
        ge=1,
        le=MOST_ROTATIONS,
        description=f"learn each image at so many angles, for parts that lie at any: 1 to {MOST_ROTATIONS}",
        json_schema_extra={"metavar": "N"},
    )
    sizes: tuple[Annotated[int, Field(ge=8)], ...] | None = Field(
        default=None,
        strict=False,
        description="learn them smaller, too, for a model used at several sizes: long sides",
        json_schema_extra={"must_be": "long sides in pixels, each at least 8", "metavar": "N,..."},
    )
    tiles: str | None = Field(
        default=None,
        description="look at large images tile by tile, for small defects: auto, or the side in pixels and, if wanted, "
        "the overlap",
        json_schema_extra={
            "must_be": "'auto', a side such as '320', or side and overlap such as '320,40'",
            "metavar": "N",
        },
    )
    align: Motion | None = Field(
        default=None,
        description="for parts that lie differently: undo shifts, or turns and shifts, against a golden sample",
    )
    align_degrees: float | None = Field(
        default=None,
        gt=0,
        le=180,
        description="with --align rigid: undo turns of so many degrees either way at most; any unless given",
        json_schema_extra={"must_be": "above 0 and at most 180", "metavar": "DEGREES"},
    )
    skip_unreadable: bool = Field(default=False, description="leave out images that cannot be read")
    max_pixels: int = Field(default=100_000_000, ge=1, description="most pixels of one image")
    max_bytes: int = Field(default=500_000_000, ge=1, description="most bytes of one file")
    threads: int = Field(
        default=0,
        ge=0,
        le=MOST_THREADS,
        description="images at once; 0 for one a core",
        json_schema_extra={"metavar": "N"},
    )
    seed: int = Field(default=0, ge=0, le=HIGHEST_SEED, description="of everything random")

    def check(self) -> None:  # noqa: D102
        check_false_alarm_rate(self.false_alarm_rate, name="false_alarm_rate")
        is_augmented = self.golden or self.augment is not None
        if self.rotations > 1 and is_augmented:
            other = "golden" if self.golden else "augment"
            raise SettingError(
                f"rotations must be left out with {other}, got {self.rotations}: set the rotation of augmentations to "
                "180 instead, which turns them by any angle"
            )
        if self.golden and self.sizes:
            raise SettingError(
                f"sizes must be left out with golden, got {self.sizes}: augmentations have a range of scales instead"
            )
        if self.sizes and len(set(self.sizes)) < len(self.sizes):
            raise SettingError(f"sizes must differ from one another, got {self.sizes}: name each once")
        if not is_augmented and self.augmentation not in (None, AugmentationSettings()):
            raise SettingError(
                "augmentation goes with augment or golden, got it without: add one of these, or leave it out"
            )
        if self.tiles is not None:
            self._check_tiles()
        if self.align_degrees is not None and self.align != "rigid":
            raise SettingError(
                f"align_degrees goes with align='rigid', got it with {self.align or 'none'}: leave align_degrees out, "
                "or align rigidly"
            )
        if self.align is not None and self.alpha == "mask":
            raise SettingError(
                f"alpha must be left out with align, got {self.alpha}: give a region of interest, drawn on the golden "
                "sample, instead"
            )
        if self.align == "rigid" and self.rotations > 1:
            raise SettingError(
                f"rotations must be left out with align='rigid', got {self.rotations}: turned copies would be turned "
                "back, so leave one of them out"
            )
        # A golden sample is an image or a handful that somebody chose: one that cannot be read is a mistake.
        for name in ("group_by", "exclude", "near_duplicates", "skip_unreadable"):
            if self.golden and getattr(self, name) != type(self).model_fields[name].default:
                raise SettingError(f"{name} goes with images of many parts, got it with golden: leave one of them out")

    def _check_tiles(self) -> None:
        """Refuse tiles that cannot be, or that go with changed copies."""
        text = str(self.tiles)
        if text != AUTO:
            match = re.fullmatch(r"([0-9]{1,6})(?:,([0-9]{1,6}))?", text)
            if match is None:
                raise SettingError(
                    f"tiles must be 'auto', a side such as '320', or side and overlap such as '320,40', got {text!r}"
                )
            side, overlap = int(match[1]), int(match[2] or 0)
            if side < LEAST_TILE or overlap > side // 2:
                raise SettingError(
                    f"tiles must have sides of at least {LEAST_TILE} pixels and overlap by half of a side at most, got "
                    f"{text!r}"
                )
        given = [name for name in ("golden", "augment", "sizes") if getattr(self, name)]
        given += ["rotations"] * (self.rotations > 1)
        if given:
            raise SettingError(f"tiles must be left out with {one_of(given)}, got both: leave one of them out")

    def resolved(self, method: MethodSettings) -> FitSettings:
        """These settings with values where nothing was given and the method or other settings decide.

        Raises:
            SettingError: a calibration that the method does not have, or a share of images held out where none are.
        """
        calibration = self.calibration or method.calibrations[0]
        if calibration not in method.calibrations:
            why = (
                ": a network that was trained on an image cannot score it as if it had not seen it"
                if method.trains and calibration == "leave-one-out"
                else ": leave it out, or choose another method"
            )
            raise SettingError(
                f"calibration must be {one_of(method.calibrations)} for method {method.name}, got {calibration}{why}"
            )
        if self.calibration_fraction is not None and calibration != "split":
            raise SettingError(
                f"calibration_fraction goes with calibration split, got it with {calibration}: leave "
                "calibration_fraction out, or choose such a calibration"
            )
        augment = GOLDEN_COUNT if self.golden and self.augment is None else self.augment
        ranges = None if augment is None else self.augmentation or AugmentationSettings()
        return self.replaced(calibration=calibration, augment=augment, augmentation=ranges)


class MethodSettings(Settings):
    """The settings that one method reads, its defaults and its checks; the public name of the method in Python.

    A subclass lies in the folder of its method, and imports neither NumPy nor a runtime, so that the command line can
    show its options at once.

    Attributes:
        name: what `--method` calls it.
        summary: what it is for, in a line.
        trains: whether it trains a network.
        extra: the extra of onlygood that it needs installed, or None.
        calibrations: where its calibration scores can come from, the default first.
        tile_side: pixels of the side of a square in which it sees small defects, unless it has an `input_size`.
        updates: whether its models can learn further good images without the old ones, and forget some.

    Example:
        >>> import onlygood
        >>> isinstance(onlygood.make_method("knn"), onlygood.MethodSettings)
        True
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    trains: ClassVar[bool] = False
    extra: ClassVar[str | None] = None
    calibrations: ClassVar[tuple[Calibration, ...]] = ("leave-one-out", "split")
    tile_side: ClassVar[int] = 224
    updates: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" in cls.__dict__:
            cls.subject = f"settings of method {cls.name}"

    @abstractmethod
    def make_detector(self, task: FitTask) -> Detector:
        """The detector of these settings, for images that are known as far as `task` says.

        Raises:
            SettingError: settings that do not go with these images.
            BackboneError: a backbone that cannot be used.
        """
