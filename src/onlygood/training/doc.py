"""DOC: a pretrained network's last layers, fine-tuned on target and reference images together.

Source: Perera and Patel, "Learning Deep Features for One-Class Classification", IEEE TIP 2019 (arXiv 1801.05365). The
reference network and the secondary network share all weights, so one pass through one network does for both. Three
departures, each on purpose. The layers that stay frozen are not run, since what they give is there already. Vectors
that are to be compared at unit length are drawn together at unit length. And the epoch that counts is not a fixed one,
since to draw target images together for too long makes everything alike: training ends when target images that it
does not see have come close enough, or when the head tells them less well from reference images that it does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood.graph.subgraph import LEAST_NORM
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.loop import AuxiliaryImages, Stage, TrainingSettings, train
from onlygood.training.networks import latents
from onlygood.training.tail import Tail

# Share of the target and of each class of the reference images that training does not see, and by which the epoch is
# chosen; and about the most of either.
WATCHED_SHARE, MOST_WATCHED = 0.1, 500
# Fewer groups of watched target images have no variance to speak of.
LEAST_GROUPS = 3
# Target images that the watched ones are compared with after each epoch.
MOST_COMPARED = 1000
# An epoch is as good as the best before it if it is worse by no more than this, in AUROC; of those the last counts.
TOLERANCE = 0.005
# Training ends when so many epochs on end were not as good,
PATIENCE = 3
# or when this share is left of the variance of the watched target images' unit vectors. Below, what sets other
# images apart begins to go, too; where reference images are far from all others, judging by them does not show it.
ENOUGH_VARIANCE = 1 / 6
_BEST = "best"

Judge: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Raw scores [m] of pooled vectors [m, k], by a head that has learned from the pooled vectors [n, k] given first."""


@dataclass(frozen=True, kw_only=True)
class DocSettings(TrainingSettings):
    """The numbers of the training, and how target images are drawn together."""

    compactness_weight: float
    at_unit_length: bool


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What a backbone's front makes of images.

    Attributes:
        values: float32 [n, c, h, w].
        labels: int64 [n]. Of target images, their groups; of reference images, their classes, from 0.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrainedFeatures:
    """What training leaves.

    Attributes:
        learned: the initializers that have learned, by their names in the graph.
        losses: of each epoch, by stage.
        watched: how many target and how many reference images chose the epoch.
        judged: AUROC of watched reference against watched target images: untrained, then after each epoch.
        variances: of the watched target images' unit vectors: untrained, then after each epoch.
        epoch: the one that counts; 0 for the untrained network.
        vectors: float32 [n, k], the pooled vectors of all target images.
    """

    learned: dict[str, NDArray[np.float32]]
    losses: dict[str, list[float]]
    watched: tuple[int, int]
    judged: list[float]
    variances: list[float]
    epoch: int
    vectors: NDArray[np.float32]


class PooledVectors(nn.Module):
    """The network g of the paper: feature maps [n, c, h, w] to pooled vectors [n, k]."""

    def __init__(self, tail: Tail) -> None:
        super().__init__()
        self.tail = tail

    def forward(self, maps: Tensor) -> Tensor:  # noqa: D102
        vectors: Tensor = self.tail(maps).mean(dim=(2, 3))
        return vectors


class DocNetwork(nn.Module):
    """g, and h on top of it: feature maps [n, c, h, w] to pooled vectors [n, k] and to logits [n, classes]."""

    def __init__(self, features: PooledVectors, *, width: int, classes: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(width, classes)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        vectors = self.features(maps)
        return vectors, self.classifier(vectors)


def train_doc(
    tail: onnx.GraphProto,
    trained_names: Sequence[str],
    settings: DocSettings,
    target: Maps,
    reference: Maps,
    judge: Judge,
    *,
    checkpoint: Checkpoint | None = None,
    show: Callable[[str], None] | None = None,
) -> TrainedFeatures:
    """Train the end of a backbone.

    Args:
        tail: its graph.
        trained_names: the initializers that learn.
        settings: of the training; its epochs are the most.
        target: good images.
        reference: images of other things, of at least two classes.
        judge: how images are going to be scored.
        checkpoint: to go on from, and to keep what is done.
        show: takes lines on the progress.

    Raises:
        TrainingError: a loss that is not finite, batches of one image.
        BackboneError: operators that cannot be trained.
    """
    torch.manual_seed(settings.seed)
    features = PooledVectors(Tail(tail, trained_names))
    shown, references = torch.from_numpy(target.values), torch.from_numpy(reference.values)
    watch = _Watch(features, shown, references, target.labels, reference.labels, judge, seed=settings.seed)
    width = latents(features, shown[:1]).shape[1]
    network = DocNetwork(features, width=width, classes=int(reference.labels.max()) + 1)

    def loss(module: nn.Module, batch: Tensor, others: Tensor, classes: Tensor) -> Tensor:
        vectors, logits = module(torch.cat([batch, others]))
        drawn = compactness_loss(vectors[: len(batch)], at_unit_length=settings.at_unit_length)
        return descriptiveness_loss(logits[len(batch) :], classes) + settings.compactness_weight * drawn

    stage = Stage(
        network,
        loss,
        watch.after_epoch,
        watch.state,
        positions=watch.others,
        auxiliary=AuxiliaryImages(references, torch.from_numpy(reference.labels), watch.other_references),
    )
    losses = train(
        settings.plan("doc"), stage, shown, accelerator=settings.accelerator, checkpoint=checkpoint, show=show
    )
    features.tail.load_state_dict(watch.state[_BEST]["weights"])
    return TrainedFeatures(
        learned=features.tail.learned(),
        losses={"doc": losses},
        watched=(len(watch.targets), len(watch.references)),
        judged=watch.state["judged"],
        variances=watch.state["variances"],
        epoch=watch.state[_BEST]["epoch"],
        vectors=latents(features, shown).numpy(),
    )


def descriptiveness_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """The cross-entropy of reference images' logits [n, classes] and classes, int64 [n]."""
    return nn.functional.cross_entropy(logits, classes)


def compactness_loss(vectors: Tensor, *, at_unit_length: bool = False) -> Tensor:
    """How far a batch of target vectors [n, k] is from compact, n at least 2.

    Source: equations 5 to 8 and the appendix: 1/(n k) sum_i z_i^T z_i, with z_i = x_i - the mean of the others, which
    is n^2 / (n - 1)^2 times the batch's variance. At unit length, which is not the paper's, it is not divided by k:
    the variance of unit vectors is at most 1, however many coordinates they have.
    """
    count, width = vectors.shape
    if at_unit_length:
        vectors, width = nn.functional.normalize(vectors, eps=LEAST_NORM), 1
    loss: Tensor = vectors.var(dim=0, correction=0).sum() * (count**2 / ((count - 1) ** 2 * width))
    return loss


def unit_variance(vectors: Tensor) -> float:
    """The variance of vectors [n, k] at unit length, summed over coordinates."""
    units = nn.functional.normalize(vectors, eps=LEAST_NORM).double()
    return float(units.var(dim=0, correction=0).sum())


def share_in_order(lower: NDArray[np.float32], higher: NDArray[np.float32]) -> float:
    """The share of pairs in which the second is higher, ties half: the AUROC."""
    difference = higher[:, None] - lower
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


class _Watch:
    """Images that training does not see, and which epoch is the best by them.

    Attributes:
        targets: int64 [any], positions of the watched target images, whole groups of them.
        references: int64 [any], positions of the watched reference images.
        others: int64 [any], of all other target images.
        other_references: int64 [any], of all other reference images.
        state: of the stage: AUROC and variance after each epoch, and number and weights of the best.
    """

    def __init__(
        self,
        features: PooledVectors,
        shown: Tensor,
        references: Tensor,
        groups: NDArray[np.int64],
        classes: NDArray[np.int64],
        judge: Judge,
        *,
        seed: int,
    ) -> None:
        self.features = features
        self.judge = judge
        self.targets, self.others = watched_groups(groups, seed=seed)
        self.references, self.other_references = watched_of_each_class(classes, seed=seed)
        # One image a group: how far augmentations of one are from each other says nothing.
        self.one_a_group = np.unique(groups[self.targets], return_index=True)[1]
        compared = np.random.default_rng(seed).permutation(self.others)[:MOST_COMPARED]
        self.looked_at = [shown[compared], shown[self.targets], references[self.references]]
        judged, variance = self._look()
        self.state: dict[str, Any] = {"judged": [judged], "variances": [variance]}
        self._keep(0)

    def after_epoch(self, done: int, _loss: float) -> bool:
        """Judge the network as it is, keep it if it is as good as the best, and say whether to end."""
        judged, variances = self.state["judged"], self.state["variances"]
        now, variance = self._look()
        # Other lists: those before may be in a checkpoint that is yet to be written.
        self.state |= {"judged": [*judged, now], "variances": [*variances, variance]}
        if now >= max(judged) - TOLERANCE:
            self._keep(done)
        is_close = len(self.one_a_group) >= LEAST_GROUPS and variance <= ENOUGH_VARIANCE * variances[0]
        return bool(is_close or done - self.state[_BEST]["epoch"] >= PATIENCE)

    def _look(self) -> tuple[float, float]:
        """AUROC and variance of the watched images."""
        compared, targets, references = (latents(self.features, part).cpu() for part in self.looked_at)
        scores = self.judge(compared.numpy(), torch.cat([targets, references]).numpy())
        return share_in_order(scores[: len(targets)], scores[len(targets) :]), unit_variance(targets[self.one_a_group])

    def _keep(self, epoch: int) -> None:
        weights = {name: value.detach().cpu().clone() for name, value in self.features.tail.state_dict().items()}
        self.state[_BEST] = {"epoch": epoch, "weights": weights}


def watched_groups(groups: NDArray[np.int64], *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of images to watch, whole groups of them drawn at random, and of all others.

    About WATCHED_SHARE of the images, MOST_WATCHED at most, and never more than half, unless every group is larger:
    at least one is watched, and at least two groups are left.

    Args:
        groups: int64 [n], labels of at least three groups.
        seed: of the draw.
    """
    wanted = min(max(2, round(WATCHED_SHARE * len(groups))), MOST_WATCHED, len(groups) // 2)
    labels, members = np.unique(groups, return_inverse=True)
    sizes = np.bincount(members.reshape(-1))
    chosen: list[int] = []
    count = 0
    for label in np.random.default_rng(seed).permutation(len(labels)).tolist():
        # Copies, which are one group, would leave a head nothing to compare with.
        if len(chosen) < len(labels) - 2 and count + sizes[label] <= wanted:
            chosen.append(label)
            count += sizes[label]
    # Where every group is larger than that.
    chosen = chosen or [int(sizes.argmin())]
    watched = np.isin(members.reshape(-1), chosen)
    return np.flatnonzero(watched), np.flatnonzero(~watched)


def watched_of_each_class(classes: NDArray[np.int64], *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of images to watch, a share of each class and at least one, and of all others.

    Args:
        classes: int64 [n], at least three images of each class.
        seed: of the draw.
    """
    share = min(WATCHED_SHARE, MOST_WATCHED / len(classes))
    order = np.random.default_rng(seed).permutation(len(classes))
    chosen = [
        order[classes[order] == number][: max(1, round(share * int((classes == number).sum())))]
        for number in np.unique(classes)
    ]
    watched = np.isin(np.arange(len(classes)), np.concatenate(chosen))
    return np.flatnonzero(watched), np.flatnonzero(~watched)
