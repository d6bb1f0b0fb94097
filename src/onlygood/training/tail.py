"""The end of a backbone as a network that can be trained: ONNX operators, run by torch.

A backbone is an ONNX file, and so is the model that comes of a fit. Training in between needs gradients only for the
last layers: what comes before stays as it is, runs in ONNX Runtime, and has its outputs computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from onlygood.errors import BackboneError


class Tail(nn.Module):
    """The nodes of a graph with one input and one output, as `onlygood.graph.trunk.split_trunk` makes it.

    Args:
        graph: the graph.
        trained: names of the initializers that are to learn; all others stay as they are, statistics of batch
            normalisation included.

    Raises:
        BackboneError: an operator that is not among those that this module can run.
    """

    def __init__(self, graph: onnx.GraphProto, trained: Sequence[str]) -> None:
        super().__init__()
        unknown = sorted({node.op_type for node in graph.node} - set(_OPERATORS))
        if unknown:
            raise BackboneError(
                f"the layers to train must use operators among {', '.join(sorted(_OPERATORS))}, got "
                f"{', '.join(unknown)}: lower trained_layers, or choose another backbone"
            )
        self.start, self.end = graph.input[0].name, graph.output[0].name
        self.steps = [
            (
                _OPERATORS[node.op_type],
                list(node.input),
                node.output[0],
                {entry.name: helper.get_attribute_value(entry) for entry in node.attribute},
            )
            for node in graph.node
        ]
        self.trained = tuple(trained)
        # Names of values may hold dots and slashes, which torch's names of parameters may not.
        self.names = {tensor.name: f"array_{number}" for number, tensor in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            values = torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            if tensor.name in trained:
                self.register_parameter(self.names[tensor.name], nn.Parameter(values))
            else:
                self.register_buffer(self.names[tensor.name], values)

    def forward(self, given: Tensor) -> Tensor:  # noqa: D102
        values = {self.start: given}
        for operator, inputs, output, attributes in self.steps:
            arguments = [
                None if not name else values[name] if name in values else getattr(self, self.names[name])
                for name in inputs
            ]
            values[output] = operator(attributes, *arguments)
        return values[self.end]

    def learned(self) -> dict[str, np.ndarray[Any, Any]]:
        """The initializers that have learned, by their names in the graph."""
        return {name: getattr(self, self.names[name]).detach().cpu().numpy() for name in self.trained}


def _convolution(attributes: dict[str, Any], values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides = attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    values, padding = _padded(attributes, values, weight.shape[2:], strides, dilations, fill=0.0)
    return functional.conv2d(values, weight, bias, strides, padding, dilations, attributes.get("group", 1))


def _max_pool(attributes: dict[str, Any], values: Tensor) -> Tensor:
    size, strides = attributes["kernel_shape"], attributes.get("strides", [1, 1])
    values, padding = _padded(attributes, values, size, strides, [1, 1], fill=-float("inf"))
    return functional.max_pool2d(values, size, strides, padding, ceil_mode=bool(attributes.get("ceil_mode", 0)))


def _padded(
    attributes: dict[str, Any],
    values: Tensor,
    size: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    fill: float,
) -> tuple[Tensor, list[int]]:
    """Values padded where torch's own padding, the same on both sides, cannot do it; and what it is still to do."""
    mode = attributes.get("auto_pad", b"NOTSET")
    if mode in (b"SAME_UPPER", b"SAME_LOWER"):
        totals = [
            max(0, (-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length)
            for length, kernel, stride, dilation in zip(values.shape[2:], size, strides, dilations, strict=True)
        ]
        lower = [total // 2 if mode == b"SAME_UPPER" else total - total // 2 for total in totals]
        pads = [*lower, *(total - low for total, low in zip(totals, lower, strict=True))]
    else:
        pads = list(attributes.get("pads", [0, 0, 0, 0])) if mode == b"NOTSET" else [0, 0, 0, 0]
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return values, [top, left]
    return functional.pad(values, [left, right, top, bottom], value=fill), [0, 0]


def _clip(_attributes: dict[str, Any], values: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return values.clamp(None if low is None else float(low), None if high is None else float(high))


def _normalise(
    attributes: dict[str, Any], values: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    # In evaluation mode: the statistics of a frozen network stay as they are.
    return functional.batch_norm(values, mean, variance, scale, offset, False, 0.0, attributes.get("epsilon", 1e-5))


def _reshape(_attributes: dict[str, Any], values: Tensor, shape: Tensor) -> Tensor:
    lengths = [values.shape[axis] if length == 0 else length for axis, length in enumerate(shape.tolist())]
    return values.reshape(lengths)


def _linear(attributes: dict[str, Any], values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    matrix = weight if attributes.get("transB", 0) else weight.T
    return functional.linear(values, matrix, bias)


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda _, one, other: one + other,
    "BatchNormalization": _normalise,
    "Clip": _clip,
    "Conv": _convolution,
    "Flatten": lambda attributes, values: values.flatten(attributes.get("axis", 1)),
    "Gather": lambda attributes, values, at: values.index_select(attributes.get("axis", 0), at),
    "Gemm": _linear,
    "GlobalAveragePool": lambda _, values: values.mean(dim=(2, 3), keepdim=True),
    "HardSigmoid": lambda a, values: (values * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0.0, 1.0),
    "HardSwish": lambda _, values: functional.hardswish(values),
    "Identity": lambda _, values: values,
    "LeakyRelu": lambda attributes, values: functional.leaky_relu(values, attributes.get("alpha", 0.01)),
    "MaxPool": _max_pool,
    "Mul": lambda _, one, other: one * other,
    "Reshape": _reshape,
    "Relu": lambda _, values: functional.relu(values),
    "Sigmoid": lambda _, values: torch.sigmoid(values),
}
