"""What a method is to a fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind


@dataclass(frozen=True)
class GoodScores:
    """Scores of the good images by a detector that has not seen them, in the order of the features.

    These are the `Features.given` images alone: augmentations are learned from and never calibrate, since no image
    that will be inspected is one.

    Attributes:
        raw: float32 [n], higher is more anomalous.
        typical: float64 [n], the median patch score of each; NaN of those whose maps were not looked at.
        highest: float32 [n], the highest patch score of each; NaN of the same images.
        patch_scores: gives the patch scores, float32 [h, w], of the image at a position.
    """

    raw: NDArray[np.float32]
    typical: NDArray[np.float64]
    highest: NDArray[np.float32]
    patch_scores: Callable[[int], NDArray[np.float32]] = field(repr=False)


@dataclass(frozen=True)
class TrainingFiles:
    """Where a method that trains keeps what it has reached, and whether to go on from there."""

    checkpoint: Path
    resume: bool


class Method(ABC):
    """Learns from good images, scores those that it has not seen, and becomes a piece of graph.

    `fit` calls it in this order: `embedding_pieces`, `learn`, `good_scores`, then the rest.

    Attributes:
        opset: of the standard operators in its pieces of graph.
        input_size: pixels a side that images are resized to, where that is a square.
        embeddings: names of the embeddings in the graph; the first describes the whole image.
        rows_each: how many patches of each image are sampled for it, of each embedding.
        least_scale: raw scores are compared relative to their size, or to this where they are smaller.
        notes: sentences that a person should read, after `learn`.
        cross_fit_folds: with cross-fitting, how many parts of the images `learn` left out in turn; else 0.
    """

    opset: int
    input_size: int
    embeddings: tuple[str, ...] = ("embedding",)
    rows_each: tuple[int, ...] = (1,)
    least_scale: float = 1.0
    notes: Sequence[str] = ()
    cross_fit_folds: int = 0

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width that images are resized to, after `embedding_pieces`."""
        return self.input_size, self.input_size

    @abstractmethod
    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:
        """The pieces of graph from `image` to the embeddings, float32 [N, h, w, d] each."""

    @abstractmethod
    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:
        """Learn from all images that are not held out.

        Args:
            seen: the good images and augmentations of them, and their features.
            groups: a label an image; images with different labels may be treated as independent. An augmentation
                has the label of its image.
            held_out: bool [n], of images that only calibrate.

        Raises:
            FolderError: too few images.
            SettingError: settings that these images do not allow.
        """

    @abstractmethod
    def good_scores(self) -> GoodScores:
        """Scores of the images that `learn` was given, each by a detector that has not seen it or its group, and so
        none of its augmentations either. What is scored is `Features.scored`.
        """

    @abstractmethod
    def finished_score(self, position: int) -> float:
        """The raw score that the finished detector gives the good image at a position: what the file must give."""

    @abstractmethod
    def head(self) -> Sequence[onnx.ModelProto]:
        """The pieces of graph from `embedding` to `raw_score`, float32 [N], and `patch_scores`, float32 [N, h, w]."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the metadata say of it: plain JSON values, under names of its own."""
