"""A fitted model in memory: the bytes of its file, and what is guaranteed of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood._files import write_atomically
from onlygood._html import table
from onlygood._paths import given_path
from onlygood.calibration.threshold import Calibration
from onlygood.datasets.sources import Source
from onlygood.errors import ModelFileError, SettingError
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.graph.model_file import ModelFile, read_model_file
from onlygood.graph.signature import require_signature_of
from onlygood.guarantee import Guarantee
from onlygood.metadata import Metadata
from onlygood.rates import rate_in_short


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


@dataclass(frozen=True, kw_only=True, repr=False)
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
        >>> model.calibration.threshold == model.metadata.calibration.threshold
        True
    """

    file: ModelFile
    guarantee: Guarantee
    calibration: Calibration
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        guarantee = self.guarantee
        rate = rate_in_short(guarantee.stated_rate, is_guaranteed=guarantee.is_guaranteed, is_exact=guarantee.is_exact)
        return (
            f"<{type(self).__name__}: {self.metadata.method}, learned from {guarantee.learned_from}, {rate}, "
            f"{self._megabytes}>"
        )

    def __reduce__(self) -> NoReturn:
        """Refused: a model is kept as its file, which says what it is to every program and runs nothing when read.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"a {type(self).__name__} must be kept as its ONNX file, got a request to pickle or copy it: call its "
            "save(path), and open that path with onlygood.Inspector"
        )

    def _repr_html_(self) -> str:
        """What was learned and is guaranteed, as notebooks show it."""
        return table(self._rows)

    @property
    def _rows(self) -> list[tuple[str, str]]:
        return [
            (type(self).__name__, f"{self.metadata.method}, {self._megabytes}"),
            ("learned from", self.guarantee.learned_from),
            ("guarantee", " ".join(self.guarantee.sentences)),
            *(("note", note) for note in self.notes),
        ]

    @property
    def _megabytes(self) -> str:
        return f"{len(self.file.content) / 1e6:.1f} MB"

    @property
    def metadata(self) -> Metadata:
        """What the saved file says of itself."""
        return self.file.metadata

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all.

        Raises:
            WriteError: the path cannot be written, or the disk gives back other bytes.
        """
        write_atomically(path, self.file.content)


@dataclass(frozen=True, kw_only=True, repr=False)
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

    @property
    def _rows(self) -> list[tuple[str, str]]:
        return [*super()._rows, ("threshold", self.deciding)]


class HasModelFile(Protocol):
    """What holds the content of a model file: a Model, a CalibratedModel, an Inspector."""

    @property
    def file(self) -> ModelFile:
        """Content and metadata of the model file."""


# What everything takes that takes a model: a path, or what was made from one.
ModelSource: TypeAlias = str | os.PathLike[str] | HasModelFile


def file_and_name(
    model: ModelSource,
    *,
    max_model_bytes: int = MAX_MODEL_BYTES,
    require_signature: str | os.PathLike[str] | None = None,
) -> tuple[ModelFile, str]:
    """The file of a model that is given by its path or in memory, and what messages call it.

    Args:
        model: in any way that a model can be given.
        max_model_bytes: most bytes that a file that is read may have.
        require_signature: path of a public key by whose holder the file must be signed, in memory, too.

    Raises:
        ModelFileError: as `read_model_file`.
        SettingError: what is given is no model, or the key cannot be used.
    """
    if isinstance(model, str | os.PathLike):
        given_path(model, error=ModelFileError)
        read = read_model_file(model, max_bytes=max_model_bytes, require_signature=require_signature)
        return read, os.fspath(model)
    file = getattr(model, "file", None)
    if not isinstance(file, ModelFile):
        raise SettingError(
            f"a model must be the path of a model file, a Model, a CalibratedModel or an Inspector, got "
            f"{type(model).__name__}: give one of those"
        )
    if require_signature is not None:
        require_signature_of(file.content, require_signature, "in memory")
    return file, "in memory"


def title_of(model: ModelSource) -> str:
    """What a page calls a model unless it is told: its file's name."""
    return Path(model).name if isinstance(model, str | os.PathLike) else "a model in memory"
