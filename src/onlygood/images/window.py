"""The window: which levels of a 16-bit image become black and white.

A 16-bit image rarely fills its range: a 12-bit camera leaves 15 of 16 levels empty. The network wants contrast, so
the graph maps the levels from `black` to `white` linearly to what 0 and 255 are in an 8-bit image.

The window is chosen once, from the good images of the fit, and stored in the model. It is never taken from the
image under inspection: to stretch each image by its own levels would hide the defects that are brighter or darker
than anything good, and would make the score of one region depend on the rest of the image.

Nor does the graph clip at the window: levels beyond it are extended on the same line, below 0 and above 255, so that a
glare or a hole stays as anomalous as it is.

8-bit images have the window 0 to 255, in other words none.
"""

import math
from dataclasses import dataclass

import numpy as np

from onlygood._plain import plain
from onlygood.errors import ImageFormatError, SettingError
from onlygood.images.reading import ImageArray

_LEVELS = 65_536
# The least from black to white.
_NARROWEST = 1.0
_CHUNK = 1 << 20  # np.bincount makes 8 bytes of each value: 8 MiB at a time


@dataclass(frozen=True)
class Window:
    """The levels that become black (0) and white (1); levels beyond are extended on the same line, not clipped.

    Args:
        black: level that becomes 0.
        white: level that becomes 1.

    Raises:
        SettingError: unless both are finite and 0 <= black < white <= 65535.
    """

    black: float
    white: float

    def __post_init__(self) -> None:
        for name in ("black", "white"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        for level in (self.black, self.white):
            if not isinstance(level, (int, float)) or isinstance(level, bool) or not math.isfinite(level):
                raise SettingError(f"a window must be two levels with black < white, got {self._shown}")
        if not 0 <= self.black < self.white <= _LEVELS - 1:
            raise SettingError(
                f"a window must be two levels with black < white, both from 0 to {_LEVELS - 1}, got {self._shown}"
            )
        if self.white - self.black < _NARROWEST:
            raise SettingError(
                f"a window must be at least {_NARROWEST:g} level wide, since levels are whole numbers, got "
                f"{self._shown}: raise white or lower black"
            )

    @property
    def _shown(self) -> str:
        return f"({self.black!r}, {self.white!r})"


FULL_8_BIT = Window(0, 255)


class LevelHistogram:
    """Counts how often each level occurs, over images given one at a time; 512 KiB however many they are.

    Not for use from several threads at once.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(_LEVELS, np.int64)
        self.images = 0
        self._dtype: np.dtype[np.uint8 | np.uint16] | None = None

    def add(self, image: ImageArray, name: str = "the image") -> None:
        """Count the levels of one image, all channels together: one window for all keeps the colours' balance.

        Args:
            image: uint8 or uint16, of the same depth as the images before it.
            name: what the error calls the image.

        Raises:
            ImageFormatError: if its depth is not that of the images before it.
        """
        if self._dtype is not None and image.dtype != self._dtype:
            raise ImageFormatError(
                f"{name} has {image.dtype.itemsize * 8} bits a channel, the images before it have "
                f"{self._dtype.itemsize * 8}: give images of one depth"
            )
        self._dtype = image.dtype
        values = image.reshape(-1)
        for start in range(0, values.size, _CHUNK):
            self.counts += np.bincount(values[start : start + _CHUNK], minlength=_LEVELS)
        self.images += 1

    def window(
        self, *, lower: float = 0.001, upper: float = 0.999, margin: float = 0.1, min_width: int = 255
    ) -> Window:
        """Whole levels that hold the shares from `lower` to `upper` of all values, and a margin; 0 and 255 for 8 bits.

        Args:
            lower: share of values that may be darker than black, before the margin.
            upper: share of values that may not be brighter than white, before the margin. The shares keep a few hot
                or dead pixels from deciding.
            margin: share of the width that is added on each side, for images a little darker or brighter than those.
            min_width: levels from black to white, at least. Images of one level would have no width; at 255 a level
                counts as much as in an 8-bit image, and less would only magnify noise.

        Returns:
            A window within 0 to 65535; narrower than asked for only where these bounds cut off its margin.

        Raises:
            SettingError: if no image was counted, or unless 0 <= lower < upper <= 1, margin >= 0, and min_width is
                from 1 to 65535.
        """
        if not 0 <= lower < upper <= 1:
            raise SettingError(f"a window must have shares with 0 <= lower < upper <= 1, got {lower!r} and {upper!r}")
        if not (math.isfinite(margin) and margin >= 0):
            raise SettingError(f"a window's margin must be a share of at least 0, got {margin!r}")
        if not 1 <= min_width < _LEVELS:
            raise SettingError(f"a window's min_width must be from 1 to {_LEVELS - 1}, got {min_width!r}")
        if self._dtype is None:
            raise SettingError("a window must be chosen from at least 1 image, got 0: add images first")
        if self._dtype == np.uint8:
            return FULL_8_BIT
        cumulative = np.cumsum(self.counts)
        total = int(cumulative[-1])
        # mirror images of each other: at most a share `lower` lies below black, at most 1 - upper above white
        darkest = int(np.searchsorted(cumulative, lower * total, side="right"))
        brightest = int(np.searchsorted(cumulative, upper * total, side="left"))
        width = brightest - darkest
        extra = max(margin * width, (min_width - width) / 2)
        black = math.floor(darkest - extra)
        white = math.ceil(brightest + extra)
        if black < 0:
            black, white = 0, max(white, min_width)
        if white > _LEVELS - 1:
            black, white = min(black, _LEVELS - 1 - min_width), _LEVELS - 1
        return Window(max(black, 0), white)
