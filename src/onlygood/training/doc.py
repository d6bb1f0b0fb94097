"""DOC: a pretrained network's last layers, fine-tuned on target and reference pictures together.

Source: Perera and Patel, "Learning Deep Features for One-Class Classification", IEEE TIP 2019 (arXiv 1801.05365). The
reference network and the secondary network share all weights, so one pass through one network does for both. Two
departures, each on purpose: the layers that stay frozen are not run, since what they give is there already, and
training stops by what it has done to target pictures that it does not see, instead of after a number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood.graph.patch_head import SHORTEST
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.loop import Beside, Plan, Stage, train
from onlygood.training.networks import latents
from onlygood.training.tail import Tail

# Enough: what is left of the variance of unseen target pictures' unit vectors, beside the pretrained network's.
ENOUGH_VARIANCE = 1 / 2
# Share of the target pictures that training does not see, and by which it is stopped; and most of them.
WATCHED_SHARE, MOST_WATCHED = 0.1, 500


@dataclass(frozen=True, kw_only=True)
class DocSettings:
    """The numbers of the training; as `FitSettings` has them, with the defaults filled in."""

    compactness_weight: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    accelerator: str


@dataclass(frozen=True)
class TrainedFeatures:
    """What training leaves.

    Attributes:
        learned: the initializers that have learned, by their names in the graph.
        losses: of each epoch, by stage.
        variances: of the watched target pictures' unit vectors, before and after.
        watched: how many those were.
        vectors: float32 [n, k], the pooled vectors of all target pictures.
    """

    learned: dict[str, NDArray[np.float32]]
    losses: dict[str, list[float]]
    variances: tuple[float, float]
    watched: int
    vectors: NDArray[np.float32]


class DocNetwork(nn.Module):
    """g and h of the paper: feature maps [n, c, h, w] to pooled vectors [n, k] and to logits of reference classes."""

    def __init__(self, tail: Tail, *, width: int, classes: int) -> None:
        super().__init__()
        self.tail = tail
        self.classifier = nn.Linear(width, classes)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        vectors = self.tail(maps).mean(dim=(2, 3))
        return vectors, self.classifier(vectors)


class PooledVectors(nn.Module):
    """g alone: feature maps [n, c, h, w] to pooled vectors [n, k]."""

    def __init__(self, tail: Tail) -> None:
        super().__init__()
        self.tail = tail

    def forward(self, maps: Tensor) -> Tensor:  # noqa: D102
        vectors: Tensor = self.tail(maps).mean(dim=(2, 3))
        return vectors


def train_doc(
    tail: onnx.GraphProto,
    trained_names: Sequence[str],
    settings: DocSettings,
    target: NDArray[np.float32],
    reference: NDArray[np.float32],
    classes: NDArray[np.int64],
    *,
    checkpoint: Checkpoint | None = None,
    show: Callable[[str], None] | None = None,
) -> TrainedFeatures:
    """Train the end of a backbone.

    Args:
        tail: its graph.
        trained_names: the initializers that learn.
        settings: of the training; its epochs are the most.
        target: float32 [n, c, h, w], what the backbone's front makes of good pictures.
        reference: float32 [m, c, h, w], what it makes of reference pictures.
        classes: int64 [m], the class of each, from 0.
        checkpoint: to go on from, and to keep what is done.
        show: takes lines on the progress.

    Raises:
        TrainingError: a loss that is not finite, batches of one picture.
        BackboneError: operators that cannot be trained.
    """
    torch.manual_seed(settings.seed)
    features = PooledVectors(Tail(tail, trained_names))
    shown = torch.from_numpy(target)
    watched, seen = _watched(len(target), seed=settings.seed)
    before = unit_variance(latents(features, shown[watched]))
    width = latents(features, shown[:1]).shape[1]
    network = DocNetwork(features.tail, width=width, classes=int(classes.max()) + 1)

    def loss(module: nn.Module, batch: Tensor, beside: Tensor, labels: Tensor) -> Tensor:
        vectors, logits = module(torch.cat([batch, beside]))
        descriptiveness_loss = nn.functional.cross_entropy(logits[len(batch) :], labels)
        return descriptiveness_loss + settings.compactness_weight * compactness_loss(vectors[: len(batch)])

    def after_epoch(_done: int, _loss: float) -> bool:
        return unit_variance(latents(features, shown[watched])) <= ENOUGH_VARIANCE * before

    plan = Plan(
        stage="doc",
        epochs=settings.epochs,
        milestone=1.0,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
    )
    stage = Stage(network, loss, after_epoch, beside=Beside(torch.from_numpy(reference), torch.from_numpy(classes)))
    losses = train(plan, stage, shown[seen], accelerator=settings.accelerator, checkpoint=checkpoint, show=show)
    vectors = latents(features, shown)
    return TrainedFeatures(
        learned=features.tail.learned(),
        losses={"doc": losses},
        variances=(before, unit_variance(vectors[watched])),
        watched=len(watched),
        vectors=vectors.numpy(),
    )


def compactness_loss(vectors: Tensor) -> Tensor:
    """How far a batch of target vectors [n, k] is from compact, n at least 2.

    Source: equations 5 to 8 and the appendix: 1/(n k) sum_i z_i^T z_i, with z_i = x_i - the mean of the others, which
    is n^2 / (n - 1)^2 times the batch's variance.
    """
    count, width = vectors.shape
    loss: Tensor = vectors.var(dim=0, correction=0).sum() * (count**2 / ((count - 1) ** 2 * width))
    return loss


def unit_variance(vectors: Tensor) -> float:
    """The variance of vectors [n, k] at unit length, summed over coordinates."""
    units = nn.functional.normalize(vectors, eps=SHORTEST).double()
    return float(units.var(dim=0, correction=0).sum())


def _watched(count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Positions that training does not see but is stopped by, at least 2, and all others."""
    order = np.random.default_rng(seed).permutation(count)
    watched = min(max(2, round(WATCHED_SHARE * count)), MOST_WATCHED)
    return torch.from_numpy(np.sort(order[:watched])), torch.from_numpy(np.sort(order[watched:]))
