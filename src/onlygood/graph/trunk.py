"""The backbone's part of the graph: cut at the taps that are used."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import compose, utils, version_converter

from onlygood.backbone import Backbone, Card, Tap
from onlygood.errors import BackboneError
from onlygood.graph.fragments import IR_VERSION, OPSET, in_trunk


def cut_trunk(backbone: Backbone, taps: Sequence[Tap]) -> onnx.ModelProto:
    """The backbone up to these taps, and no further.

    All its names get a prefix (see `in_trunk`), so that they cannot meet ours. Its opset is raised to ours where it is
    older, and kept where it is newer.

    Raises:
        BackboneError: the file uses operators other than ONNX's own, cannot be brought to our opset, is broken, or
            gives taps of other shapes than its card says.
    """
    foreign = sorted({node.domain for node in backbone.model.graph.node} - {"", "ai.onnx"})
    if foreign or len(backbone.model.functions):
        raise BackboneError(
            f"backbone {backbone.card.name} must use standard ONNX operators only, got some of "
            f"{', '.join(foreign) or 'its own functions'}: export it without custom operators"
        )
    try:
        model = utils.Extractor(backbone.model).extract_model([backbone.card.input], [tap.name for tap in taps])
        if opset_of(model) < OPSET:
            model = version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(model)
    except Exception as error:
        raise BackboneError(f"backbone {backbone.card.name} cannot be cut at its taps: {error}") from error
    _check_shapes(model, backbone.card, taps)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", max(OPSET, opset_of(backbone.model))))
    model.ir_version = max(IR_VERSION, model.ir_version)
    del model.graph.value_info[:]
    return compose.add_prefix(model, in_trunk(""))


def _check_shapes(model: onnx.ModelProto, card: Card, taps: Sequence[Tap]) -> None:
    """Refuse taps whose shapes, as far as they can be told without running the file, are not those of the card."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    lengths = (1, 3, card.input_size, card.input_size)
    for dimension, length in zip(sized.graph.input[0].type.tensor_type.shape.dim, lengths, strict=False):
        dimension.dim_value = length
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    outputs = {value.name: value for value in onnx.shape_inference.infer_shapes(sized).graph.output}
    for tap in taps:
        kind = outputs[tap.name].type.tensor_type
        side = -(-card.input_size // tap.reduction)
        found = [dimension.dim_value for dimension in kind.shape.dim]
        wrong = any(known not in (0, told) for known, told in zip(found[1:], (tap.channels, side, side), strict=False))
        if kind.HasField("shape") and (len(found) != 4 or wrong):
            shown = " x ".join(str(length or "?") for length in found)
            raise BackboneError(
                f"backbone {card.name} must give {tap.name} the shape 1 x {tap.channels} x {side} x {side} for a "
                f"picture of {card.input_size} x {card.input_size} pixels, as its card says, got {shown}: correct the "
                f"card"
            )


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
