"""Subgraphs: written in ONNX's text syntax, filled with arrays, joined by the names of their values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

# Resize with antialiasing came with opset 18; IR version 8 is what runtimes of that age read.
OPSET = 18
IR_VERSION = 8
# Shorter vectors are not scaled to unit length: the direction of a nearly zero vector is rounding.
LEAST_NORM = 1e-6


def subgraph(
    text: str,
    arrays: Mapping[str, NDArray[np.generic]],
    *,
    names: Mapping[str, str] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A subgraph from its text.

    Args:
        text: one graph in ONNX's text syntax, without the header that gives versions.
        arrays: its initializers.
        names: what values are really called, where the text, whose syntax knows only identifiers, cannot say it.
        opset: of the standard operators.

    Returns:
        A model whose inputs and outputs join it to other subgraphs by name.
    """
    model = onnx.parser.parse_model(f'<ir_version: {IR_VERSION}, opset_import: ["" : {opset}]>\n{text}')
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()
    )
    names = names or {}
    for node in model.graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names.get(value, value) for value in node.output]
    for declared in (*model.graph.input, *model.graph.output):
        declared.name = names.get(declared.name, declared.name)
    return model


def same_value(value: str, name: str, dtype: np.dtype[np.generic], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph that gives an image, [N, H, W, C], a second name.

    Args:
        value: its name.
        name: the second one.
        dtype: uint8 or uint16, of the image.
        opset: of the standard operators.
    """
    kind = np.dtype(dtype).name
    text = f"""
    same ({kind}[N, same_H, same_W, same_C] value) => ({kind}[N, same_H, same_W, same_C] other) {{
        other = Identity (value)
    }}
    """
    return subgraph(text, {}, names={"value": value, "other": name}, opset=opset)


def in_trunk(name: str) -> str:
    """What a value of the backbone is called in the whole graph: no name of ours has a slash."""
    return f"backbone/{name}"


def join(*parts: onnx.ModelProto, outputs: list[str]) -> onnx.ModelProto:
    """One model out of subgraphs: each takes from those before it the values that it has as inputs, by name.

    Args:
        parts: subgraphs, in the order of the data; all with the same opset.
        outputs: names of the values that the whole gives, in order.

    Raises:
        ValueError: parts of different opsets, or an output that none of them gives.
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the parts do not fit together.
    """
    opsets = {entry.version for part in parts for entry in part.opset_import}
    if len(opsets) != 1:
        raise ValueError(f"subgraphs must have one opset, got {', '.join(map(str, sorted(opsets)))}")
    whole = onnx.ModelProto(ir_version=max(part.ir_version for part in parts), producer_name="onlygood")
    whole.opset_import.extend(parts[0].opset_import)
    whole.graph.name = "onlygood"
    made: dict[str, onnx.ValueInfoProto] = {}
    wanted: set[str] = set()
    for part in parts:
        for value in part.graph.input:
            if value.name not in made and value.name not in wanted:
                whole.graph.input.append(value)
                wanted.add(value.name)
        whole.graph.node.extend(part.graph.node)
        whole.graph.initializer.extend(part.graph.initializer)
        made.update({value.name: value for value in part.graph.output})
    missing = [name for name in outputs if name not in made]
    if missing:
        raise ValueError(f"outputs of a graph must be made in it, got {', '.join(missing)}")
    whole.graph.output.extend(made[name] for name in outputs)
    onnx.checker.check_model(whole, full_check=True)
    return whole
