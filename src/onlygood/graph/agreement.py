"""Whether a model file's description and its graph say the same, so that what is shown of a model is true of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from onlygood.errors import ModelFormatError
from onlygood.graph.audit import OUTPUTS
from onlygood.graph.bodies import PREFIX, tiles_of
from onlygood.graph.costs import NOMINAL_SIZE, CostBound
from onlygood.graph.template import ANGLES, GOLDEN, template_digest
from onlygood.graph.verdict import CalibrationScores
from onlygood.metadata import AlignmentFacts, BackboneFacts, InputFacts, Metadata

_PIXELS = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16}
# Gain and offset are float32.
_ROUNDING = 1e-4


def require_agreement(
    model: onnx.ModelProto, metadata: Metadata, costs: CostBound, scores: CalibrationScores | None, name: str
) -> None:
    """Refuse a description that is not of this graph.

    Args:
        model: the whole graph, audited.
        metadata: the description.
        costs: of the graph, which knows the types and shapes of its outputs.
        scores: the calibration scores in the graph; None where it has none.
        name: what messages call the model.

    Raises:
        ModelFormatError: with what differs.
    """

    def refuse(what: str, described: object, found: object) -> ModelFormatError:
        return ModelFormatError(
            f"the model {name} must have the {what} that its description says, {described}, got {found}: copy it again "
            "or fit it again"
        )

    kind = model.graph.input[0].type.tensor_type.elem_type
    if kind != _PIXELS[metadata.input.dtype]:
        raise refuse("type of pixels", metadata.input.dtype, "another")
    shapes = {"score": (1,), "p_value": (1,), "is_anomaly": (1,), "anomaly_map": (1, *NOMINAL_SIZE)}
    for output, (found_kind, found) in costs.outputs.items():
        wanted = shapes.get(output, found)
        is_map = output != "patch_scores" or (len(found) == 3 and found[0] == 1 and min(found) > 0)
        if not is_map or (output in OUTPUTS and (found_kind, found) != (OUTPUTS[output], wanted)):
            shown = " x ".join(map(str, found))
            raise ModelFormatError(
                f"the model {name} must give {output} in the type and shape of every model file for one image of "
                f"{NOMINAL_SIZE[0]} x {NOMINAL_SIZE[1]} pixels, got type {found_kind} and shape {shown}: fit it again"
            )
    if scores is not None:
        said = metadata.calibration.threshold
        if np.float32(said) != np.float32(scores.threshold):
            raise refuse("threshold", said, scores.threshold)
        if metadata.guarantee.groups != scores.groups:
            raise refuse("number of independent calibration images", metadata.guarantee.groups, scores.groups)
    _require_alignment(model, metadata.input.alignment, name)
    if metadata.backbone is not None:
        _require_preprocessing(model, metadata.input, metadata.backbone, name)


def _require_alignment(model: onnx.ModelProto, facts: AlignmentFacts | None, name: str) -> None:
    """The golden sample that images are aligned to, and the angles, are those of the graph; or there is neither."""
    wanted = (GOLDEN, ANGLES)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name in wanted}
    if facts is None and not arrays:
        return
    if facts is None or len(arrays) < len(wanted):
        said, has = ("none", "one") if facts is None else (facts.golden_sample, "none")
        raise ModelFormatError(
            f"the model {name} must align images to the golden sample that its description says, {said}, got {has} in "
            "its graph: copy it again or fit it again"
        )
    golden, angles = arrays[GOLDEN], arrays[ANGLES]
    if golden.size != facts.grid[0] * facts.grid[1] or template_digest(golden) != facts.sha256:
        raise ModelFormatError(
            f"the model {name} must align images to the golden sample that its description says, {facts.golden_sample} "
            f"at {facts.grid[1]} x {facts.grid[0]} pixels, got another in its graph: copy it again or fit it again"
        )
    most = float(np.degrees(np.abs(angles).max(initial=0.0)))
    if abs(most - facts.most_degrees) > 0.01 or (facts.motion == "translation") != (angles.size == 1):
        raise ModelFormatError(
            f"the model {name} must undo the turns that its description says, {facts.motion} up to "
            f"{facts.most_degrees:g} degrees, got {most:g} in its graph: copy it again or fit it again"
        )


def _require_preprocessing(model: onnx.ModelProto, images: InputFacts, backbone: BackboneFacts, name: str) -> None:
    """The size that images are resized to, and the window, are those of the nodes before the backbone."""
    wanted = ("input_size", "input_gain", "input_offset")
    arrays = {
        called: numpy_helper.to_array(tensor).reshape(-1)
        for graph in (model.graph, *tiles_of(model.graph))
        for tensor in graph.initializer
        if (called := tensor.name.removeprefix(PREFIX)) in wanted
    }
    size = arrays.get("input_size")
    if size is not None and size.tolist() != list(images.input_shape):
        raise ModelFormatError(
            f"the model {name} must resize images to what its description says, {images.input_shape}, got "
            f"{tuple(size.tolist()[:4])}: copy it again or fit it again"
        )
    card = backbone.model_extra or {}
    gain, offset = arrays.get("input_gain"), arrays.get("input_offset")
    mean, std = card.get("mean"), card.get("std")
    if gain is None or offset is None or not (_are_three(mean) and _are_three(std)):
        return
    windows = images.windows or (images.window,)
    stretches = [255.0 / (white - black) for black, white in windows]
    expected = (
        np.concatenate([stretch / np.array(std, dtype=np.float64) for stretch in stretches]),
        np.concatenate(
            [
                (-black * stretch - np.array(mean)) / np.array(std)
                for (black, _), stretch in zip(windows, stretches, strict=True)
            ]
        ),
    )
    for found, value in zip((gain, offset), expected, strict=True):
        if found.shape != value.shape or not np.allclose(found, value, rtol=_ROUNDING, atol=_ROUNDING):
            raise ModelFormatError(
                f"the model {name} must have the window that its description says, {images.windows or images.window}, "
                "got another in its graph: copy it again or fit it again"
            )


def _are_three(values: Any) -> bool:
    is_list = isinstance(values, list | tuple) and len(values) == 3
    return is_list and all(isinstance(value, int | float) and value for value in values)
