"""From an image to what a graph takes, and from what a graph gives to an inspection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError
from onlygood.images.channels import is_grey_or_colour
from onlygood.images.reading import (
    ImageArray,
    ImageSource,
    ReadingLimits,
    fit_channels,
    read_image,
    require_depth,
)
from onlygood.metadata import Metadata
from onlygood.results import Inspection

VERDICT_OUTPUTS = ("score", "p_value", "is_anomaly")


def read_for(
    metadata: Metadata, image: ImageSource, *, name: str, page: int | None, limits: ReadingLimits
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
    limits = limits_for(metadata, limits)
    return as_input(metadata, read_image(image, name=name, page=page, limits=limits), name)


def limits_for(metadata: Metadata, limits: ReadingLimits) -> ReadingLimits:
    """How images are read for the model with these metadata, within these bounds."""
    channels = None if is_grey_or_colour(metadata.input.channels) else metadata.input.channels
    return replace(limits, channels=channels, alpha=metadata.input.alpha or "black")


def as_input(metadata: Metadata, image: ImageArray, name: str) -> ImageArray:
    """Pixels that were read, [H, W, C], as the model with these metadata takes them.

    Raises:
        ImageFormatError: they are not of the kind that this model takes.
    """
    require_depth(image, np.dtype(metadata.input.dtype), name)
    if metadata.input.alpha is None:
        return fit_channels(image, metadata.input.channels, name)
    colours = fit_channels(image[:, :, :-1], metadata.input.channels, name)
    return np.concatenate([colours, image[:, :, -1:]], axis=2)


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
        ImageError: a score or a map that is not finite, or a p-value that is none.
    """
    # Here and below, the shortest decimal of a float32: 0.05 stays 0.05 and does not become 0.0500000007.
    score = float(str(verdict[0][0]))
    if not np.isfinite(score):
        raise ImageError(f"{name} has a score that is not finite, {score}: report this with the image")
    p_value = float(str(verdict[1][0]))
    if not 0.0 <= p_value <= 1.0:
        raise ImageError(f"{name} has a p-value that is not between 0 and 1, {p_value}: report this with the image")
    if anomaly_map is not None and not np.isfinite(anomaly_map).all():
        raise ImageError(f"{name} has an anomaly map that is not finite: report this with the image")
    return Inspection(
        name=name,
        score=score,
        p_value=p_value,
        is_anomaly=bool(verdict[2][0]),
        anomaly_map=anomaly_map,
        latency_ms=latency_ms,
    )
