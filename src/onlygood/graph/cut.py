"""A part of a model's graph, by the names of the values at its ends."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from onlygood.errors import ModelFormatError


def cut_graph(
    model: onnx.ModelProto,
    *,
    outputs: Sequence[str],
    inputs: Sequence[str] = (),
    without: onnx.ModelProto | None = None,
    name: str,
) -> onnx.ModelProto:
    """The part of a graph that gives some values, from its own input or from other values on.

    Args:
        model: the whole.
        outputs: names of values of type float.
        inputs: names of values of type float where the part begins; the graph's own inputs unless given.
        without: another part of the same graph, with which this one will be joined: what is in it is left out.
        name: what messages call the model.

    Raises:
        ModelFormatError: it has no values of these names.
    """
    maker = {value: node for node in model.graph.node for value in node.output}
    missing = [value for value in (*outputs, *inputs) if value not in maker]
    if missing:
        raise ModelFormatError(
            f"the model {name} must have the value {missing[0]} in its graph to be updated, got none of that name: fit "
            "it again"
        )
    begins = set(inputs)
    wanted, waiting = set(), [value for value in outputs if value not in begins]
    while waiting:
        value = waiting.pop()
        if value in wanted or value in begins:
            continue
        wanted.add(value)
        if value in maker:
            waiting += [each for each in maker[value].input if each]
    if without is not None:
        wanted -= {value for node in without.graph.node for value in node.output}
        wanted -= {tensor.name for tensor in without.graph.initializer}
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.graph.name = model.graph.name
    part.graph.node.extend(node for node in model.graph.node if not wanted.isdisjoint(node.output))
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in wanted)
    part.graph.input.extend(value for value in model.graph.input if value.name in wanted)
    part.graph.input.extend(helper.make_tensor_value_info(value, TensorProto.FLOAT, None) for value in inputs)
    declared = {value.name: value for value in model.graph.output}
    part.graph.output.extend(
        declared.get(value) or helper.make_tensor_value_info(value, TensorProto.FLOAT, None) for value in outputs
    )
    return part
