"""A model with calibration scores of the test's choice, in any number, without a fit of as many images."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from onlygood.calibration.threshold import calibrate
from onlygood.graph.model_file import ModelFile
from onlygood.graph.verdict import CalibrationScores


@dataclass(frozen=True)
class Holder:
    """What holds a model file."""

    file: ModelFile


def calibrated_with(
    model: Any, scores: Sequence[float], *, groups: Sequence[Hashable] | None = None, rate: float = 0.05
) -> Holder:
    """The model as it is read from a file with these calibration scores, for what does not run its graph."""
    labels = range(len(scores)) if groups is None else groups
    found = calibrate(np.asarray(scores, dtype=np.float32), list(labels), rate)
    known = CalibrationScores(
        scores=found.scores, weights=found.weights, groups=found.groups, threshold=found.threshold
    )
    metadata = model.file.metadata.replaced(content_sha256=sha256(found.scores.tobytes()).hexdigest())
    return Holder(replace(model.file, calibration_scores=known, metadata=metadata))


def centred(model: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The calibration scores of a model as inspections give scores: relative to the threshold."""
    known = model.file.calibration_scores
    result: np.ndarray[Any, np.dtype[np.float64]] = known.scores.astype(np.float64) - known.threshold
    return result
