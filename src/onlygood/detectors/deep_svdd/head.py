"""Deep SVDD's subgraphs: images as a network takes them, and the distance to the hypersphere's centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.preprocess import ChannelGroup, by_channel, mask_arrays
from onlygood.graph.subgraph import OPSET, subgraph
from onlygood.images.window import Window

# Below this mean absolute deviation, a quarter of one of 255 levels, an image is of one level: what would be enlarged
# is the rounding of numbers.
_LEAST_CONTRAST = 1e-3


def image_embedding(
    *,
    input_size: int,
    channels: int,
    contrast_normalised: bool,
    dtype: np.dtype[np.generic],
    window: Window,
    source: str = "image",
    has_mask: bool = False,
    groups: Sequence[ChannelGroup] = (),
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from `image` to `embedding`, float32 [N, input_size, input_size, channels].

    `image` is uint8 or uint16 [N, H, W, C] with C = 1 or 3, or `channels` of them where there are groups. It is resized
    as for every other method (see `onlygood.graph.preprocess`), and the window's levels become 0 and 1. With 1
    channel, colours are averaged; with 3, grey is given to all of them. With a mask, the last channel of `image`,
    pixels where it is 0 get the level halfway between black and white before anything else is done.

    Args:
        input_size: pixels a side.
        channels: 1 or 3, or all that the image has where there are groups.
        contrast_normalised: subtract each image's mean and divide by its mean absolute deviation (global contrast
            normalisation with the L1 norm).
        dtype: uint8 or uint16, of `image`.
        window: the levels of black and white.
        source: what `image` is called in the whole graph.
        has_mask: whether the last channel of `image` is a mask.
        groups: of the channels, each with a window of its own; none for grey or colour.
        opset: of the standard operators.

    Source: Ruff et al., "Deep One-Class Classification", ICML 2018, section 4.1 (global contrast normalisation).
    """
    to_channels = (
        "coloured = Identity (scaled)"
        if groups
        else "coloured = ReduceMean <keepdims = 1> (scaled, colour_axis)"
        if channels == 1
        else "coloured = Mul (scaled, three_planes)"
    )
    normalise = (
        """
        mean_level = ReduceMean <keepdims = 1> (coloured, pixel_axes)
        centred = Sub (coloured, mean_level)
        deviations = Abs (centred)
        contrast = ReduceMean <keepdims = 1> (deviations, pixel_axes)
        some_contrast = Max (contrast, least_contrast)
        embedding = Div (centred, some_contrast)"""
        if contrast_normalised
        else "embedding = Identity (coloured)"
    )
    filling, levels = "", "levels"
    if has_mask:
        levels = "filled"
        filling = """
        mask = Slice (levels, mask_channel, behind_mask, colours_axis)
        colours = Slice (levels, first_colour, mask_channel, colours_axis)
        is_looked_at = Greater (mask, no_level)
        filled = Where (is_looked_at, colours, fill_level)"""
    text = f"""
    image_embedding ({np.dtype(dtype).name}[N, H, W, C] image)
        => (float[N, {input_size}, {input_size}, {channels}] embedding) {{
        levels = Cast <to = {onnx.TensorProto.FLOAT}> (image){filling}
        resized = Resize <antialias = 1, exclude_outside = 1, axes = [1, 2], mode = "linear",
            coordinate_transformation_mode = "half_pixel"> ({levels}, , , input_size)
        above_black = Sub (resized, black)
        scaled = Mul (above_black, level_gain)
        {to_channels}
        {normalise}
    }}
    """
    black, white = np.array(window.black), np.array(window.white)
    if groups:
        black = by_channel(groups, [group.window.black for group in groups])
        white = by_channel(groups, [group.window.white for group in groups])
    arrays: dict[str, NDArray[np.generic]] = {
        "input_size": np.array([input_size, input_size], dtype=np.int64),
        "black": black.astype(np.float32),
        "level_gain": (1.0 / (white - black)).astype(np.float32),
    }
    if channels == 1:
        arrays["colour_axis"] = np.array([3], dtype=np.int64)
    elif not groups:
        arrays["three_planes"] = np.ones((1, 1, 1, 3), dtype=np.float32)
    if contrast_normalised:
        arrays["pixel_axes"] = np.array([1, 2, 3], dtype=np.int64)
        arrays["least_contrast"] = np.array(_LEAST_CONTRAST, dtype=np.float32)
    if has_mask:
        arrays |= mask_arrays(axis=3, fill=(black + white) / 2)
    return subgraph(text, arrays, names={"image": source}, opset=opset)


def network_input(*, channels: int, low: float, high: float, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `embedding` to `network_input`, float32 [N, channels, H, W].

    Args:
        channels: how many of the embedding's the network takes, the first.
        low: the level that becomes 0.
        high: the level that becomes 1.
        opset: of the standard operators.
    """
    text = """
    network_input (float[N, H, W, c] embedding) => (float[N, k, H, W] network_input) {
        used = Slice (embedding, first_channel, end_channel, channel_axis)
        used_planes = Transpose <perm = [0, 3, 1, 2]> (used)
        above_low = Sub (used_planes, low_level)
        network_input = Mul (above_low, input_gain)
    }
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "first_channel": np.array([0], dtype=np.int64),
        "end_channel": np.array([channels], dtype=np.int64),
        "channel_axis": np.array([3], dtype=np.int64),
        "low_level": np.array(low, dtype=np.float32),
        "input_gain": np.array(1.0 / (high - low), dtype=np.float32),
    }
    return subgraph(text, arrays, opset=opset)


def hypersphere(center: NDArray[np.float32], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `latent` to `raw_score`, the squared distance to the centre, float32 [N], and
    `patch_scores`: each place's share of it, [N, h, w]; where the latent has no places, all of it, [N, 1, 1].

    Args:
        center: float32 [d] or [c, h, w], as the latent without its first axis.
        opset: of the standard operators.

    Source: Ruff et al., 2018, equation 5. There the radius is subtracted, too; here `verdict` does it.
    """
    has_places = center.ndim == 3
    shape = "N, c, h, w" if has_places else "N, d"
    places = (
        "patch_scores = ReduceSum <keepdims = 0> (squares, first_axis)\n"
        "        raw_score = ReduceSum <keepdims = 0> (patch_scores, other_axes)"
        if has_places
        else "raw_score = ReduceSum <keepdims = 0> (squares, first_axis)\n"
        "        patch_scores = Unsqueeze (raw_score, other_axes)"
    )
    text = f"""
    hypersphere (float[{shape}] latent) => (float[N, rows, columns] patch_scores, float[N] raw_score) {{
        from_center = Sub (latent, center)
        squares = Mul (from_center, from_center)
        {places}
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "center": center,
        "first_axis": np.array([1], dtype=np.int64),
        "other_axes": np.array([1, 2], dtype=np.int64),
    }
    return subgraph(text, arrays, opset=opset)
