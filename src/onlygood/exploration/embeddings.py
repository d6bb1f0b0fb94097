"""The embedding of each image by a model file: one vector an image, out of the same run as its verdict.

Where the model trained the end of a backbone, the vector that the untrained backbone gives is there too: the file holds
the front that both share, and the untrained end comes from the backbone that the fit began with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood.backbones.backbone import available_backbones, load_backbone
from onlygood.datasets.selection import ChosenImage
from onlygood.errors import BackboneError, FolderError, ImageError, SettingError
from onlygood.graph.channels import group_parts
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.graph.runtime import open_model, run
from onlygood.graph.trunk import TrunkParts, cut_trunk, split_trunk
from onlygood.graph.vectors import VECTOR, VECTOR_BEFORE, vector_source, with_vectors
from onlygood.images.channels import channel_groups, is_grey_or_colour
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits
from onlygood.inspection import VERDICT_OUTPUTS, read_for, to_inspection
from onlygood.metadata import Metadata
from onlygood.model import ModelSource, file_and_name
from onlygood.results import Inspection


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """What a model makes of images.

    Attributes:
        source: the value of the model file that the vectors are made of: "unit_vector", "pooled_vector", "latent"
            (flattened) or "embedding" (its mean over places).
        images: those that could be read, in the order given.
        inspections: of each.
        vectors: float32 [n, d], of each.
        vectors_before: float32 [n, d], by the backbone before training; None where there are none.
        before_note: a sentence on why there are none, where they may be expected; else None.
        unreadable: names of images that could not be read or used, each with the reason.
        metadata: of the model.
    """

    source: str
    images: tuple[ChosenImage, ...]
    inspections: tuple[Inspection, ...]
    vectors: NDArray[np.float32]
    vectors_before: NDArray[np.float32] | None
    before_note: str | None
    unreadable: tuple[tuple[str, str], ...]
    metadata: Metadata


def embeddings(
    model: ModelSource,
    images: Sequence[ChosenImage],
    *,
    backbone: str | os.PathLike[str] | None = None,
    provider: str = "cpu",
    threads: int = 0,
    limits: ReadingLimits = DEFAULT_LIMITS,
    require_signature: str | os.PathLike[str] | None = None,
    max_model_bytes: int = MAX_MODEL_BYTES,
    progress: bool = False,
) -> Embeddings:
    """The vectors in which a model compares images, and its verdicts on them.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector of either,
            whose rate is kept; provider and limits are those given here.
        images: which.
        backbone: path of the backbone whose end the fit trained, where it is not one of those shipped.
        provider: the hardware that ONNX Runtime uses.
        threads: images worked on at once; 0 for one a core.
        limits: bounds on pixels and bytes.
        require_signature: path of a public key: the model must be signed by its holder.
        max_model_bytes: most bytes that the model file may have.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        ModelFileError: the file cannot be used, or has no value that is an embedding.
        BackboneError: a backbone that cannot be read, or is not the model's.
        SettingError: a backbone for a model that trained none, a provider that is not installed, a model in tiles.
        FolderError: none of the images can be read.
    """
    file, shown = file_and_name(model, max_model_bytes=max_model_bytes, require_signature=require_signature)
    if file.metadata.input.tiles is not None:
        raise SettingError(
            f"explore needs a model that looks at whole images, got {shown}, which looks at tiles, each with an "
            "embedding of its own: fit another one without tiles"
        )
    graph = onnx.load_model_from_string(file.content)
    source = vector_source(graph, shown)
    untrained, note = _before_training(file.metadata, backbone)
    whole = with_vectors(graph, source, VERDICT_OUTPUTS, untrained=untrained)
    # Several images at once, each on one thread, are faster than one image on all threads.
    session = open_model(whole.SerializeToString(), shown, file.costs, provider=provider, threads=1)
    outputs = [*VERDICT_OUTPUTS, VECTOR, *([VECTOR_BEFORE] if untrained is not None else [])]

    def embed(image: ChosenImage) -> tuple[Inspection, list[NDArray[np.float32]]] | ImageError:
        try:
            pixels = read_for(
                file.metadata, image.file.source(limits), name=image.name, page=image.file.page, limits=limits
            )
            started = time.perf_counter()
            values = run(session, outputs, {"image": pixels[None]})
            latency_ms = 1e3 * (time.perf_counter() - started)
            inspection = to_inspection(image.name, values, anomaly_map=None, latency_ms=latency_ms)
        except ImageError as error:
            return error
        for vector in values[len(VERDICT_OUTPUTS) :]:
            if vector.ndim != 2 or not np.isfinite(vector).all():
                return ImageError(f"{image.name} has an embedding that is not a finite vector: report this with it")
        return inspection, [vector[0] for vector in values[len(VERDICT_OUTPUTS) :]]

    results = map_in_order(embed, images, threads=threads)
    results = track(results, total=len(images), description="embedding", show=progress)
    read: list[ChosenImage] = []
    found: list[tuple[Inspection, list[NDArray[np.float32]]]] = []
    unreadable: list[tuple[str, str]] = []
    for image, result in zip(images, results, strict=True):
        if isinstance(result, ImageError):
            unreadable.append((image.name, str(result)))
        else:
            read.append(image)
            found.append(result)
    if not found:
        reason = f"none of {len(images)} is; the first: {unreadable[0][1]}" if unreadable else "got none"
        raise FolderError(f"explore needs at least one image that this model can inspect, and {reason}")
    return Embeddings(
        source=source,
        images=tuple(read),
        inspections=tuple(inspection for inspection, _ in found),
        vectors=np.stack([vectors[0] for _, vectors in found]),
        vectors_before=None if untrained is None else np.stack([vectors[1] for _, vectors in found]),
        before_note=note,
        unreadable=tuple(unreadable),
        metadata=file.metadata,
    )


def _before_training(metadata: Metadata, given: str | os.PathLike[str] | None) -> tuple[TrunkParts | None, str | None]:
    """The untrained backbone, split as the file's is; or None and, where a person may expect it, why there is none."""
    tuned, card = metadata.fine_tuned, metadata.backbone
    if tuned is None or card is None:
        if given is not None:
            raise SettingError(
                f"backbone goes with a model that trained the end of one, got one of method {metadata.method}, which "
                "did not: leave it out"
            )
        started_blank = "There is no map before training: this network was trained from nothing."
        return None, started_blank if metadata.training is not None and card is None else None
    if given is not None:
        backbone = load_backbone(given)
        if backbone.card.sha256 != card.sha256:
            raise BackboneError(
                f"the backbone must be the one that the model was fitted with, {card.name} with sha256 "
                f"{card.sha256}, got {backbone.card.name} with {backbone.card.sha256}: give that file"
            )
    elif tuned.backbone in available_backbones() and (
        (shipped := load_backbone(tuned.backbone)).card.sha256 == card.sha256
    ):
        backbone = shipped
    else:
        return None, (
            f"There is no map before training: the backbone that the fit began with, {tuned.backbone}, is not part of "
            f"this onlygood. Give its file with --backbone to see both."
        )
    tap = backbone.card.last_tap((tuned.tap,))
    channels = metadata.input.channels
    groups = 1 if is_grey_or_colour(channels) else len(channel_groups(channels))
    parts = split_trunk(cut_trunk(backbone, [tap]), tuned.layers)
    return group_parts(parts, groups, channels=tap.channels), None
