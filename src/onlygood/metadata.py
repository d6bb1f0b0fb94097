"""What a model file says of itself: one model of the JSON in its metadata, which everyone who reads it goes through.

A field that a newer onlygood added is kept, through a recalibration, too; one that is missing is named. The schema is
`metadata_schema()`, and is printed in the documentation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from onlygood._printable import printable
from onlygood.errors import ModelFormatError
from onlygood.guarantee import Guarantee
from onlygood.rates import Rule, ThresholdRule

# The format of the description and of the graph: see `onlygood.graph.model_file`.
FORMAT = 2
# Bounds of what a description may hold, known fields and unknown ones: values, one inside another, and letters of each.
MOST_VALUES = 200_000
DEEPEST = 64
LONGEST_TEXT = 100_000
_MOST_PIXELS = 2**31 - 1


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first must not be above the second")
    return bounds


def _black_below_white(levels: tuple[float, float]) -> tuple[float, float]:
    if not levels[0] < levels[1]:
        raise ValueError("black must be below white")
    return levels


Count: TypeAlias = Annotated[int, Field(ge=0)]
Side: TypeAlias = Annotated[int, Field(ge=1, le=_MOST_PIXELS)]
Channels: TypeAlias = Annotated[int, Field(ge=1, le=16)]
Levels: TypeAlias = Annotated[tuple[float, float], AfterValidator(_black_below_white)]
Span: TypeAlias = Annotated[tuple[Side, Side], AfterValidator(_ordered)]


class Part(BaseModel):
    """Named values of the description, which never change; fields that this onlygood does not know are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, allow_inf_nan=False)

    def replaced(self, **changes: Any) -> Self:
        """A copy with other values for some fields."""
        return self.model_copy(update=changes)


class RegionFacts(Part):
    """The region of interest."""

    box: tuple[float, float, float, float] = Field(
        description="top, left, bottom and right of what is looked at, as shares of the height and width of an image"
    )
    looked_at: float = Field(gt=0, le=1, description="the share of that box that is looked at")
    sha256: str = Field(description="of the mask in the graph")


class TilesFacts(Part):
    """How images are cut into tiles that are looked at one by one."""

    size: tuple[Side, Side] = Field(description="height and width of a tile, in pixels of an image of image_size")
    rows: Side = Field(description="how many there are from top to bottom")
    columns: Side = Field(description="how many there are from left to right")
    count: Side = Field(description="how many of them are looked at; the others are outside the region of interest")
    image_size: tuple[Side, Side] = Field(description="height and width that they were laid out for; others are scaled")


class AlignmentFacts(Part):
    """How images are registered to a golden sample before anything looks at them."""

    motion: Literal["translation", "rigid"] = Field(
        description="what is undone: shifts by whole pixels, or turns and shifts"
    )
    golden_sample: str = Field(description="the name of the image")
    sha256: str = Field(description="of the golden sample in the graph")
    grid: tuple[Side, Side] = Field(description="height and width in pixels at which images are compared with it")
    most_degrees: float = Field(ge=0, le=180, description="the largest angle either way that is undone")
    most_shift: float = Field(gt=0, lt=1, description="the largest shift that is undone, as a share of the side")
    correlation: float = Field(description="of good images with the golden sample once they are aligned, the median")
    chance: float = Field(description="the highest correlation of good images with noise of the same spectrum")


class InputFacts(Part):
    """What images the model takes."""

    dtype: Literal["uint8", "uint16"] = Field(description="of the pixels")
    channels: Channels = Field(
        description="1 for grey, 3 for colour (grey images are taken, too), or another number of them"
    )
    channel_order: Literal["rgb"] = Field(default="rgb", description="of the graph's input: red, green, blue")
    alpha: Literal["mask"] | None = Field(
        default=None,
        description="mask where images have one channel more, the last: not looked at up to half of its highest level",
    )
    window: Levels = Field(description="the levels of black and white")
    windows: tuple[Levels, ...] | None = Field(
        default=None,
        description="of each group of channels, where there are others than grey or colour; the first is window",
    )
    input_shape: tuple[Side, Side] = Field(description="height and width in pixels that images are resized to")
    tiles: TilesFacts | None = Field(
        default=None, description="tiles, each resized to input_shape; none for whole images"
    )
    alignment: AlignmentFacts | None = Field(
        default=None, description="how images are aligned to a golden sample; none for images as they are"
    )
    region: RegionFacts | None = Field(
        default=None, description="the region of interest, in the aligned image; none for whole images"
    )

    @property
    def image_channels(self) -> int:
        """How many channels the graph's input has, with that of alpha."""
        return self.channels + (self.alpha is not None)


class BackboneFacts(Part):
    """The pretrained network, as its card says; further fields of the card follow."""

    name: str = Field(description="of the network and its weights")
    description: str = Field(description="a line that says what it is")
    licence: str = Field(description="of the weights")
    sha256: str = Field(description="of the backbone's file")


class FineTuned(Part):
    """What of the backbone was trained, so that the untrained network can be put beside it."""

    backbone: str = Field(description="the name of the backbone, or of its file")
    tap: str = Field(description="the output that ends the trained part")
    layers: Count = Field(description="how many layers before it were trained")


class Training(Part):
    """How a network was trained."""

    batch_size: Count
    learning_rate: float
    weight_decay: float
    losses: dict[str, list[float]] = Field(description="the mean loss of each epoch, by stage")


class KindsFacts(Part):
    """What kinds of images the good ones are, whatever they show; each pair is the least and the greatest."""

    aspect_ratios: tuple[float, float] = Field(description="width over height")
    bits: Span = Field(description="that the highest level of an image needs")
    sharpness: tuple[float, float] | None = Field(
        default=None, description="the squared difference of neighbouring pixels over twice the variance"
    )
    red_minus_blue: tuple[float, float] | None = Field(
        default=None, description="the mean of red without that of blue, as a share of the range of levels"
    )
    channels: tuple[Channels, ...] = Field(
        description="1 for grey, 3 for colour, by what is in them, or another number of them"
    )
    formats: tuple[str, ...] = Field(default=(), description="of their files; none for images in memory")


class GoodImagesFacts(Part):
    """The good images that were given."""

    count: Count
    unreadable: Count = Field(description="how many were left out since they could not be read")
    heights: Span = Field(description="the least and the greatest, in pixels")
    widths: Span = Field(description="the least and the greatest, in pixels")
    sha256: str = Field(description="of their pixels, in any order")
    kinds: KindsFacts | None = Field(default=None, description="what kinds of images; none in older files")


class CalibrationFacts(Part):
    """How the threshold was found."""

    method: Literal["leave-one-out", "split", "cross-fit"]
    threshold: float = Field(description="of the raw score; 0 of the score")
    rule: Rule = "conformal"
    odd: tuple[str, ...] = Field(default=(), description="names of the good images whose scores stand apart")
    decided_by: str | None = Field(default=None, description="a sentence on what decides the threshold")


class MapLevels(Part):
    """Levels of the anomaly map."""

    typical: float = Field(description="the median over good images")
    high: float = Field(description="what few good images reach anywhere")


class Recalibration(Part):
    """One time that the model was given another threshold."""

    source: Literal["calibration scores", "new good images"] = Field(
        validation_alias="from", serialization_alias="from"
    )
    images: Count
    groups: Count
    images_sha256: str | None = Field(default=None, description="of the new images' pixels")
    requested_rate: Annotated[float, Field(gt=0, lt=1)]
    requested_rate_before: Annotated[float, Field(gt=0, lt=1)]
    threshold_before: float
    model_sha256: str = Field(description="content_sha256 of the model before")
    notes: tuple[str, ...] = ()
    onlygood: str = Field(description="the version that did it")


class Update(Part):
    """One time that good images were added or taken out."""

    number: Annotated[int, Field(ge=1)] = Field(description="1 for the first update; the images of the fit are 0")
    name: str | None = Field(default=None, description="what it was called")
    at: str = Field(description="when, in UTC, as in ISO 8601")
    added: Count = Field(description="how many images")
    added_sha256: str | None = Field(default=None, description="of their pixels, in any order")
    removed: Count = Field(description="how many images")
    removed_sha256: str | None = Field(default=None, description="of their pixels, in any order")
    images: Count = Field(description="how many images the model was of afterwards")
    threshold_before: float = Field(description="of the raw score of the model before")
    requested_rate: Annotated[float, Field(gt=0, lt=1)]
    stated_rate_before: Annotated[float, Field(gt=0, le=1)]
    model_sha256: str = Field(description="content_sha256 of the model before")
    notes: tuple[str, ...] = ()
    onlygood: str = Field(description="the version that did it")


class KeptFacts(Part):
    """What the file keeps beside the graph for `onlygood update`, in an entry of its metadata of its own."""

    images: Count = Field(description="how many good images it is of")
    characters: Count = Field(description="of the entry")
    sha256: str = Field(description="of the entry")


class Metadata(Part):
    """The whole description of a model file.

    Example:
        >>> import onlygood
        >>> metadata = onlygood.Inspector("part.onnx").metadata
        >>> metadata.method, metadata.input.channels
        ('patch', 3)
    """

    format: int = Field(default=FORMAT, description="of the file; this onlygood writes 2")
    method: str = Field(description="the name of the method")
    description: str = Field(default="", description="what the detector is, in a line")
    settings: dict[str, Any] = Field(description="of the fit and of the method, by their keywords, without threads")
    input: InputFacts = Field(description="what images the model takes")
    backbone: BackboneFacts | None = Field(default=None, description="the pretrained network, if it is on one")
    fine_tuned: FineTuned | None = Field(default=None, description="what of the backbone was trained")
    training: Training | None = Field(default=None, description="how a network was trained")
    detector: dict[str, Any] = Field(default={}, description="what the detector learned; its own fields, by method")
    good_images: GoodImagesFacts = Field(description="the good images that were given")
    calibration: CalibrationFacts = Field(description="how the threshold was found")
    guarantee: Guarantee = Field(description="how often good images will be called anomalous, and why")
    map_levels: MapLevels = Field(description="levels of the anomaly map")
    notes: tuple[str, ...] = Field(default=(), description="sentences about the good images")
    made_with: dict[str, str] = Field(description="versions by library")
    recalibrations: tuple[Recalibration, ...] = Field(default=(), description="each later threshold, the first first")
    updates: tuple[Update, ...] = Field(
        default=(), description="each time that images were added or taken out, in order"
    )
    kept: KeptFacts | None = Field(default=None, description="what the file keeps for updates; none where it cannot be")
    content_sha256: str = Field(default="", description="of the graph and of this description without this field")

    def __repr__(self) -> str:
        return f"<Metadata: {self.method}, {self.good_images.count:,} good images, digest {self.content_sha256[:12]}>"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str) -> Self:
        """The description of the model with this name, checked.

        Args:
            values: as they are in the file, of the newest format.
            name: what messages call the model.

        Raises:
            ModelFormatError: a field that is missing or cannot be used.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = printable(".".join(map(str, first["loc"]))[:200]) or "it"
            what = (
                "got none" if first["type"] == "missing" else f"got {_short(first['input'])} ({first['msg'].lower()})"
            )
            raise ModelFormatError(
                f"the model {name} must have {where} in its description, {what}: copy it again, or fit it again"
            ) from error

    @property
    def threshold_rule(self) -> ThresholdRule:
        """How thresholds are decided: what the fit was asked for; files of an older onlygood are conformal.

        Raises:
            ModelFormatError: the settings have a rule that this onlygood does not know.
        """
        found = self.settings.get("threshold_rule", "conformal")
        for known in get_args(ThresholdRule):
            if found == known:
                rule: ThresholdRule = known
                return rule
        raise ModelFormatError(
            f"the model must have one of {', '.join(get_args(ThresholdRule))} as threshold_rule among its settings, "
            f"got {found!r}: install a newer onlygood, or fit it again"
        )

    @property
    def title(self) -> str:
        """The method, and what the detector is."""
        return f"{self.method}: {self.description}" if self.description else self.method

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values, without parts that this model does not have."""
        dumped = self.model_dump(mode="json", by_alias=True)
        absent = [name for name in ("backbone", "fine_tuned", "training", "kept") if dumped[name] is None]
        dumped["input"] = {name: value for name, value in dumped["input"].items() if value is not None}
        return {name: value for name, value in dumped.items() if name not in absent}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def description_problem(values: Mapping[str, Any]) -> str | None:
    """What in a description is no plain value that can be shown and computed with; None where all are.

    Fields that this onlygood does not know are looked at, too: they are kept and printed.

    Args:
        values: as they were parsed from JSON.
    """
    waiting: list[tuple[str, Any, int]] = [("it", values, 0)]
    count = 0
    while waiting:
        where, value, depth = waiting.pop()
        if isinstance(value, dict | list):
            count += len(value)
            if depth >= DEEPEST or count > MOST_VALUES:
                return f"more than {MOST_VALUES} values, or values more than {DEEPEST} deep"
            inner = value.items() if isinstance(value, dict) else ((where, each) for each in value)
            waiting += [(str(name), each, depth + 1) for name, each in inner]
            continue
        if len(where) > LONGEST_TEXT or (isinstance(value, str) and len(value) > LONGEST_TEXT):
            return f"a text of more than {LONGEST_TEXT} letters at {where[:60]!r}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{value} at {where[:60]!r}"
        if isinstance(value, int) and abs(value) >= 2**63:
            return f"a whole number of more than 64 bits at {where[:60]!r}"
    return None


def metadata_schema() -> dict[str, Any]:
    """The JSON schema of a model file's description."""
    return Metadata.model_json_schema(by_alias=True)
