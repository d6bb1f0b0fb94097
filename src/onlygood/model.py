"""A fitted model in memory: the bytes of its file, and what is guaranteed of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._files import write_atomically
from onlygood.calibration.threshold import Calibration
from onlygood.datasets.sources import Source
from onlygood.graph.model_file import ModelFile, read_model_file
from onlygood.guarantee import Guarantee


@dataclass(frozen=True, kw_only=True)
class GoodImage:
    """What a fit found of one good image.

    Attributes:
        name: of the image.
        score: as the detector scores it without having seen it: above 0 it would have been called anomalous.
        group: a number; images of one group are (nearly) the same thing or of one session.
        calibrates: whether the threshold rests on it.
        is_odd: whether it stands apart from the others by its score.
    """

    name: str
    score: float
    group: int
    calibrates: bool
    is_odd: bool = False


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """One of the most anomalous good images, for a person to see whether it is good at all.

    Attributes:
        image: which.
        source: where its pixels come from.
        patch_scores: float32 [h, w], by the detector without its group, on the grid that it was computed on.
    """

    image: GoodImage
    source: Source
    patch_scores: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CalibratedModel:
    """A model in memory with its calibration: what `onlygood.calibrate` returns.

    Attributes:
        file: content and metadata of the model file.
        guarantee: how often good images will be called anomalous, and why.
        calibration: the scores that the threshold comes from.
        notes: sentences about the good images that a person should read.

    Example:
        >>> import onlygood
        >>> model = onlygood.calibrate("part.onnx", false_alarm_rate=0.2)
        >>> model.calibration.threshold == model.metadata["calibration"]["threshold"]
        True
    """

    file: ModelFile
    guarantee: Guarantee
    calibration: Calibration
    notes: tuple[str, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """What `onlygood info --json` prints of the saved file."""
        return self.file.metadata

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all.

        Raises:
            WriteError: the path cannot be written, or the disk gives back other bytes.
        """
        write_atomically(path, self.file.content)


@dataclass(frozen=True, kw_only=True)
class Model(CalibratedModel):
    """What `onlygood.fit` returns. `fit` has already run the very bytes of its file against its own scores.

    Attributes:
        good_images: each good image that was read, in the order in which they were given.
        highest_scoring: a few, the most anomalous first.
        deciding: a sentence on what decides the threshold, and what another rate would change.

    Example:
        >>> import onlygood
        >>> model = onlygood.fit("good", false_alarm_rate=0.1)
        >>> len(model.good_images)
        12
        >>> print(model.guarantee.sentences[0])
        About 0.1 of good images will be called anomalous (estimated, not guaranteed, from the tail of ...
    """

    good_images: tuple[GoodImage, ...] = field(repr=False)
    highest_scoring: tuple[ScoredImage, ...] = field(repr=False)
    deciding: str


def file_and_name(model: str | os.PathLike[str] | CalibratedModel) -> tuple[ModelFile, str]:
    """The file of a model that is given by its path or in memory, and what messages call it.

    Raises:
        ModelFileError: as `read_model_file`.
    """
    if isinstance(model, CalibratedModel):
        return model.file, "in memory"
    return read_model_file(model), os.fspath(model)
