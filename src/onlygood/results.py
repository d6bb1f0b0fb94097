"""What comes back of an image that was inspected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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

    def to_dict(self) -> dict[str, Any]:
        """All but the map, as plain JSON values."""
        return {
            "name": self.name,
            "is_anomaly": self.is_anomaly,
            "score": self.score,
            "p_value": self.p_value,
            "latency_ms": round(self.latency_ms, 3),
        }
