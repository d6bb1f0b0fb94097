"""Anomalous pixels of an image as keys that order as their values do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_INFINITY = 0x7F800000  # as bits: of finite values that are not below 0 they are less


@dataclass(frozen=True)
class MarkedPixels:
    """Anomalous pixels of one image: the key of each, and its region's size, by its place among `regions`.

    Attributes:
        regions: how many have each size.
    """

    keys: NDArray[np.int32]
    sizes: NDArray[np.intp]
    regions: dict[int, int]


def keys_of(anomaly_map: NDArray[np.float32]) -> NDArray[np.int32]:
    """The keys of all pixels, which order as their values do."""
    anomaly_map = np.asarray(anomaly_map)
    if anomaly_map.dtype != np.float32 or anomaly_map.ndim != 2 or anomaly_map.size == 0:
        raise ValueError(
            f"an anomaly map must be float32 of shape [H, W], got {anomaly_map.dtype} of shape "
            f"{list(anomaly_map.shape)}"
        )
    keys: NDArray[np.int32] = np.array(anomaly_map, order="C").view(np.int32).ravel()
    # The bits of finite floats from 0 on ascend with their values, as integers from 0 on.
    if keys.min() >= 0 and keys.max() < _INFINITY:
        return keys
    if not np.isfinite(anomaly_map).all():
        raise ValueError("an anomaly map must hold finite values, got some that are not")
    keys = (anomaly_map + np.float32(0)).view(np.int32).ravel()  # -0 becomes 0
    # Those below 0 are integers below 0, and descend.
    keys ^= (keys >> 31) & 0x7FFFFFFF
    return keys


def marked_pixels(mask: NDArray[np.bool_], keys: NDArray[np.int32]) -> MarkedPixels | None:
    """The anomalous pixels of an image, from keys [H, W]; None if there are none."""
    from scipy.ndimage import label

    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != keys.shape:
        raise ValueError(
            f"a mask must be bool of the shape of its map, {list(keys.shape)}, got {mask.dtype} of shape "
            f"{list(mask.shape)}"
        )
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = mask[box]
    labels: NDArray[np.int32] = label(inside, structure=np.ones((3, 3), dtype=np.bool_))[0]
    sizes = np.bincount(labels.ravel())[1:]
    different, places, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    return MarkedPixels(
        keys[box][inside],
        places[labels[inside] - 1],
        dict(zip(different.tolist(), counts.tolist(), strict=True)),
    )
