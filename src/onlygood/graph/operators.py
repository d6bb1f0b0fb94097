"""Which operators a model file may hold, what their attributes may be, and about how much work each of them is.

The list has what the graphs of our methods hold, and what feed-forward networks that people bring as backbones hold
beside that. It has no control flow, nothing random, nothing that reads or writes elsewhere, and no operator whose
output's size depends on the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import onnx
from onnx import TensorProto

Shape: TypeAlias = tuple[int, ...]
# From the shapes of a node's inputs (None where one is left out) and outputs, and the node, to multiply-adds or so.
Work: TypeAlias = Callable[[Sequence[Shape | None], Sequence[Shape], onnx.NodeProto], int]

# The types of values: numbers, of one to eight bytes.
NUMBERS = frozenset(
    (
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.DOUBLE,
        TensorProto.BOOL,
        TensorProto.UINT8,
        TensorProto.INT8,
        TensorProto.UINT16,
        TensorProto.INT16,
        TensorProto.UINT32,
        TensorProto.INT32,
        TensorProto.UINT64,
        TensorProto.INT64,
    )
)

# One value of exp, a power, a division's like: about so many multiply-adds.
_TRANSCENDENTAL = 16
_SORT = 32


def size_of(shape: Shape) -> int:
    """How many elements."""
    return math.prod(shape)


def int_attributes(node: onnx.NodeProto, name: str) -> list[int]:
    """The whole numbers of an attribute; empty where the node does not have it."""
    for attribute in node.attribute:
        if attribute.name == name:
            return list(attribute.ints) or [attribute.i]
    return []


def _elements(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    return sum(size_of(shape) for shape in (*inputs, *outputs) if shape is not None)


def _each_element(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return _elements(inputs, outputs)


def _each_function(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return _TRANSCENDENTAL * _elements(inputs, outputs)


def _sort(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return _SORT * _elements(inputs, outputs)


def _convolution(weight: int) -> Work:
    def work(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
        kernel = inputs[weight] or ()
        return size_of(outputs[0]) * size_of(kernel[1:])

    return work


def _transposed_convolution(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return size_of(inputs[0] or ()) * size_of((inputs[1] or ())[1:]) + size_of(outputs[0])


def _product(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    left = inputs[0] or (1,)
    inner = left[0] if int_attributes(node, "transA") == [1] else left[-1]
    return size_of(outputs[0]) * inner


def _quantized_product(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return size_of(outputs[0]) * (inputs[0] or (1,))[-1]


def _pool(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return size_of(outputs[0]) * math.prod(int_attributes(node, "kernel_shape")) + _elements(inputs, outputs)


def _across_channels(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    return size_of(outputs[0]) * (_TRANSCENDENTAL + math.prod(int_attributes(node, "size")))


def _resize(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    # One axis after another, with a filter of a few elements, or, with antialiasing, as wide as the reduction.
    one_by_one = _between(inputs, outputs) if int_attributes(node, "antialias") == [1] else 0
    return 8 * len(outputs[0]) * (one_by_one + _elements(inputs, outputs))


def _sampling(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    # Four neighbours of each place, sixteen with cubic interpolation, wherever they are.
    return 4 * _TRANSCENDENTAL * size_of(outputs[0]) + _elements(inputs, outputs)


def _between(inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    """Most elements that there are when some axes have been resized, the last ones first, and others have not."""
    before, after = inputs[0] or (), outputs[0]
    return max(size_of(before[:axis]) * size_of(after[axis:]) for axis in range(len(after) + 1))


def workspace(inputs: Sequence[Shape | None], outputs: Sequence[Shape], node: onnx.NodeProto) -> int:
    """About how many bytes a node needs while it runs, beside its inputs and outputs.

    Args:
        inputs: their shapes; None for one that is left out.
        outputs: their shapes.
        node: of OPERATORS.
    """
    if node.op_type == "Resize":
        return 4 * _between(inputs, outputs) if int_attributes(node, "antialias") == [1] else 0
    if node.op_type.startswith(("Reduce", "Arg")):
        return 8 * size_of(inputs[0] or ())  # positions, where the axes are not the last ones
    if node.op_type == "ConvTranspose":
        return 8 * size_of((inputs[1] or ())[1:]) * size_of((inputs[0] or ())[2:])
    if "Conv" in node.op_type:
        weight = inputs[3 if node.op_type == "QLinearConv" else 1] or ()
        # Convolutions over two or three axes go through the patches of an image in parts, others write all of them.
        is_in_parts = node.op_type == "Conv" and len(weight) <= 5
        return 0 if is_in_parts else 8 * size_of(weight[1:]) * size_of(outputs[0][2:])
    return 0


_EACH_ELEMENT = """
    Abs Add And ArgMax ArgMin BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape CumSum
    DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Equal Expand Flatten Floor Gather GatherElements
    GatherND GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu
    Less LessOrEqual Max Mean Min Mod Mul Neg Not Or PRelu Pad QuantizeLinear Range Reciprocal ReduceL1 ReduceL2
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Shape Sign Size Slice
    SpaceToDepth Split Sqrt Squeeze Sub Sum ThresholdedRelu Tile Transpose Trilu Unsqueeze Where Xor
"""
_EACH_FUNCTION = """
    Acos Acosh Asin Asinh Atan Atanh Celu Cos Cosh Elu Erf Exp Gelu GlobalLpPool GroupNormalization Hardmax
    InstanceNormalization LayerNormalization Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Pow
    RMSNormalization ReduceLogSum ReduceLogSumExp Selu Shrink Sigmoid Sin Sinh Softmax Softplus Softsign Swish Tan Tanh
"""
# Each operator that a model file may hold, and its work.
OPERATORS: Mapping[str, Work] = {
    **dict.fromkeys(_EACH_ELEMENT.split(), _each_element),
    **dict.fromkeys(_EACH_FUNCTION.split(), _each_function),
    "TopK": _sort,
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    "Gemm": _product,
    "MatMul": _product,
    "MatMulInteger": _quantized_product,
    "QLinearMatMul": _quantized_product,
    "AveragePool": _pool,
    "LpPool": _pool,
    "MaxPool": _pool,
    "LRN": _across_channels,
    "Resize": _resize,
    "GridSample": _sampling,
}

# Operators whose result, or whose shape, is another than a graph of ours would give with these attributes.
_FEW, _LENGTH = 8, 2**20
_BETWEEN: Mapping[str, tuple[int, int]] = {
    "axes": (-_FEW, _FEW),
    "axis": (-_FEW, _FEW),
    "perm": (0, _FEW),
    "batch_dims": (0, _FEW),
    "start": (-_FEW, _FEW),
    "end": (-_FEW, _FEW),
    "kernel_shape": (1, 65_536),
    "strides": (1, 65_536),
    "dilations": (1, 65_536),
    "pads": (0, 65_536),
    "output_padding": (0, 65_536),
    "output_shape": (1, _LENGTH),
    "group": (1, _LENGTH),
    "num_groups": (1, _LENGTH),
    "num_outputs": (1, 4096),
    "blocksize": (1, 4096),
    "size": (1, 65_536),
    "p": (0, 64),
    "keepdims": (0, 1),
    "antialias": (0, 1),
    "align_corners": (0, 1),
    "exclude_outside": (0, 1),
    "ceil_mode": (0, 1),
    "count_include_pad": (0, 1),
    "largest": (0, 1),
    "sorted": (0, 1),
    "select_last_index": (0, 1),
    "storage_order": (0, 1),
    "training_mode": (0, 0),
    "transA": (0, 1),
    "transB": (0, 1),
    "allowzero": (0, 1),
    "exclusive": (0, 1),
    "reverse": (0, 1),
    "upper": (0, 1),
}
_ONE_OF: Mapping[str, tuple[bytes, ...]] = {
    "auto_pad": (b"NOTSET", b"SAME_UPPER", b"SAME_LOWER", b"VALID"),
    # Not by the region given, whose size shape inference does not know, nor by an aspect ratio.
    "coordinate_transformation_mode": (
        b"half_pixel",
        b"half_pixel_symmetric",
        b"pytorch_half_pixel",
        b"align_corners",
        b"asymmetric",
    ),
    "keep_aspect_ratio_policy": (b"stretch",),
    "padding_mode": (b"zeros", b"border", b"reflection"),
}
LONGEST_TEXT = 64
MOST_NUMBERS = 1024


def attribute_problem(attribute: onnx.AttributeProto) -> str | None:
    """What is wrong with an attribute's value, to stand behind "got"; None where it can be used.

    Args:
        attribute: of a node; tensors are looked at elsewhere.
    """
    kind, name = attribute.type, attribute.name
    if kind in (onnx.AttributeProto.INT, onnx.AttributeProto.INTS):
        numbers = [attribute.i] if kind == onnx.AttributeProto.INT else attribute.ints
        if len(numbers) > MOST_NUMBERS:
            return f"{len(numbers)} numbers"
        low, high = _BETWEEN.get(name, (-(2**62), 2**62))
        wrong = next((number for number in numbers if not low <= number <= high), None)
        return None if wrong is None else str(wrong)
    if kind in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS):
        values = [attribute.f] if kind == onnx.AttributeProto.FLOAT else attribute.floats
        if len(values) > MOST_NUMBERS:
            return f"{len(values)} numbers"
        odd = next((value for value in values if not math.isfinite(value)), None)
        return None if odd is None else str(odd)
    if kind == onnx.AttributeProto.STRING:
        text = bytes(attribute.s)
        known = _ONE_OF.get(name)
        is_known = known is None or text in known
        return None if is_known and len(text) <= LONGEST_TEXT else f"the text {text[:LONGEST_TEXT]!r}"
    if kind == onnx.AttributeProto.TENSOR:
        return None
    return "a graph or another kind of value that no file of ours has"
