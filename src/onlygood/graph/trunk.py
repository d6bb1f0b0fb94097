"""The backbone's part of the graph: cut at the taps that are used."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import compose, utils, version_converter

from onlygood.backbone import Backbone, Tap
from onlygood.errors import BackboneError
from onlygood.graph.fragments import IR_VERSION, OPSET


def cut_trunk(backbone: Backbone, taps: Sequence[Tap]) -> onnx.ModelProto:
    """The backbone up to these taps, and no further.

    Its internal names get a prefix, so that they cannot meet ours; its input and taps keep theirs. Its opset is raised
    to ours where it is older, and kept where it is newer.

    Raises:
        BackboneError: the file uses operators other than ONNX's own, or cannot be brought to our opset.
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
    except Exception as error:
        raise BackboneError(f"backbone {backbone.card.name} cannot be cut at its taps: {error}") from error
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", max(OPSET, opset_of(backbone.model))))
    model.ir_version = max(IR_VERSION, model.ir_version)
    del model.graph.value_info[:]
    return compose.add_prefix(model, "backbone/", rename_inputs=False, rename_outputs=False)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
