"""The contract: what a detector is given, and what it returns.

A method is a settings class (`onlygood.settings.MethodSettings`) and a detector. For every fit one detector is made,
when it is known what the images are, and `learn` is called once. What was learned is what `learn` returns: a detector
keeps nothing, so there is no order in which things must be asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Card
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.graph.subgraph import OPSET
from onlygood.metadata import FineTuned, Training
from onlygood.settings import FitSettings


@dataclass(frozen=True)
class TrainingFiles:
    """Where a method that trains keeps what it has reached, and whether to go on from there."""

    checkpoint: Path
    resume: bool


@dataclass(frozen=True, kw_only=True)
class FitTask:
    """What a detector knows of a fit before any image has gone through its embedding.

    Attributes:
        kind: bit depth, window and size of the good images.
        images: how many images it will learn from at most, augmentations and turned copies among them; where patches
            are sampled, this bounds how many of each.
        settings: those of every method, resolved.
        files: of a training; None to keep nothing.
        show_progress: draw bars if stderr is a terminal.
    """

    kind: InputKind
    images: int
    settings: FitSettings
    files: TrainingFiles | None = None
    show_progress: bool = False


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """From images to the features that a detector learns from.

    Attributes:
        subgraphs: from `image`, uint8 or uint16 [N, H, W, C], to the outputs.
        outputs: names of the embeddings, float32 [N, h, w, d] each; the first describes the whole image, and
            near-duplicates are found by it.
        input_shape: height and width in pixels that images are resized to.
        rows_each: how many patches of each image are sampled for `Features.samples`, of each output.
        opset: of the standard operators, in these subgraphs and in the head.
    """

    subgraphs: Sequence[onnx.ModelProto]
    input_shape: tuple[int, int]
    outputs: tuple[str, ...] = ("embedding",)
    rows_each: tuple[int, ...] = (1,)
    opset: int = OPSET


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which images belong together, and which only calibrate.

    Attributes:
        groups: a label an image; images with different labels may be treated as independent. An augmentation has the
            label of its image.
        held_out: bool [n], of images that only calibrate; none with leave-one-out and cross-fitting.
    """

    groups: Sequence[int]
    held_out: NDArray[np.bool_]

    @property
    def fitted(self) -> NDArray[np.int64]:
        """Positions of the images to learn from, int64 [m]."""
        return np.flatnonzero(~self.held_out)

    def calibrating(self, count: int) -> NDArray[np.int64]:
        """Positions of the images that calibrate, int64 [m]: those held out, or the first `count`, which are all that
        were given, where none is.
        """
        held_out = np.flatnonzero(self.held_out)
        return held_out if len(held_out) else np.arange(count)


@dataclass(frozen=True)
class GoodScores:
    """Scores of the good images by a detector that has not seen them, in the order of the features.

    These are the `Features.given` images alone: augmentations are learned from and never calibrate, since no image
    that will be inspected is one.

    Attributes:
        raw: float32 [n], higher is more anomalous; NaN, after an update, of images that do not calibrate any more,
            since not enough was kept of them.
        typical: float64 [n], the median patch score of each; NaN of those whose maps were not looked at.
        highest: float32 [n], the highest patch score of each; NaN of the same images.
        patch_scores: gives the patch scores, float32 [h, w], of the image at a position.
    """

    raw: NDArray[np.float32]
    typical: NDArray[np.float64]
    highest: NDArray[np.float32]
    patch_scores: Callable[[int], NDArray[np.float32]] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a detector has learned.

    Attributes:
        head: subgraphs from the embeddings to `raw_score`, float32 [N], higher is more anomalous, and `patch_scores`,
            float32 [N, h, w]. If they have a value `unit_vector`, `pooled_vector` or `latent`, that is what `explore`
            lays out, else the mean of the first embedding.
        scores: of the good images, each by a detector that has not seen it or its group, and so none of its
            augmentations either. What is scored is `Features.scored`.
        finished_score: gives the raw score of the finished detector for the good image at a position: what the file
            must give.
        least_scale: raw scores are compared relative to their size, or to this where they are smaller.
        description: what the detector is, in a line, for reports and `onlygood info`.
        facts: what the metadata say of it: plain JSON values, under names of its own.
        backbone: the card of the pretrained network, if there is one.
        fine_tuned: what of the backbone was trained.
        training: how a network was trained.
        notes: sentences that a person should read.
        folds: with cross-fitting, how many parts of the images were left out in turn; else 0.
        kept: what `Detector.update` needs of these images, so that it needs none of their pixels, as named arrays of
            finite numbers; None for a detector that cannot be updated.
        rescored: how many of the images were scored by what was kept of them, and not by all of their pixels.
    """

    head: Sequence[onnx.ModelProto]
    scores: GoodScores
    finished_score: Callable[[int], float]
    least_scale: float = 1.0
    description: str
    facts: dict[str, Any]
    backbone: Card | None = None
    fine_tuned: FineTuned | None = None
    training: Training | None = None
    notes: Sequence[str] = ()
    folds: int = 0
    kept: Mapping[str, NDArray[Any]] | None = None
    rescored: int = 0


@dataclass(frozen=True, kw_only=True)
class Past:
    """What an update goes on from: images whose pixels are gone.

    Attributes:
        arrays: as `Learned.kept` had them. They come from a file, so nothing about them is certain but that they are
            finite numbers: a ValueError or KeyError says that they do not fit together.
        batches: int64 [n], a number for each image that they are of: 0 for those of the fit, then those of each update.
        staying: int64 [k], ascending positions among them of the images that stay; the others are taken out.
        number: of the batch that further images are.
    """

    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    batches: NDArray[np.int64]
    staying: NDArray[np.int64]
    number: int


class Detector(ABC):
    """Learns from the features of good images. Made by `MethodSettings.make_detector`."""

    @property
    @abstractmethod
    def embedding(self) -> Embedding:
        """How images become the features that it learns from."""

    @abstractmethod
    def learn(self, features: Features, split: Split) -> Learned:
        """What good images have in common.

        Args:
            features: of the good images, and of augmentations of them.
            split: which of them belong together, and which only calibrate.

        Raises:
            FolderError: too few images, or images that cannot be learned from.
            SettingError: settings that these images do not allow.
            TrainingError: a network cannot be trained.
        """

    def update(self, past: Past, features: Features | None, split: Split) -> Learned:
        """What the images of the past that stay and further ones have in common, without the pixels of the former.

        A detector whose `learn` gives `Learned.kept` implements this; it is asked of no other. In what it returns, the
        images that stay come first, then the further ones; `GoodScores.patch_scores` and `Learned.finished_score` are
        asked for at positions among the further ones alone.

        Args:
            past: what was kept.
            features: of the further good images; None where images are only taken out.
            split: of all of them, those that stay first.

        Raises:
            FolderError, SettingError: as `learn`.
            KeyError, ValueError: what was kept does not fit together.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps nothing to be updated from")
