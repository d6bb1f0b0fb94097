"""The model file: one ONNX file with a JSON description in its metadata. Read it warily, describe it fully.

The format is the integer FORMAT. To raise it: change what is written here, add the new number's meaning to the list
below, keep reading every number below it, and leave a file of the old number in `tests/models`, which must still load.

    1   the first: input `image`, outputs `score`, `p_value`, `is_anomaly`, `anomaly_map`, `patch_scores`.
    2   the same graph; the description is that of `onlygood.metadata` (what it was before is in `format_1`).

A description of an older format is brought to the newest when it is read, so everyone else knows that one alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto, helper

from onlygood.errors import ModelFileError, ModelFormatError, ModelVersionError
from onlygood.graph.format_1 import from_format_1
from onlygood.graph.verdict import RAW_SCORE, CalibrationScores, find_calibration_scores
from onlygood.metadata import FORMAT, Metadata

METADATA_KEY = "onlygood"
INPUT = "image"
OUTPUTS = ("score", "p_value", "is_anomaly", "anomaly_map", "patch_scores")


@dataclass(frozen=True)
class ModelFile:
    """A model file that was read and found sound.

    Attributes:
        content: the file's bytes, ready for a runtime.
        metadata: the description, in the newest format.
        calibration_scores: those in the graph; None where it has none that can be used.
    """

    content: bytes = field(repr=False)
    metadata: Metadata = field(repr=False)
    calibration_scores: CalibrationScores | None = field(repr=False, compare=False)


def pack(model: onnx.ModelProto, metadata: Metadata) -> ModelFile:
    """The model with its metadata and a digest of both, as it is written to disk.

    Args:
        model: the whole graph; changed in place.
        metadata: the description; `format` and `content_sha256` are set.
    """
    described = metadata.replaced(format=FORMAT).to_dict()
    text = json.dumps({**described, "content_sha256": content_digest(model, described)}, sort_keys=True)
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, text
    return ModelFile(
        content=model.SerializeToString(deterministic=True),
        metadata=Metadata.from_dict(json.loads(text), "in memory"),
        calibration_scores=find_calibration_scores(model),
    )


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """A model file's bytes and metadata, after an audit.

    Raises:
        ModelFileError: the file cannot be read.
        ModelFormatError: not ours, damaged, or with external data, custom operators or other inputs and outputs.
        ModelVersionError: written by a newer onlygood.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"the model {path} does not exist: fit one with `onlygood fit`") from error
    except IsADirectoryError as error:
        raise ModelFileError(f"a model must be a file, got the folder {path}: give the .onnx file in it") from error
    except OSError as error:
        raise ModelFileError(f"the model {path} cannot be read: {error.strerror}") from error
    return unpack(content, str(path))


def unpack(content: bytes, name: str) -> ModelFile:
    """A model file from its bytes, after the same audit as `read_model_file`.

    Args:
        content: the file's bytes.
        name: what messages call it.

    Raises:
        ModelFormatError, ModelVersionError: as `read_model_file`.
    """
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelFormatError(
            f"the model {name} must be an ONNX file, got {len(content)} bytes that are not one or are cut short: "
            f"copy it again or fit it again"
        ) from error
    metadata = _metadata(model, name)
    _audit(model, name)
    if metadata.get("content_sha256") != content_digest(model, metadata):
        raise ModelFormatError(
            f"the model {name} is damaged or was edited: its content is not what `onlygood fit` wrote: copy it again "
            f"or fit it again"
        )
    described = Metadata.from_dict(_newest(metadata), name)
    return ModelFile(content=content, metadata=described, calibration_scores=find_calibration_scores(model))


def keep_outputs(content: bytes, outputs: Sequence[str]) -> bytes:
    """A model file's content with some of its outputs only: a runtime leaves out what the others needed."""
    model = onnx.load_model_from_string(content)
    kept = [value for value in model.graph.output if value.name in outputs]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    kept_content: bytes = model.SerializeToString()
    return kept_content


def with_raw_score(content: bytes, name: str) -> bytes:
    """A model file's content with two outputs: `raw_score`, float32 [N], and `patch_scores`.

    Args:
        content: the file's bytes.
        name: what messages call it.

    Raises:
        ModelFormatError: there is no raw score in its graph.
    """
    model = onnx.load_model_from_string(content)
    if not any(RAW_SCORE in node.output for node in model.graph.node):
        raise ModelFormatError(
            f"the model {name} must have the value {RAW_SCORE} in its graph to be calibrated with images, got none of "
            "that name: fit it again"
        )
    kept = [value for value in model.graph.output if value.name == "patch_scores"]
    del model.graph.output[:]
    model.graph.output.extend([helper.make_tensor_value_info(RAW_SCORE, TensorProto.FLOAT, ["N"]), *kept])
    changed: bytes = model.SerializeToString()
    return changed


def content_digest(model: onnx.ModelProto, metadata: dict[str, Any]) -> str:
    """The sha256 of all that a model file says: its graph and its description, but for this digest itself.

    Args:
        model: its `metadata_props`, where the description is or will be, do not count.
        metadata: the description; its `content_sha256` does not count.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    described = {key: value for key, value in metadata.items() if key != "content_sha256"}
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True))
    digest.update(json.dumps(described, sort_keys=True).encode())
    return digest.hexdigest()


def _metadata(model: onnx.ModelProto, name: str) -> dict[str, Any]:
    entries = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if len(entries) != 1:
        what = "an ONNX file of another kind" if model.graph.node else "no ONNX graph at all"
        raise ModelFormatError(
            f"the model {name} must be one that `onlygood fit` wrote, got {what}: give the .onnx file that fit wrote"
        )
    try:
        metadata = json.loads(entries[0])
        number = metadata["format"]
    # RecursionError: brackets nested by the thousand. Bytes instead of text: json takes them, and UTF-8 may fail.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFormatError(
            f"the model {name} has a description that cannot be read ({type(error).__name__}: {error}): copy it again "
            f"or fit it again"
        ) from error
    if not isinstance(number, int) or number < 1:
        raise ModelFormatError(
            f"the model {name} must have a format number of at least 1, got {number!r}: fit it again"
        )
    if number > FORMAT:
        raise ModelVersionError(
            f"the model {name} has format {number}, this onlygood reads up to {FORMAT}: install a newer onlygood"
        )
    return dict(metadata)


def _newest(metadata: dict[str, Any]) -> dict[str, Any]:
    """A description in the newest format; `format` still says which the file has."""
    return metadata if metadata["format"] >= FORMAT else from_format_1(metadata)


def _audit(model: onnx.ModelProto, name: str) -> None:
    """Refuse what no file of ours holds, before a runtime sees it."""
    parts = list(_messages(model))
    # Names of a damaged file may be bytes where text is due, hence str.
    domains = {str(part.domain) for part in parts if isinstance(part, onnx.NodeProto)}
    foreign = sorted(domains - {"", "ai.onnx"})
    if foreign or len(model.functions):
        raise ModelFormatError(
            f"the model {name} must use standard ONNX operators only, got operators of "
            f"{', '.join(foreign) or 'its own'}: do not run it, and fit it again"
        )
    tensors = [part for part in parts if isinstance(part, TensorProto)]
    external = [tensor.name for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL]
    if external:
        raise ModelFormatError(
            f"the model {name} must hold all of its data, got {external[0]!r} in another file: do not run it, and fit "
            "it again"
        )
    inputs = [str(value.name) for value in model.graph.input]
    outputs = [str(value.name) for value in model.graph.output]
    if inputs != [INPUT] or not set(OUTPUTS) <= set(outputs):
        raise ModelFormatError(
            f"the model {name} must have the input {INPUT} and the outputs {', '.join(OUTPUTS)}, got "
            f"{', '.join(inputs) or 'none'} and {', '.join(outputs) or 'none'}: fit it again"
        )


def _messages(message: Message) -> Iterator[Message]:
    """A protobuf message and all inside it: nodes of inner graphs, tensors wherever they hang."""
    yield message
    for described, value in message.ListFields():
        if described.message_type is not None:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _messages(inner)
