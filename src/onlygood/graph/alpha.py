"""From the transparency of an image to a mask: 0 where it is not looked at, else 1, as its last channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.subgraph import OPSET, subgraph

MASKED = "masked_image"


def alpha_mask(dtype: np.dtype[Any], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `image` [N, H, W, C + 1], whose last channel is alpha, to MASKED, of the same type and shape.

    Alpha above half of the type's highest level becomes 1, else 0: so an image goes in as any reader gives it.

    Args:
        dtype: uint8 or uint16, of the image.
        opset: of the standard operators.
    """
    kind = np.dtype(dtype)
    text = f"""
    alpha_mask ({kind.name}[N, H, W, C] image) => ({kind.name}[N, H, W, masked_C] {MASKED}) {{
        opaque_colours = Slice (image, alpha_first, alpha_last, alpha_axis)
        alpha = Slice (image, alpha_last, alpha_behind, alpha_axis)
        alpha_levels = Cast <to = {onnx.TensorProto.FLOAT}> (alpha)
        is_opaque = Greater (alpha_levels, alpha_half)
        alpha_as_mask = Cast <to = {onnx.helper.np_dtype_to_tensor_dtype(kind)}> (is_opaque)
        {MASKED} = Concat <axis = 3> (opaque_colours, alpha_as_mask)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "alpha_first": np.array([0], dtype=np.int64),
        "alpha_last": np.array([-1], dtype=np.int64),
        "alpha_behind": np.array([2**31 - 1], dtype=np.int64),
        "alpha_axis": np.array([3], dtype=np.int64),
        "alpha_half": np.array(np.iinfo(kind).max / 2, dtype=np.float32),
    }
    return subgraph(text, arrays, opset=opset)
