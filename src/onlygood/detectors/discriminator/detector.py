"""`discriminator`: from embeddings of patches to networks that tell good ones from noise, and a head.

What it trains is in `onlygood.training.discriminator`, what it computes in `onlygood.detectors.discriminator.head`.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._progress import status_line
from onlygood.architectures import DISCRIMINATOR
from onlygood.backbones.backbone import load_backbone
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.base import Detector, Embedding, FitTask, Learned, Split
from onlygood.detectors.discriminator.head import SLOPE, discriminator_head
from onlygood.detectors.discriminator.head import Discriminator as Network
from onlygood.detectors.discriminator.settings import Discriminator
from onlygood.detectors.on_backbone import patches_per_image, sized_for_patches, squeezing_notes
from onlygood.detectors.trained import described_training, learned_network, load_torch, make_checkpoint, open_head
from onlygood.detectors.whitening import PATCH_SHRINKAGE, learn_whitening
from onlygood.features.extraction import Features
from onlygood.graph.patches import patch_embedding
from onlygood.graph.trunk import cut_trunk, opset_of

if TYPE_CHECKING:
    from onlygood.training.checkpoint import Checkpoint
    from onlygood.training.discriminator import DiscriminatorSettings

# Units of the hidden layer.
HIDDEN = 128
# Networks that cross-fitting trains beside the finished one, each without a part of the images.
CROSS_FIT_FOLDS = 5


class DiscriminatorDetector(Detector):
    """The detector of `onlygood.Discriminator`.

    Args:
        settings: of the method.
        task: of the fit.
    """

    def __init__(self, settings: Discriminator, task: FitTask) -> None:
        self.settings = settings
        self.task = task
        self.backbone = load_backbone(settings.backbone)
        levels = self.backbone.card.choose_levels(settings.taps)
        self.taps = tuple(dict.fromkeys(tap for taps, _ in levels for tap in taps))
        reduction = max(reduction for _, reduction in levels)
        self.trunk = cut_trunk(self.backbone, self.taps)
        self.opset = opset_of(self.trunk)
        multiple = math.lcm(self.backbone.card.multiple, reduction, *(tap.reduction for tap in self.taps))
        self.sized = sized_for_patches(
            self.backbone, task.kind, settings, multiple=multiple, threads=task.settings.threads
        )
        self.grid = self.sized.grid(reduction)
        self.top_patches = max(1, round(settings.top_fraction * task.kind.looked_at * math.prod(self.grid)))

    @property
    def embedding(self) -> Embedding:  # noqa: D102
        shape, kind = self.sized.input_shape, self.task.kind
        to_taps, fused = self.sized.to_taps(kind, self.trunk, self.taps, opset=self.opset)
        taps = [fused[tap] for tap in self.taps]
        return Embedding(
            subgraphs=[
                *to_taps,
                patch_embedding(taps, input_shape=shape, grid=self.grid, has_mask=kind.has_mask, opset=self.opset),
            ],
            input_shape=shape,
            rows_each=(patches_per_image(self.task.images, math.prod(self.grid)),),
            opset=self.opset,
        )

    def learn(self, features: Features, split: Split) -> Learned:  # noqa: D102
        load_torch(show_progress=self.task.show_progress)
        from onlygood.training.discriminator import DiscriminatorSettings

        settings, common = self.settings, self.task.settings
        images = features.sample_images[0]
        fitted = ~split.held_out[images]
        rows, owners = features.samples[0][fitted], np.array(split.groups)[images[fitted]]
        numbers = DiscriminatorSettings(
            slope=SLOPE,
            hidden=HIDDEN,
            noise_std=settings.noise_std,
            epochs=settings.epochs or DISCRIMINATOR.epochs_for(len(rows)),
            batch_size=settings.batch_size or DISCRIMINATOR.batch_size,
            learning_rate=settings.learning_rate or DISCRIMINATOR.learning_rate,
            weight_decay=settings.weight_decay,
            seed=common.seed,
            accelerator=settings.accelerator,
        )
        checkpoint = make_checkpoint(
            settings,
            self.task,
            features,
            split,
            numbers,
            backbone=self.backbone.card.sha256,
            groups=hashlib.sha256(",".join(map(str, split.groups)).encode()).hexdigest(),
        )
        head, losses = self._train(rows, numbers, "discriminator", checkpoint)
        parts: list[NDArray[np.int64]] = []
        # By group: the session of the detector that has not seen it.
        unseeing: dict[int, Any] = {}
        if common.calibration == "cross-fit":
            parts = folds_of_groups(np.array(split.groups), seed=common.seed, folds=CROSS_FIT_FOLDS)
            for number, part in enumerate(parts, 1):
                without, _ = self._train(rows[~np.isin(owners, part)], numbers, f"fold {number}", checkpoint)
                unseeing.update(dict.fromkeys(part.tolist(), open_head([without])))
        return learned_network(
            [head],
            features,
            threads=common.threads,
            session_for=lambda position: unseeing.get(split.groups[position]),
            # The loss sets the scale: good patches are to be below -MARGIN, others above MARGIN.
            least_scale=1.0,
            description=f"{HIDDEN} hidden units on patches ({' + '.join(tap.name for tap in self.taps)}), "
            f"{len(losses)} {'epoch' if len(losses) == 1 else 'epochs'} on {len(rows):,} good patches",
            facts={
                "taps": [tap.name for tap in self.taps],
                "grid": list(self.grid),
                "top_patches": self.top_patches,
                "hidden": numbers.hidden,
                "noise_std": numbers.noise_std,
                "patches": len(rows),
            },
            backbone=self.backbone.card,
            training=described_training(numbers, {"discriminator": losses}),
            notes=squeezing_notes(self.task.kind.size, self.sized.input_shape),
            folds=len(parts),
        )

    def _train(
        self, rows: NDArray[np.float32], numbers: DiscriminatorSettings, stage: str, checkpoint: Checkpoint | None
    ) -> tuple[onnx.ModelProto, list[float]]:
        """A head that has learned from these patches alone, float32 [n, d], and the losses of its training."""
        from onlygood.training.discriminator import train_discriminator

        mean, whitening = learn_whitening(rows, shrinkage=PATCH_SHRINKAGE)
        whitened = np.asarray((rows - mean) @ whitening, dtype=np.float32)
        with status_line(show=self.task.show_progress) as show:
            layers = train_discriminator(whitened, numbers, stage=stage, checkpoint=checkpoint, show=show)
        network = Network(
            mean=mean,
            weight=(whitening.astype(np.float64) @ layers.weight.T.astype(np.float64)).astype(np.float32),
            bias=layers.bias,
            output=layers.output,
            offset=layers.offset,
        )
        head = discriminator_head(
            network, top_patches=self.top_patches, has_mask=self.task.kind.has_mask, opset=self.opset
        )
        return head, layers.losses
