"""The model file: one ONNX file with a JSON description in its metadata. Read it warily, describe it fully.

The format is the integer FORMAT. To raise it: change what is written here, add the new number's meaning to the list
below, keep reading every number below it, and leave a file of the old number in `tests/models`, which must still load.

    1   the first: input `image`, outputs `score`, `p_value`, `is_anomaly`, `anomaly_map`, `patch_scores`.
    2   the same graph; the description is that of `onlygood.metadata` (what it was before is in `format_1`).

Beside the description, a file may keep what `onlygood update` needs (`onlygood.graph.kept_arrays`), in an entry of its
own, whose digest the description has. Readers that know nothing of it are right about all else, so it has no format
number here.

A description of an older format is brought to the newest when it is read, so everyone else knows that one alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import TensorProto, helper

from onlygood.errors import ModelFormatError, ModelVersionError
from onlygood.graph import audit
from onlygood.graph.agreement import require_agreement
from onlygood.graph.content import HIGHEST_LIMIT, MAX_MODEL_BYTES, parse, read_content
from onlygood.graph.costs import CostBound
from onlygood.graph.format_1 import from_format_1
from onlygood.graph.kept_arrays import KEPT_KEY, MOST_TEXT, kept_digest
from onlygood.graph.signature import require_signature_of
from onlygood.graph.verdict import RAW_SCORE, CalibrationScores, find_calibration_scores
from onlygood.metadata import FORMAT, KeptFacts, Metadata, description_problem

METADATA_KEY = "onlygood"
INPUT = audit.INPUT
OUTPUTS = tuple(audit.OUTPUTS)
# What messages call a model that was not read from a file.
IN_MEMORY = "that was made"


@dataclass(frozen=True)
class ModelFile:
    """A model file that was read and found sound.

    Attributes:
        content: the file's bytes, ready for a runtime.
        metadata: the description, in the newest format.
        calibration_scores: those in the graph; None where it has none that can be used.
        costs: what running the graph on images of any size will take.
        kept: what it keeps for updates, as `onlygood.graph.kept_arrays` writes it; None where it keeps nothing.
    """

    content: bytes = field(repr=False)
    metadata: Metadata = field(repr=False)
    calibration_scores: CalibrationScores | None = field(repr=False, compare=False)
    costs: CostBound = field(repr=False, compare=False)
    kept: str | None = field(default=None, repr=False, compare=False)


def pack(model: onnx.ModelProto, metadata: Metadata, *, kept: str | None = None) -> ModelFile:
    """The model with its metadata and a digest of both, as it is written to disk, after the audit of one that is read.

    Args:
        model: the whole graph; changed in place.
        metadata: the description; `format`, `kept` and `content_sha256` are set.
        kept: what it keeps for updates.

    Raises:
        ModelFormatError: the file would be refused when it is read.
    """
    facts = None
    if kept is not None:
        images = metadata.good_images.count
        facts = KeptFacts(images=images, characters=len(kept), sha256=kept_digest(kept))
    described = metadata.replaced(format=FORMAT, kept=facts).to_dict()
    with _as_writing():
        audit.audit(model, IN_MEMORY)
    del model.metadata_props[:]
    text = json.dumps({**described, "content_sha256": _digest(model, described)}, sort_keys=True)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, text
    if kept is not None:
        beside = model.metadata_props.add()
        beside.key, beside.value = KEPT_KEY, kept
    content = model.SerializeToString(deterministic=True)
    if len(content) > HIGHEST_LIMIT:
        raise ModelFormatError(
            f"a model file must have at most {HIGHEST_LIMIT} bytes, got {len(content)}: fit with a smaller backbone or "
            "memory bank"
        )
    with _as_writing():
        return _checked(content, model, json.loads(text), IN_MEMORY, kept)


def require_writable(embedding: onnx.ModelProto, channels: int) -> None:
    """Refuse the first part of a graph that no model file may hold, before a fit works with it.

    Args:
        embedding: from `image` on.
        channels: of the images; with 3 it may take images in colour, in grey or both.

    Raises:
        ModelFormatError: an operator that a model file may not hold, or a cost that cannot be accepted.
    """
    with _as_writing():
        audit.require_operators(embedding, IN_MEMORY)
        try:
            CostBound(embedding, channels=channels, name=IN_MEMORY)
        except ModelFormatError:
            if channels != 3:
                raise
            CostBound(embedding, channels=1, name=IN_MEMORY)


@contextmanager
def _as_writing() -> Iterator[None]:
    """Says what is refused of a model that was made as what it is: none that someone gave."""
    try:
        yield
    except ModelFormatError as error:
        said = str(error).rpartition(": ")[0]
        raise ModelFormatError(
            f"{said}: nothing is written that would be refused when it is read; fit with another method, backbone or "
            "settings"
        ) from error


def read_model_file(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_MODEL_BYTES,
    require_signature: str | os.PathLike[str] | None = None,
) -> ModelFile:
    """A model file's bytes and metadata, after an audit.

    Args:
        path: of the file.
        max_bytes: most bytes that it may have.
        require_signature: path of a public key: the file must be signed by its holder.

    Raises:
        ModelFileError: the file cannot be read, or is not signed by that key.
        ModelFormatError: not ours, damaged, or with parts that no file of ours has.
        ModelVersionError: written by a newer onlygood.
        SettingError: the limit or the key cannot be used.
    """
    content = read_content(path, max_bytes=max_bytes)
    if require_signature is not None:
        require_signature_of(content, require_signature, str(path))
    return unpack(content, str(path))


def unpack(content: bytes, name: str) -> ModelFile:
    """A model file from its bytes, after the same audit as `read_model_file`.

    Args:
        content: the file's bytes.
        name: what messages call it.

    Raises:
        ModelFormatError, ModelVersionError: as `read_model_file`.
    """
    model = parse(content, name)
    metadata = _metadata(model, name)
    kept = _kept(model, name)
    audit.audit(model, name)
    del model.metadata_props[:]
    if metadata.get("content_sha256") != _digest(model, metadata):
        raise ModelFormatError(
            f"the model {name} is damaged or was edited: its content is not what `onlygood fit` wrote: copy it again "
            f"or fit it again"
        )
    return _checked(content, model, metadata, name, kept)


def _checked(
    content: bytes, model: onnx.ModelProto, metadata: dict[str, Any], name: str, kept: str | None
) -> ModelFile:
    """The file, whose structure was audited, if its description and its cost can be accepted."""
    problem = description_problem(metadata)
    if problem is not None:
        raise ModelFormatError(
            f"the model {name} must have a description of plain values, got {problem}: copy it again or fit it again"
        )
    described = Metadata.from_dict(_newest(metadata, name), name)
    scores = find_calibration_scores(model)
    costs = CostBound(model, channels=described.input.image_channels, name=name)
    require_agreement(model, described, costs, scores, name)
    if kept is not None and (described.kept is None or described.kept.sha256 != kept_digest(kept)):
        raise ModelFormatError(
            f"the model {name} is damaged or was edited: what it keeps for updates is not what its description says: "
            "copy it again or fit it again"
        )
    return ModelFile(content=content, metadata=described, calibration_scores=scores, costs=costs, kept=kept)


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
    return _digest(bare, metadata)


def _digest(bare: onnx.ModelProto, metadata: dict[str, Any]) -> str:
    """As `content_digest`, of a model without `metadata_props`: a large one need not be copied."""
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
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ModelFormatError(
            f"the model {name} must have a format number of at least 1, got {number!r}: fit it again"
        )
    if number > FORMAT:
        raise ModelVersionError(
            f"the model {name} has format {number}, this onlygood reads up to {FORMAT}: install a newer onlygood"
        )
    return dict(metadata)


def _kept(model: onnx.ModelProto, name: str) -> str | None:
    """What a model file keeps for updates, as it is written there."""
    entries = [entry.value for entry in model.metadata_props if entry.key == KEPT_KEY]
    if not entries:
        return None
    if len(entries) > 1 or not isinstance(entries[0], str) or not entries[0].isascii() or len(entries[0]) > MOST_TEXT:
        raise ModelFormatError(
            f"the model {name} must keep one text of at most {MOST_TEXT} characters for updates, got {len(entries)}, "
            "or one of another kind: copy it again or fit it again"
        )
    return str(entries[0])


def _newest(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    """A description in the newest format; `format` still says which the file has."""
    try:
        return metadata if metadata["format"] >= FORMAT else from_format_1(metadata)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ModelFormatError(
            f"the model {name} must have the description of format 1, got one with other parts "
            f"({type(error).__name__}: {error}): copy it again or fit it again"
        ) from error
