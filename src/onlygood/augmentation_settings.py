"""How far good images are allowed to vary, where a golden image stands for all of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from onlygood._integers import is_integer
from onlygood.errors import SettingError

BORDERS = ("mirror", "edge", "constant")
MOST_BLUR = 20.0


def _setting(default: Any, help_text: str, **details: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **details})


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """The ranges within which an augmentation changes an image. Each field's meaning is its `help`.

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
    """

    brightness: float = _setting(
        0.1, "most that an augmentation is brighter or darker, as a share of the levels from black to white, 0 to 1"
    )
    contrast: float = _setting(
        0.1, "most that its contrast (about the image's mean) is higher or lower, as a share, 0 to below 1"
    )
    gamma: float = _setting(
        0.1, "most that its gamma is above or below 1, 0 to below 1: 0.1 is exponents from 0.9 to 1.1"
    )
    noise: float = _setting(
        0.01, "most sensor noise: standard deviation as a share of the levels from black to white, 0 to 1"
    )
    blur: float = _setting(0.7, f"most blur: standard deviation in pixels of the image as given, 0 to {MOST_BLUR:g}")
    jpeg: int = _setting(75, "lowest quality of JPEG compression, 1 to 100; 0 for no compression")
    shift: float = _setting(
        0.01, "most that it is shifted to each side, as a share of the image's width and of its height, 0 to 0.5"
    )
    rotation: float = _setting(1.0, "most that it is turned to each side about its centre, in degrees, 0 to 180")
    scale: float = _setting(0.01, "most that it is larger or smaller about its centre, as a share, 0 to 0.5")
    flip_horizontal: bool = _setting(False, "mirror every other one left to right: only for parts where either is good")
    flip_vertical: bool = _setting(False, "mirror every other one top to bottom: only for parts where either is good")
    border: str = _setting(
        "mirror",
        "what comes into view at the border: the image mirrored there, the edge's pixels repeated, or one constant "
        "level (--augment-border-level)",
        choices=BORDERS,
    )
    border_level: float | None = _setting(
        None, "the level that --augment-border constant fills with; the median of the image's own border unless given"
    )

    def __post_init__(self) -> None:
        for name, most, included in (
            ("brightness", 1.0, True),
            ("contrast", 1.0, False),
            ("gamma", 1.0, False),
            ("noise", 1.0, True),
            ("blur", MOST_BLUR, True),
            ("shift", 0.5, True),
            ("rotation", 180.0, True),
            ("scale", 0.5, True),
        ):
            value = getattr(self, name)
            if not (_is_number(value) and (0.0 <= value < most or (included and value == most))):
                end = f"{most:g}" if included else f"below {most:g}"
                unit = {"blur": " of pixels", "rotation": " of degrees"}.get(name, "")
                raise SettingError(f"{name} must be a number{unit} from 0 to {end}, got {value!r}")
        if not is_integer(self.jpeg, 0, 100):
            raise SettingError(f"jpeg must be a whole number from 1 to 100, or 0 for no compression, got {self.jpeg!r}")
        for name in ("flip_horizontal", "flip_vertical"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.border not in BORDERS:
            raise SettingError(f"border must be one of {', '.join(BORDERS)}, got {self.border!r}")
        if self.border_level is not None:
            if not (_is_number(self.border_level) and 0 <= self.border_level <= 65_535):
                raise SettingError(f"border_level must be a level from 0 to 65535, got {self.border_level!r}")
            if self.border != "constant":
                raise SettingError(
                    f"border_level must be left out unless border is 'constant', got {self.border_level!r} with "
                    f"{self.border!r}: set border to 'constant'"
                )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
