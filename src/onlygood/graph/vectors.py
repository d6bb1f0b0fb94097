"""The vector in which a model file compares images, made an output: as it is, and as it was before training.

A file holds its values under names of ours. The vector is the most processed one that describes a whole image: what
is behind it is distances. Where the end of a backbone was trained, what is before it is in the file too, so one run
gives the vector by the trained end and by the untrained one.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from onlygood.errors import ModelFormatError
from onlygood.graph.pooled import pooled_vector, unit_vector
from onlygood.graph.subgraph import join, subgraph
from onlygood.graph.trunk import TAIL_INPUT, TrunkParts, opset_of

# A name with a slash is not one that a file has already, unless it is the backbone's, which has a prefix of its own.
VECTOR, _PLACES = "vector/of_image", "vector/places"
_BEFORE = "before/"
VECTOR_BEFORE = _BEFORE + VECTOR
# Values that are a vector an image, or become one, the most processed first; and how.
_SOURCES = {
    "unit_vector": "of_image = Identity (source)",
    "pooled_vector": "of_image = Identity (source)",
    "latent": "of_image = Flatten <axis = 1> (source)",
    "embedding": "of_image = ReduceMean <keepdims = 0> (source, places)",
}
# Of those whose rank is always the same.
_SHAPES = {"unit_vector": "[N, c]", "pooled_vector": "[N, c]", "embedding": "[N, h, w, c]"}


def vector_source(model: onnx.ModelProto, name: str) -> str:
    """Which of a model file's values its image vectors are made of.

    Args:
        model: the file's graph.
        name: what messages call it.

    Raises:
        ModelFormatError: it has none of them.
    """
    made = {value for node in model.graph.node for value in node.output}
    found = next((source for source in _SOURCES if source in made), None)
    if found is None:
        raise ModelFormatError(
            f"the model {name} must have one of the values {', '.join(_SOURCES)} to have an embedding, got none of "
            "them: fit it again"
        )
    return found


def with_vectors(
    model: onnx.ModelProto, source: str, outputs: Iterable[str], *, untrained: TrunkParts | None = None
) -> onnx.ModelProto:
    """A model file's graph that gives these of its outputs, then VECTOR, float32 [N, d], and, with the parts of the
    untrained backbone, VECTOR_BEFORE [N, d].

    Args:
        model: the file's graph.
        source: as `vector_source` gives it.
        outputs: names of the outputs to keep.
        untrained: the file's own backbone before training, split where the file's is.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    kept = [value for value in whole.graph.output if value.name in set(outputs)]
    del whole.graph.output[:]
    whole.graph.output.extend(kept)
    _append(whole, _vector_subgraph(source, opset=opset_of(model)), VECTOR)
    if untrained is not None:
        _append(whole, _untrained_subgraph(untrained, source), VECTOR_BEFORE)
    return whole


def _vector_subgraph(source: str, *, opset: int) -> onnx.ModelProto:
    """The subgraph from a value of the file to VECTOR."""
    text = f"vector (float{_SHAPES.get(source, '')} source) => (float[N, d] of_image) {{ {_SOURCES[source]} }}"
    arrays = {_PLACES: np.array([1, 2], dtype=np.int64)} if source == "embedding" else {}
    names = {"source": source, "of_image": VECTOR, "places": _PLACES}
    return subgraph(text, arrays, names=names, opset=opset)


def _untrained_subgraph(parts: TrunkParts, source: str) -> onnx.ModelProto:
    """The subgraph from the tail's input to VECTOR_BEFORE, all other names in it with the same prefix."""
    opset = opset_of(parts.tail)
    subgraphs = [parts.tail, pooled_vector(parts.end, opset=opset)]
    if source == "unit_vector":
        subgraphs.append(unit_vector(opset=opset))
    subgraphs.append(_vector_subgraph(source, opset=opset))
    added = compose.add_prefix(join(*subgraphs, outputs=[VECTOR]), _BEFORE)
    for node in added.graph.node:
        node.input[:] = [TAIL_INPUT if name == _BEFORE + TAIL_INPUT else name for name in node.input]
    return added


def _append(whole: onnx.ModelProto, added: onnx.ModelProto, output: str) -> None:
    whole.graph.node.extend(added.graph.node)
    whole.graph.initializer.extend(added.graph.initializer)
    whole.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", None]))
