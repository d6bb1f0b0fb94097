"""A discriminator as a method of `fit`: from embeddings to networks that tell good patches from noise, and a head."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.architectures import DISCRIMINATOR
from onlygood.backbones.backbone import load_backbone
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.base import GoodScores, TrainingFiles
from onlygood.detectors.discriminator.head import SLOPE, Discriminator, discriminator_head
from onlygood.detectors.on_backbone import patches_per_image, sized_for_patches, squeezing_notes
from onlygood.detectors.trained import TrainedMethod, described_training, terminal_line
from onlygood.detectors.whitening import PATCH_SHRINKAGE, learn_whitening
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.graph.patches import patch_embedding
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.settings import CROSS_FIT_FOLDS, FitSettings

if TYPE_CHECKING:
    from onlygood.training.checkpoint import Checkpoint

# Units of the hidden layer.
HIDDEN = 128


class DiscriminatorMethod(TrainedMethod):
    """`--method discriminator`. What it trains is in `onlygood.training.discriminator`, what it computes in
    `onlygood.detectors.discriminator.head`.
    """

    def __init__(self, settings: FitSettings, images: int, *, files: TrainingFiles | None, show_progress: bool) -> None:
        super().__init__(settings, files=files, show_progress=show_progress)
        self.images = images
        self.backbone = load_backbone(settings.backbone)
        levels = self.backbone.card.choose_levels(settings.taps)
        self.taps = tuple(dict.fromkeys(tap for taps, _ in levels for tap in taps))
        self.reduction = max(reduction for _, reduction in levels)
        self.trunk = cut_trunk(self.backbone, self.taps)
        self.opset = opset_of(self.trunk)

    @property
    def input_shape(self) -> tuple[int, int]:  # noqa: D102
        return self.sized.input_shape

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        multiple = math.lcm(self.backbone.card.multiple, self.reduction, *(tap.reduction for tap in self.taps))
        self.sized = sized_for_patches(self.backbone, kind, self.settings, multiple=multiple)
        self.notes = squeezing_notes(kind.size, self.input_shape)
        self.grid = self.sized.grid(self.reduction)
        self.top_patches = max(1, round(self.settings.top_fraction * math.prod(self.grid)))
        self.rows_each = (patches_per_image(self.images, math.prod(self.grid)),)
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.trunk,
            patch_embedding(self.taps, input_shape=self.input_shape, grid=self.grid, opset=self.opset),
        ]

    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        from onlygood.training.discriminator import DiscriminatorSettings

        settings = self.settings
        assert settings.weight_decay is not None  # settings fill it in
        rows, images = seen.samples[0], seen.sample_images[0]
        fitted = ~held_out[images]
        rows, owners = rows[fitted], np.array(groups)[images[fitted]]
        self.numbers = DiscriminatorSettings(
            slope=SLOPE,
            hidden=HIDDEN,
            noise_std=settings.noise_std,
            epochs=settings.epochs or DISCRIMINATOR.epochs_for(len(rows)),
            batch_size=settings.batch_size or DISCRIMINATOR.batch_size,
            learning_rate=settings.learning_rate or DISCRIMINATOR.learning_rate,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            accelerator=settings.accelerator,
        )
        checkpoint = self.checkpoint(
            seen,
            held_out,
            self.numbers,
            backbone=self.backbone.card.sha256,
            groups=hashlib.sha256(",".join(map(str, groups)).encode()).hexdigest(),
        )
        self.patches = len(rows)
        head, self.losses = self._train(rows, "discriminator", checkpoint)
        self.use(seen, [head])
        # By group: the detector that has not seen it.
        self.unseeing: dict[int, Any] = {}
        self.cross_fit_folds = 0
        if settings.calibration == "cross-fit":
            parts = folds_of_groups(np.array(groups), seed=settings.seed, folds=CROSS_FIT_FOLDS)
            self.cross_fit_folds = len(parts)
            for number, part in enumerate(parts, 1):
                without, _ = self._train(rows[~np.isin(owners, part)], f"fold {number}", checkpoint)
                self.unseeing.update(dict.fromkeys(part.tolist(), self.open([without])))
        self.groups = groups

    def good_scores(self) -> GoodScores:  # noqa: D102
        scores = super().good_scores()
        # The loss sets the scale: good patches are to be below -MARGIN, others above MARGIN.
        self.least_scale = 1.0
        return scores

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {
            "backbone": self.backbone.card.to_dict(),
            "discriminator": {
                "taps": [tap.name for tap in self.taps],
                "grid": list(self.grid),
                "top_patches": self.top_patches,
                "hidden": self.numbers.hidden,
                "noise_std": self.numbers.noise_std,
                "patches": self.patches,
            },
            "training": described_training(self.numbers, {"discriminator": self.losses}),
        }

    def session_for(self, position: int) -> Any:  # noqa: D102
        return self.unseeing.get(self.groups[position], self.session)

    def _train(
        self, rows: NDArray[np.float32], stage: str, checkpoint: Checkpoint | None
    ) -> tuple[onnx.ModelProto, list[float]]:
        """A head that has learned from these patches alone, float32 [n, d], and the losses of its training."""
        from onlygood.training.discriminator import train_discriminator

        mean, whitening = learn_whitening(rows, shrinkage=PATCH_SHRINKAGE)
        whitened = np.asarray((rows - mean) @ whitening, dtype=np.float32)
        show = terminal_line(wanted=self.show_progress)
        layers = train_discriminator(whitened, self.numbers, stage=stage, checkpoint=checkpoint, show=show)
        if show is not None:
            show("")
        discriminator = Discriminator(
            mean=mean,
            weight=(whitening.astype(np.float64) @ layers.weight.T.astype(np.float64)).astype(np.float32),
            bias=layers.bias,
            output=layers.output,
            offset=layers.offset,
        )
        head = discriminator_head(discriminator, top_patches=self.top_patches, opset=self.opset)
        return head, layers.losses
