"""What a model file keeps of its good images, so that others can join them later: of a fit, and read again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.detectors.base import Learned, Split
from onlygood.detectors.registry import method_class, methods
from onlygood.errors import ModelFileError, ModelFormatError
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.features.known_images import MOST_KNOWN, KnownImages
from onlygood.graph.kept_arrays import MOST_BYTES, MOST_FACTS, pack_arrays, unpack_arrays
from onlygood.graph.model_file import ModelFile
from onlygood.metadata import Metadata
from onlygood.settings import FitSettings
from onlygood.validation import one_of

_IMAGES, _DETECTOR = "images/", "detector/"
# Settings with which other images than those that were given are learned from, and their values where they are not.
_PLAIN: dict[str, Any] = {
    "golden": False,
    "augment": None,
    "rotations": 1,
    "sizes": None,
    "tiles": None,
    "alpha": "black",
}


def kept_of_fit(
    features: Features, learned: Learned, split: Split, settings: FitSettings, kind: InputKind, noise_scale: float
) -> str | None:
    """What the file of a fit keeps for updates; None where it cannot be updated.

    Args:
        features: of the images.
        learned: from them.
        split: of the images as they were given.
        settings: of the fit.
        kind: what the detector is shown.
        noise_scale: how far apart the descriptors of two images of one thing lie.
    """
    if learned.kept is None or features.given > MOST_KNOWN or not_plain(settings.to_dict()) is not None:
        return None
    if kind.groups:
        return None
    labels = [source.label for source in features.sources]
    known = KnownImages(
        names=[source.name for source in features.sources],
        digests=features.digests,
        labels=labels if len(set(labels)) < len(labels) else None,
        batches=np.zeros(features.given, dtype=np.int64),
        held_out=split.held_out,
        descriptors=features.descriptors,
        kinds=features.kinds,
        noise_scale=noise_scale,
        size=kind.size,
    )
    return kept_text(known, learned)


def kept_text(known: KnownImages, learned: Learned) -> str | None:
    """What a file keeps, as it is written; None where it is more than a file may keep.

    Args:
        known: of the images.
        learned: from them, by a detector that can be updated.
    """
    assert learned.kept is not None  # a detector that was updated can be again
    arrays, facts = known.to_arrays()
    everything = {f"{_IMAGES}{name}": array for name, array in arrays.items()}
    everything |= {f"{_DETECTOR}{name}": array for name, array in learned.kept.items()}
    if sum(array.nbytes for array in everything.values()) > MOST_BYTES - MOST_FACTS:
        return None
    return pack_arrays(everything, facts)


def read_kept(file: ModelFile, name: str) -> tuple[KnownImages, dict[str, NDArray[Any]]]:
    """What a file keeps: of its images, and the arrays of its detector.

    Args:
        file: of the model.
        name: what messages call it.

    Raises:
        ModelFileError: it keeps nothing, or its method cannot be updated.
        ModelFormatError: what it keeps does not fit together.
    """
    reason = why_not(file.metadata)
    if reason is not None:
        raise ModelFileError(f"the model {name} must be one that can be updated, got {reason}")
    if file.kept is None:
        raise ModelFileError(
            f"the model {name} must keep what an update needs, got a file that keeps nothing, as one does that an "
            f"older onlygood wrote or that was fitted to more images than a file can keep: fit it again with all images"
        )
    arrays, facts = unpack_arrays(file.kept, name)
    parts = {
        prefix: {each.removeprefix(prefix): array for each, array in arrays.items() if each.startswith(prefix)}
        for prefix in (_IMAGES, _DETECTOR)
    }
    try:
        known = KnownImages.from_arrays(parts[_IMAGES], facts)
        if len(known) != file.metadata.good_images.count or int(known.batches.max()) > len(file.metadata.updates):
            raise ValueError("images that are not those of the description")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise unfit(name, error) from error
    return known, parts[_DETECTOR]


def unfit(name: str, error: Exception) -> ModelFormatError:
    """What is said of a file whose kept arrays do not fit together."""
    missing = "no " if isinstance(error, KeyError) else ""
    return ModelFormatError(
        f"the model {name} must keep what an update needs as `onlygood fit` writes it, got {missing}{error}: copy it "
        "again, or fit it again"
    )


def why_not(metadata: Metadata) -> str | None:
    """Why a model cannot be updated, and what to do, as the end of a sentence; None where nothing is known against it.

    Args:
        metadata: of the model.
    """
    method = method_class(metadata.method)
    if not method.updates:
        others = one_of([each.name for each in methods() if each.updates])
        why = "trains a network on all images at once" if method.trains else "keeps nothing of its images"
        return (
            f"one of method {metadata.method}, which {why}: fit it again with the old and the new images, or fit with "
            f"method {others}"
        )
    setting = not_plain(metadata.settings)
    if setting is not None:
        return f"one that was fitted with {setting}: fit it again with the old and the new images"
    if metadata.input.windows is not None:
        return f"one of images with {metadata.input.channels} channels: fit it again with the old and the new images"
    if any(each.source == "new good images" for each in metadata.recalibrations):
        return (
            "one that was calibrated with images of which it keeps only the scores: update the model that it was made "
            "from, and calibrate again"
        )
    return None


def not_plain(settings: dict[str, Any]) -> str | None:
    """The setting with which other images than those that were given are learned from; None where none was given."""
    return next((name for name, plain in _PLAIN.items() if settings.get(name, plain) not in (plain, None)), None)
