"""What comes back of an image that was inspected."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood._html import escape
from onlygood._plurals import shorten
from onlygood.errors import SettingError
from onlygood.heatmap import draw_heatmap, side_by_side, to_png
from onlygood.images.reading import ImageArray
from onlygood.kind_notes import Difference
from onlygood.regions import Region
from onlygood.thumbnails import draw_small

# The long side of an image in a notebook, in pixels, and the most characters of its name in a line.
NOTEBOOK_SIDE = 320
NAME_LENGTH = 80


@dataclass(frozen=True)
class InspectedPixels:
    """What a heat map is drawn with, beside the map.

    Attributes:
        image: uint8 or uint16 [H, W, C], as the model was given it. It may share memory with the array inspected.
        levels: typical and high, of the map, as `Inspector.map_levels`.
        window: the levels of black and white.
    """

    image: ImageArray = field(repr=False)
    levels: tuple[float, float]
    window: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a model says of one image.

    Attributes:
        name: of the image, as given.
        score: distance from the threshold in the model's own unit: above 0 anomalous, below 0 inside.
        p_value: share of good images at least this anomalous, in (0, 1]; small is anomalous.
        is_anomaly: score > 0.
        anomaly_map: float32 [H, W], at the image's own size, higher is more anomalous; None if it was not asked for. In
            the same unit as the raw score; `Inspector.map_levels` says what is ordinary.
        latency_ms: of the graph's run, without reading the file.
        regions: where the map is above the high level of `Inspector.map_levels`, the highest peak first; None without a
            map.
        differences: in what the image is as no good image was (size, format, sharpness, ...): where there are any, the
            verdict may say nothing of what the image shows.
        pixels: what `heatmap` draws the map on; None without a map, so that nothing large is kept then.

    Example:
        >>> import onlygood
        >>> inspection = onlygood.Inspector("part.onnx")("new/0.png")
        >>> f"{inspection.name}: score {inspection.score:+.2f}, p-value {inspection.p_value:.2f}"
        'new/0.png: score -1..., p-value 1.00'
    """

    name: str
    score: float
    p_value: float
    is_anomaly: bool
    anomaly_map: NDArray[np.float32] | None
    latency_ms: float
    regions: tuple[Region, ...] | None = None
    differences: tuple[Difference, ...] = ()
    pixels: InspectedPixels | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        size = "" if self.anomaly_map is None else ", with its map of {} x {}".format(*self.anomaly_map.shape)
        return f"<Inspection of {shorten(self.name, NAME_LENGTH)}: {self._verdict}{size}>"

    def _repr_html_(self) -> str:
        """Verdict and heat map, as notebooks show them."""
        said = f"<div><b>{escape(self.name)}</b>: {self._verdict}</div>"
        said += "".join(f"<div>{escape(difference.sentence)}</div>" for difference in self.differences)
        if self.anomaly_map is None or self.pixels is None:
            return said
        seen = self.pixels
        plain, marked = draw_small(
            seen.image, self.anomaly_map, levels=seen.levels, window=seen.window, long_side=NOTEBOOK_SIDE
        )
        assert marked is not None  # there is a map
        data = base64.b64encode(to_png(side_by_side(plain, marked))).decode("ascii")
        return f'{said}<img alt="The image, and the same with its map" src="data:image/png;base64,{data}">'

    @property
    def _verdict(self) -> str:
        word = "anomalous" if self.is_anomaly else "good"
        return f"{word}, score {self.score:+.4g}, p-value {self.p_value:.2g}"

    def heatmap(self) -> Image.Image:
        """The image, and beside it the same with its map: clear where typical, coloured where anomalous.

        Raises:
            SettingError: there is no map.
        """
        if self.anomaly_map is None or self.pixels is None:
            raise SettingError(
                f"a heat map needs the anomaly map of {self.name}, got an inspection without one: inspect it with an "
                "Inspector that is made with with_map=True"
            )
        return draw_heatmap(self.pixels.image, self.anomaly_map, levels=self.pixels.levels, window=self.pixels.window)

    def without_map(self) -> Inspection:
        """The same without its map and its pixels, which take most of its memory."""
        return replace(self, anomaly_map=None, pixels=None)

    def to_dict(self) -> dict[str, Any]:
        """All but the map, as plain JSON values."""
        return {
            "name": self.name,
            "is_anomaly": self.is_anomaly,
            "score": self.score,
            "p_value": self.p_value,
            "latency_ms": round(self.latency_ms, 3),
            "regions": None if self.regions is None else [region.to_dict() for region in self.regions],
            "differences": [difference.to_dict() for difference in self.differences],
        }
