"""Slow and plain references in NumPy, and how a graph is run: what the tests of the graph compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.runtime import open_session, run


def evaluate(model: onnx.ModelProto, feeds: dict[str, Any]) -> dict[str, Any]:
    """All outputs of a graph, by name."""
    names = [value.name for value in model.graph.output]
    session = open_session(model.SerializeToString(), threads=1)
    return dict(zip(names, run(session, names, feeds), strict=True))


def triangle_weights(old: int, new: int, *, antialias: bool, edge_goes_on: bool) -> NDArray[np.float64]:
    """The matrix [new, old] of linear resizing with half-pixel centres; as wide as the reduction with `antialias`.

    Outside the image its edge goes on, or nothing counts.
    """
    scale = old / new
    support = max(scale, 1.0) if antialias else 1.0
    margin = int(np.ceil(support))
    weights = np.zeros((new, old))
    for i in range(new):
        for j in range(-margin, old + margin):
            weight = max(0.0, 1.0 - abs((j + 0.5) - (i + 0.5) * scale) / support)
            if edge_goes_on or 0 <= j < old:
                weights[i, min(max(j, 0), old - 1)] += weight
    return weights / weights.sum(axis=1, keepdims=True)


def resize(
    planes: NDArray[Any], height: int, width: int, *, antialias: bool = True, edge_goes_on: bool = True
) -> NDArray[np.float64]:
    """Planes [..., H, W] at another size."""
    rows = triangle_weights(planes.shape[-2], height, antialias=antialias, edge_goes_on=edge_goes_on)
    columns = triangle_weights(planes.shape[-1], width, antialias=antialias, edge_goes_on=edge_goes_on)
    resized: NDArray[np.float64] = np.einsum(
        "iH,...HW,jW->...ij", rows, planes.astype(np.float64), columns, optimize=True
    )
    return resized


def local_mean(planes: NDArray[Any]) -> NDArray[np.float64]:
    """Each place's mean over itself and its neighbours, those outside not counted; planes [..., H, W]."""
    height, width = planes.shape[-2:]
    means = np.empty(planes.shape)
    for i in range(height):
        for j in range(width):
            part = planes[..., max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
            means[..., i, j] = part.astype(np.float64).mean(axis=(-2, -1))
    return means
