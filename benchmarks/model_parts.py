"""Parts of a model file, which is an ONNX graph of standard operators: the backbone alone, or all up to an embedding.

Names in the graph, as docs/reference/model-file.md has them: `image` goes in, the backbone's own values begin with
`backbone/`, and `embedding` is what comes before the head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx.utils import Extractor

import onlygood
from benchmarks.fitting import describe, fit_method

BACKBONE = "backbone/"


def part_of(model: onlygood.Model, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The nodes from some values to others, for inputs of any size.

    Args:
        model: whose file it is a part of.
        inputs: names of the values that go in.
        outputs: names of the values that come out.
    """
    whole = onnx.load_model_from_string(model.file.content)
    declared = {value.name for value in (*whole.graph.input, *whole.graph.output)}
    whole.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in (*inputs, *outputs)
        if name not in declared
    )
    part = Extractor(whole).extract_model(list(inputs), list(outputs))
    for value in (*part.graph.input, *part.graph.output):
        value.type.tensor_type.ClearField("shape")
    del part.graph.value_info[:]
    return part


def backbone_of(model: onlygood.Model, taps: Sequence[str]) -> tuple[onnx.ModelProto, str]:
    """A model's backbone up to some of its taps, and the name of its input, float32 [N, 3, H, W].

    Args:
        model: fitted with a backbone.
        taps: among those that it uses, or before them.
    """
    name = BACKBONE + describe(model)["backbone"]["input"]
    return part_of(model, [name], [BACKBONE + tap for tap in taps]), name


def whole_backbone() -> tuple[onnx.ModelProto, str]:
    """The shipped backbone up to its last tap, and the name of its input: of a model of made-up images."""
    made_up = np.random.default_rng(0).integers(0, 256, (12, 64, 64), np.uint8)
    model = fit_method(list(made_up), "knn")
    return backbone_of(model, [describe(model)["backbone"]["taps"][-1]["name"]])
