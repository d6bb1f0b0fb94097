"""How far good images are allowed to vary, where a golden image stands for all of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from onlygood.errors import SettingError
from onlygood.validation import Settings

MOST_BLUR = 20.0


class AugmentationSettings(Settings):
    """The ranges within which an augmentation changes an image. Each field's meaning is its description.

    What lies within these ranges is good by decision, and what lies outside is anomalous by construction; so they are
    to be as wide as what happens at a machine on a good day, and no wider. The defaults are meant for a camera that is
    screwed down above a fixture that holds the part:

    - brightness, contrast and gamma of 0.1: a lamp's ageing and daylight from a window move the grey levels by a few
      per cent; a lamp that failed moves them by more.
    - noise of 0.01: 2.5 of 255 levels, an industrial sensor at moderate gain.
    - blur of 0.7 pixels: a part a little above or below the plane of focus; more would hide fine scratches.
    - JPEG down to 75: what most software writes unless told otherwise.
    - shift, rotation and scale of 0.01, 1 degree and 0.01: the play of a fixture, where each moves a point at the
      image's border by at most about one per cent of its side. Parts that lie freely on a belt need more.
    - no flips: a mirrored print is a wrong print. For parts without a left and a right, allow them.
    - the image mirrored at its border: texture goes on there as texture, where repeated pixels draw streaks and a
      constant level draws a seam. Where a part's own edge lies so close to the border that it would be seen twice, the
      background is plain, and a constant level is the better choice.

    Raises:
        SettingError: a value that cannot be used, when it is made.

    Example:
        >>> import onlygood
        >>> loose = onlygood.AugmentationSettings(shift=0.05, rotation=5)
        >>> model = onlygood.fit(["good/0.png"], golden=True, augment=12, augmentation=loose)
        >>> model.guarantee.golden_images
        1
    """

    subject: ClassVar[str] = "settings of augmentation"

    brightness: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="most that an augmentation is brighter or darker, as a share of black to white",
    )
    contrast: float = Field(
        default=0.1, ge=0, lt=1, description="most that its contrast is higher or lower, as a share"
    )
    gamma: float = Field(default=0.1, ge=0, lt=1, description="most that its gamma is above or below 1")
    noise: float = Field(
        default=0.01, ge=0, le=1, description="most sensor noise: standard deviation as a share of black to white"
    )
    blur: float = Field(
        default=0.7,
        ge=0,
        le=MOST_BLUR,
        description="most blur: standard deviation in pixels of the image as given",
        json_schema_extra={"must_be": f"a number of pixels from 0 to {MOST_BLUR:g}"},
    )
    jpeg: int = Field(
        default=75,
        ge=0,
        le=100,
        description="lowest quality of JPEG compression; 0 for no compression",
        json_schema_extra={"must_be": "a whole number from 1 to 100, or 0 for no compression"},
    )
    shift: float = Field(
        default=0.01, ge=0, le=0.5, description="most that it is shifted to each side, as a share of width and height"
    )
    rotation: float = Field(
        default=1.0,
        ge=0,
        le=180,
        description="most that it is turned to each side about its centre, in degrees",
        json_schema_extra={"must_be": "a number of degrees from 0 to 180"},
    )
    scale: float = Field(default=0.01, ge=0, le=0.5, description="most that it is larger or smaller, as a share")
    flip_horizontal: bool = Field(
        default=False, description="mirror every other one left to right: only for parts where either is good"
    )
    flip_vertical: bool = Field(
        default=False, description="mirror every other one top to bottom: only for parts where either is good"
    )
    border: Literal["mirror", "edge", "constant"] = Field(
        default="mirror",
        description="what comes into view at the border: the image mirrored, its edge repeated, or one level",
    )
    border_level: float | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="the level that a constant border has; the median of the image's own border unless given",
        json_schema_extra={"must_be": "a level from 0 to 65535"},
    )

    def check(self) -> None:  # noqa: D102
        if self.border_level is not None and self.border != "constant":
            raise SettingError(
                f"border_level must be left out unless border is 'constant', got {self.border_level!r} with "
                f"{self.border!r}: set border to 'constant'"
            )
