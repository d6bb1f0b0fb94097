"""Deep SVDD: an autoencoder, then a hypersphere around what its encoder makes of good images.

Source: Ruff et al., "Deep One-Class Classification", ICML 2018. The numbers of its equations are given where they are
used. Four departures, each on purpose: the radius is solved over all good images in evaluation mode after an epoch,
not over the last mini-batch; no "best" epoch is picked, since losses before and after the warm-up are of different
objectives, and the last one counts; the statistics of batch normalisation are computed again over all good images
before the centre is, and at the end; and training stops with an error where the hypersphere collapses to a point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood._spacing import evenly_spaced
from onlygood.architectures import Architecture
from onlygood.errors import TrainingError
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.loop import Plan, Stage, TrainingSettings, batch_bounds, train
from onlygood.training.networks import build_autoencoder, latents, settle

# A coordinate of the centre that is nearer to zero is pushed out to this: a unit can match zero with zero weights.
CENTER_EPS = 0.1
# Collapse: what is left, beside what the untrained network had, of the variance of latents, and of the spread of
# distances beside their mean; and the least share of images whose scores differ.
LEAST_VARIANCE = 1e-3
LEAST_SPREAD = 1e-2
LEAST_DISTINCT = 0.5
# In the first epochs the statistics of batch normalisation lag behind. So it is collapse if it is seen in so many
# epochs on end, or in the finished network.
PATIENCE = 5
# How many images it is looked for in: their share of an epoch's time is to stay small.
WATCHED = 1000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training leaves.

    Attributes:
        encoder: in evaluation mode.
        center: float32 [d].
        radius: at which a share nu of the good images lies outside, by the finished network.
        losses: of each epoch, by stage.
    """

    encoder: nn.Sequential
    center: Tensor
    radius: float
    losses: dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class HypersphereSettings(TrainingSettings):
    """The numbers of both stages; those of every training are the second stage's."""

    objective: str
    nu: float
    warmup_epochs: int
    pretrain_epochs: int


def train_deep_svdd(
    architecture: Architecture,
    settings: HypersphereSettings,
    images: NDArray[np.float32],
    *,
    checkpoint: Checkpoint | None = None,
    show: Callable[[str], None] | None = None,
    with_bias: bool = False,
) -> Trained:
    """Train both stages.

    Args:
        architecture: of the network.
        settings: of both stages.
        images: float32 [n, c, H, W], levels in [0, 1].
        checkpoint: to go on from, and to keep what is done.
        show: takes lines on the progress.
        with_bias: see `build_autoencoder`.

    Raises:
        TrainingError: collapse, a loss that is not finite, batches of one image.
    """
    torch.manual_seed(settings.seed)
    shown = torch.from_numpy(images)
    networks = build_autoencoder(architecture, channels=images.shape[1], with_bias=with_bias)
    watched = watched_of(shown)
    untrained = measure(latents(networks.encoder, watched).flatten(1))
    if untrained.distinct < 2:
        raise TrainingError(
            f"good images must differ, and an untrained network tells none of {len(watched)} apart: add others, or "
            "learn from augmentations of one"
        )
    batches = batch_bounds(len(shown), settings.batch_size)
    losses = {}

    def run(stage: Stage, name: str, *, epochs: int, milestone: float, weight_decay: float, seed: int) -> None:
        plan = Plan(
            stage=name,
            epochs=epochs,
            milestone=milestone,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=weight_decay,
            seed=seed,
        )
        losses[name] = train(plan, stage, shown, accelerator=settings.accelerator, checkpoint=checkpoint, show=show)

    if settings.pretrain_epochs:
        run(
            Stage(nn.Sequential(networks.encoder, networks.decoder), _reconstruction_loss),
            "autoencoder",
            epochs=settings.pretrain_epochs,
            milestone=architecture.pretrain_milestone,
            weight_decay=architecture.pretrain_weight_decay,
            seed=settings.seed,
        )
    settle(networks.encoder, shown, batches)
    sphere = Hypersphere(networks.encoder, settings, shown, watched, untrained)
    run(
        Stage(networks.encoder, sphere.loss, sphere.after_epoch, sphere.state),
        "hypersphere",
        epochs=settings.epochs,
        milestone=architecture.milestone,
        weight_decay=settings.weight_decay,
        seed=settings.seed + 1,
    )
    settle(networks.encoder, shown, batches)
    networks.encoder.eval()
    radius = solve_radius(sphere.finished_squared_distances().cpu().numpy(), settings.nu)
    return Trained(encoder=networks.encoder, center=sphere.center.cpu(), radius=radius, losses=losses)


def watched_of(images: Tensor) -> Tensor:
    """The images that collapse is looked for in: up to WATCHED, evenly spread."""
    return images[evenly_spaced(len(images), WATCHED)]


def center_of(embeddings: Tensor, *, eps: float = CENTER_EPS) -> Tensor:
    """The hypersphere's centre: the mean of the embeddings [n, d], no coordinate nearer to zero than eps.

    Source: section 3.3, "the hypersphere center", and the authors' code for eps. A coordinate of exactly zero becomes
    +eps: the sign of zero is zero.
    """
    center = embeddings.mean(dim=0)
    pushed = torch.where(center < 0, -eps, eps)
    return torch.where(center.abs() < eps, pushed, center)


def solve_radius(squared_distances: NDArray[np.float32], nu: float) -> float:
    """The radius outside of which a share nu of the images lies: the (1 - nu)-quantile of their distances [n].

    Source: section 3.3, "nu-property": the optimal radius for a fixed network.
    """
    return float(np.quantile(np.sqrt(squared_distances), 1.0 - nu))


class Hypersphere:
    """The second stage: centre, radius, objectives, when it is enough, and the watch for collapse.

    Args:
        encoder: that is trained.
        settings: of the stage.
        images: float32 [n, ...], as the encoder takes them.
        watched: some of them.
        untrained: what the encoder makes of those before it is trained.
        center_eps: see `center_of`.
        enough_variance: share of the variance before at which training ends; 0 for not before the last epoch.
    """

    def __init__(
        self,
        encoder: nn.Sequential,
        settings: HypersphereSettings,
        images: Tensor,
        watched: Tensor,
        untrained: Measures,
        *,
        center_eps: float = CENTER_EPS,
        enough_variance: float = 0.0,
    ) -> None:
        self.encoder = encoder
        self.settings = settings
        self.images = images
        self.watched = watched
        self.untrained = untrained
        self.enough_variance = enough_variance
        # The radius is 0 until the end of the warm-up: all images are drawn to the centre alike.
        center = center_of(latents(encoder, images).flatten(1), eps=center_eps)
        self.state: dict[str, Any] = {"center": center.tolist(), "radius": 0.0, "epochs": 0, "collapsed_epochs": 0}
        self._placed: Tensor | None = None

    @property
    def center(self) -> Tensor:
        """The centre, float32 [d]."""
        return torch.tensor(self.state["center"], dtype=torch.float32)

    @property
    def radius(self) -> float:
        """The radius of the soft boundary; 0 before it is first solved."""
        radius: float = self.state["radius"]
        return radius

    def loss(self, encoder: nn.Module, batch: Tensor) -> Tensor:
        """Equation 4 (one-class), or equation 3 (soft boundary) once the warm-up is over; weight decay is Adam's."""
        embeddings = encoder(batch).flatten(1)
        squared = self._squared_distances(embeddings)
        if self.settings.objective == "one-class" or self.radius == 0.0:
            return squared.mean()
        squared_radius = self.radius**2
        return squared_radius + (squared - squared_radius).clamp(min=0.0).mean() / self.settings.nu

    def after_epoch(self, done: int, _loss: float) -> bool:
        """Solve the radius, see whether the hypersphere has collapsed, and say whether it is enough."""
        is_soft = self.settings.objective == "soft-boundary"
        if is_soft and done >= self.settings.warmup_epochs:
            self.state["radius"] = solve_radius(
                self._squared_distances(self._embeddings(self.images)).cpu().numpy(), self.settings.nu
            )
        self.state["epochs"] = done
        now = self._check_collapse(patience=PATIENCE)
        # A soft boundary that ended in its warm-up would be none.
        is_begun = not is_soft or done > self.settings.warmup_epochs
        return is_begun and now.variance <= self.enough_variance * self.untrained.variance

    def finished_squared_distances(self) -> Tensor:
        """Of all good images to the centre, [n], by the network as it is to stay.

        Raises:
            TrainingError: it has collapsed.
        """
        self._check_collapse(patience=1)
        return self._squared_distances(self._embeddings(self.images))

    def _embeddings(self, images: Tensor) -> Tensor:
        return latents(self.encoder, images).flatten(1)

    def _squared_distances(self, embeddings: Tensor) -> Tensor:
        squared: Tensor = (embeddings - self._center_beside(embeddings)).square().sum(dim=1)
        return squared

    def _center_beside(self, embeddings: Tensor) -> Tensor:
        """The centre, on the hardware of the embeddings; what a checkpoint brought back counts."""
        if self._placed is None or self._placed.device != embeddings.device:
            self._placed = self.center.to(embeddings.device)
        return self._placed

    def _check_collapse(self, *, patience: int) -> Measures:
        embeddings = self._embeddings(self.watched)
        now = measure(embeddings, self.center)
        before = self.untrained
        problems = {
            f"the variance of embeddings is {now.variance:.3g}, and was {before.variance:.3g} untrained": (
                now.variance < LEAST_VARIANCE * before.variance
            ),
            f"distances spread by {now.spread:.3g} of their mean, and by {before.spread:.3g} untrained": (
                now.spread < LEAST_SPREAD * before.spread
            ),
            f"only {now.distinct} of {len(embeddings)} good images have scores of their own": (
                now.distinct < LEAST_DISTINCT * before.distinct
            ),
        }
        found = [problem for problem, is_so in problems.items() if is_so]
        self.state["collapsed_epochs"] = self.state["collapsed_epochs"] + 1 if found else 0
        if self.state["collapsed_epochs"] >= patience:
            raise TrainingError(
                f"the hypersphere must not collapse to a point, where all images look alike, and after epoch "
                f"{self.state['epochs']} {found[0]}: lower epochs or learning_rate (now "
                f"{self.settings.learning_rate:g}), or add good images that differ"
            )
        return now


@dataclass(frozen=True)
class Measures:
    """What collapse is seen by: variance of latents, spread of distances over their mean, different distances."""

    variance: float
    spread: float
    distinct: int


def measure(embeddings: Tensor, center: Tensor | None = None) -> Measures:
    """What collapse is seen by, of embeddings [n, d] and their centre [d] on the CPU, or else their mean."""
    # On the CPU: some GPUs have no float64.
    embeddings = embeddings.cpu()
    center = embeddings.mean(dim=0) if center is None else center
    distances = (embeddings - center).square().sum(dim=1).sqrt().double()
    mean = float(distances.mean())
    scaled = distances / mean if mean > 0 else distances
    return Measures(
        variance=float(embeddings.double().var(dim=0, correction=0).sum()),
        spread=float(scaled.std(correction=0)),
        distinct=len(torch.unique((scaled * 1e5).round())),
    )


def _reconstruction_loss(autoencoder: nn.Module, batch: Tensor) -> Tensor:
    """The squared difference of an image and its reconstruction, summed over pixels, mean over images."""
    loss: Tensor = (autoencoder(batch) - batch).square().sum(dim=(1, 2, 3)).mean()
    return loss
