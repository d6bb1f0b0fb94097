"""Inspect: a model file and an image, in; a verdict, out."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError
from onlygood.graph.model_file import keep_outputs
from onlygood.graph.runtime import open_model, run
from onlygood.graph.verdict import CalibrationScores
from onlygood.images.reading import ImageArray, ImageSource, ReadingLimits, fit_channels, read_image, require_depth
from onlygood.model import CalibratedModel, file_and_name
from onlygood.occlusion import occlusion_map
from onlygood.recalibration import at_rate
from onlygood.results import Inspection

VERDICT_OUTPUTS = ("score", "p_value", "is_anomaly")


class Inspector:
    """A model, loaded and ready: call it with an image. Safe to share between threads.

    Args:
        model: path of a model file, or what `onlygood.fit` or `onlygood.calibrate` returned.
        false_alarm_rate: use the threshold that the calibration scores in the file give at this rate, in (0, 1),
            instead of the one in the file. The file stays as it is; `metadata` are those that it would have.
        provider: the hardware that ONNX Runtime uses, "cpu" or one that its installation has ("cuda", ...).
        threads: that share one image's work; 0 for one a core.
        with_map: give anomaly maps; without them large images are inspected faster.
        by_occlusion: make those maps by hiding parts of the image (see `onlygood.occlusion`), which takes some eighty
            inspections each, instead of in the graph. They say something also where the model's latent space has no
            places.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.

    Raises:
        ModelFileError: the file is missing, damaged, of another kind or newer than this onlygood.
        SettingError: a provider that is not installed, or a rate, a limit or a number of threads that cannot be used.

    Example:
        >>> import onlygood
        >>> inspect = onlygood.Inspector("part.onnx")
        >>> inspection = inspect("new/3.jpg")
        >>> inspection.is_anomaly, inspection.anomaly_map.shape
        (True, (96, 112))
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | CalibratedModel,
        *,
        false_alarm_rate: float | None = None,
        provider: str = "cpu",
        threads: int = 0,
        with_map: bool = True,
        by_occlusion: bool = False,
        max_pixels: int = ReadingLimits.max_pixels,
        max_bytes: int = ReadingLimits.max_bytes,
    ) -> None:
        file, shown = file_and_name(model)
        if false_alarm_rate is not None:
            file = at_rate(file, false_alarm_rate, name=shown).file
        self.metadata: dict[str, Any] = file.metadata
        self.calibration_scores: CalibrationScores | None = file.calibration_scores
        self.limits = ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes)
        from_graph = with_map and not by_occlusion
        self._by_occlusion = with_map and by_occlusion
        self._outputs = [*VERDICT_OUTPUTS, "anomaly_map"] if from_graph else list(VERDICT_OUTPUTS)
        content = file.content if from_graph else keep_outputs(file.content, self._outputs)
        self._session = open_model(content, shown, provider=provider, threads=threads)

    @property
    def map_levels(self) -> tuple[float, float]:
        """Levels of the anomaly map: what is typical of good images, and what few of them reach anywhere."""
        if self._by_occlusion:
            # A raw score is at least 0, so hiding a part can take off no more than all of it, which of good images
            # is below the threshold, at the rate guaranteed.
            return 0.0, float(self.metadata["calibration"]["threshold"])
        levels = self.metadata["map_levels"]
        return float(levels["typical"]), float(levels["high"])

    @property
    def window(self) -> tuple[float, float]:
        """The levels of black and white that the model was fitted with."""
        black, white = self.metadata["input"]["window"]
        return float(black), float(white)

    def __call__(self, image: ImageSource, *, name: str | None = None, page: int | None = None) -> Inspection:
        """The verdict on one image.

        Args:
            image: a path, the bytes of a file, a PIL image, or an array uint8 or uint16 [H, W] or [H, W, C].
            name: what to call it; its path unless given.
            page: of a multi-page TIFF, from 0.

        Raises:
            ImageError: it cannot be read, or is not of the kind that this model takes.
        """
        if name is None:
            name = os.fspath(image) if isinstance(image, str | os.PathLike) else "the image"
        pixels = read_for(self.metadata, image, name=name, page=page, limits=self.limits)
        started = time.perf_counter()
        values = run(self._session, self._outputs, {"image": pixels[None]})
        latency_ms = 1e3 * (time.perf_counter() - started)
        anomaly_map = values[3][0] if len(values) > len(VERDICT_OUTPUTS) else None
        if self._by_occlusion:
            anomaly_map = occlusion_map(pixels, self._scores)
        return to_inspection(name, values, anomaly_map=anomaly_map, latency_ms=latency_ms)

    def _scores(self, images: ImageArray) -> NDArray[np.float32]:
        """Scores of several images of one size, float32 [n]."""
        scores: NDArray[np.float32] = run(self._session, ["score"], {"image": images})[0]
        return scores


def read_for(
    metadata: dict[str, Any], image: ImageSource, *, name: str, page: int | None, limits: ReadingLimits
) -> ImageArray:
    """An image's pixels as the model with these metadata takes them.

    Args:
        metadata: of the model.
        image: as `Inspector` takes it.
        name: what errors call it.
        page: of a multi-page TIFF, from 0.
        limits: bounds on pixels and bytes.

    Raises:
        ImageError: it cannot be read, or is not of the kind that this model takes.
    """
    kind = metadata["input"]
    pixels = read_image(image, name=name, page=page, limits=limits)
    require_depth(pixels, np.dtype(kind["dtype"]), name)
    return fit_channels(pixels, int(kind["channels"]), name)


def to_inspection(
    name: str, verdict: Sequence[Any], *, anomaly_map: NDArray[np.float32] | None, latency_ms: float
) -> Inspection:
    """What a graph said of one image.

    Args:
        name: of the image.
        verdict: the values of VERDICT_OUTPUTS, each [1]; more may follow.
        anomaly_map: as in the inspection.
        latency_ms: as in the inspection.

    Raises:
        ImageError: a score that is not finite.
    """
    # Here and below, the shortest decimal of a float32: 0.05 stays 0.05 and does not become 0.0500000007.
    score = float(str(verdict[0][0]))
    if not np.isfinite(score):
        raise ImageError(f"{name} has a score that is not finite, {score}: report this with the image")
    return Inspection(
        name=name,
        score=score,
        p_value=float(str(verdict[1][0])),
        is_anomaly=bool(verdict[2][0]),
        anomaly_map=anomaly_map,
        latency_ms=latency_ms,
    )
