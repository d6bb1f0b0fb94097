"""From raw pixels to what a backbone takes, as part of the graph."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Card
from onlygood.graph.subgraph import OPSET, in_trunk, subgraph
from onlygood.images.window import Window


def preprocess(
    card: Card, *, input_shape: tuple[int, int], dtype: np.dtype[np.generic], window: Window, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from `image` to the backbone's input.

    `image` is uint8 or uint16 [N, H, W, C] with C = 1 (grey, given to all three inputs of the network) or 3. It is
    resized to the input's height and width, each on its own, in floating point, with a triangle filter as wide as the
    reduction (antialiasing) that gives what lies outside the image no weight, as Pillow's BILINEAR does. The window
    maps its black level to 0 and its white level to 255, without clipping: what is brighter than every good image
    stays brighter. Then the card's mean and std apply.

    Args:
        card: of the backbone.
        input_shape: height and width of the backbone's input, in pixels.
        dtype: uint8 or uint16, of `image`.
        window: the levels of black and white.
        opset: of the standard operators.
    """
    mean = np.array(card.mean, dtype=np.float64)
    std = np.array(card.std, dtype=np.float64)
    stretch = 255.0 / (window.white - window.black)
    gain = stretch / std
    offset = (-window.black * stretch - mean) / std
    height, width = input_shape
    text = f"""
    preprocess ({np.dtype(dtype).name}[N, H, W, C] image) => (float[N, 3, {height}, {width}] normalised) {{
        planes = Transpose <perm = [0, 3, 1, 2]> (image)
        levels = Cast <to = {onnx.TensorProto.FLOAT}> (planes)
        resized = Resize <antialias = 1, exclude_outside = 1, axes = [2, 3], mode = "linear",
            coordinate_transformation_mode = "half_pixel"> (levels, , , input_size)
        scaled = Mul (resized, input_gain)
        normalised = Add (scaled, input_offset)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "input_size": np.array([height, width], dtype=np.int64),
        "input_gain": gain.astype(np.float32).reshape(1, 3, 1, 1),
        "input_offset": offset.astype(np.float32).reshape(1, 3, 1, 1),
    }
    return subgraph(text, arrays, names={"normalised": in_trunk(card.input)}, opset=opset)
