"""The one training loop: epochs of shuffled batches, a learning rate that falls once, progress, checkpoints.

On Lightning Fabric, so that one line of settings decides which hardware it runs on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood._ending import before_ending
from onlygood.errors import TrainingError
from onlygood.training.checkpoint import Checkpoint

SAVE_EVERY_S = 20.0
# In a stage's state, that it ended before its last epoch.
_ENOUGH = "enough"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a stage is trained.

    Attributes:
        stage: its name in messages, checkpoints and curves.
        epochs: how often every image is seen.
        milestone: share of the epochs after which the learning rate is a tenth.
        batch_size: most images a step.
        learning_rate: of Adam.
        weight_decay: of Adam, as an L2 term of the loss.
        seed: of the order of images.
    """

    stage: str
    epochs: int
    milestone: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The numbers of every training; as `FitSettings` has them, with the defaults filled in."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    accelerator: str

    def plan(self, stage: str) -> Plan:
        """The plan of a training that has this one stage, at one learning rate."""
        return Plan(
            stage=stage,
            epochs=self.epochs,
            milestone=1.0,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )


@dataclass(frozen=True)
class AuxiliaryImages:
    """Labelled images that each step is given with its batch, as many as are in that.

    Attributes:
        images: float32 [m, c, H, W].
        labels: int64 [m].
        positions: int64 [any], those of them that are seen.
    """

    images: Tensor
    labels: Tensor
    positions: NDArray[np.int64]

    def order(self, count: int, *, seed: int, epoch: int) -> Tensor:
        """Which of them an epoch of `count` images sees, int64 [count]: all before any comes again."""
        generator = np.random.default_rng([seed, epoch, 1])
        rounds = math.ceil(count / len(self.positions))
        order = np.concatenate([generator.permutation(self.positions) for _ in range(rounds)])
        return torch.from_numpy(order[:count])


@dataclass
class Stage:
    """What a stage needs beside its plan.

    Attributes:
        module: whose parameters are trained.
        loss: of a batch of images, and of the auxiliary images shown with it, a scalar.
        after_epoch: called with the number of epochs done and the mean loss; True if that is enough. May raise
            TrainingError.
        state: what else a checkpoint must keep, as JSON values or tensors, filled by `after_epoch`.
        positions: int64 [any], of the images that are trained on; None for all. A copy of them could take the memory
            that a mapped file saves.
        auxiliary: other images, of which each step sees a batch, too; None if there are none.
    """

    module: nn.Module
    loss: Callable[..., Tensor]
    after_epoch: Callable[[int, float], bool] = lambda _done, _loss: False
    state: dict[str, Any] = field(default_factory=dict)
    positions: NDArray[np.int64] | None = None
    auxiliary: AuxiliaryImages | None = None


def train(
    plan: Plan,
    stage: Stage,
    images: Tensor,
    *,
    accelerator: str,
    checkpoint: Checkpoint | None,
    show: Callable[[str], None] | None,
) -> list[float]:
    """Train a stage to its end. Returns the mean loss of each epoch.

    Args:
        plan: how.
        stage: what.
        images: float32 [n, c, H, W], in memory or in a file that is mapped into it.
        accelerator: "cpu", "gpu" or "auto", as Fabric calls them.
        checkpoint: where to go on from and to keep what is done; None for nowhere.
        show: takes a line on the progress, several times a minute; None for silence.

    Raises:
        TrainingError: a batch of one image, a loss that is not finite, hardware that is not there.
        KeyboardInterrupt: as pressed; the last finished epoch is in the checkpoint.
    """
    positions = np.arange(len(images)) if stage.positions is None else stage.positions
    batches = batch_bounds(len(positions), plan.batch_size)
    fabric = _fabric(accelerator, sizes={end - begin for begin, end in batches})
    optimizer = torch.optim.Adam(stage.module.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    # Channels last in memory, not in shape: of these small convolutions the faster layout by a third.
    module, wrapped = fabric.setup(stage.module.to(memory_format=torch.channels_last), optimizer)  # type: ignore[call-overload]
    # After the setup: what the optimizer remembers has to lie where the parameters are.
    losses: list[float] = []
    if checkpoint is not None:
        losses = checkpoint.load(plan.stage, stage.module, optimizer, stage.state)
    module.train()
    started, saved = time.monotonic(), time.monotonic()
    first = len(losses)
    epochs = () if stage.state.get(_ENOUGH) else range(first, plan.epochs)

    def write_what_is_kept() -> None:
        # With no epoch done, nothing is there that could not be computed again, and a file of before may hold more.
        if checkpoint is not None and checkpoint.stages:
            checkpoint.write()

    try:
        with before_ending(write_what_is_kept):
            for epoch in epochs:
                losses.append(_epoch(fabric, plan, stage, module, wrapped, images, positions, batches, epoch))
                enough = stage.after_epoch(epoch + 1, losses[-1])
                if enough:
                    stage.state[_ENOUGH] = True
                now = time.monotonic()
                if checkpoint is not None:
                    checkpoint.keep(plan.stage, stage.module, optimizer, stage.state, losses)
                    if now - saved > SAVE_EVERY_S or enough or epoch + 1 == plan.epochs:
                        checkpoint.write()
                        saved = now
                if show is not None:
                    left = (now - started) / (epoch + 1 - first) * (plan.epochs - epoch - 1)
                    show(f"{plan.stage}: epoch {epoch + 1} of {plan.epochs}, loss {losses[-1]:.4g}, {left:.0f} s left")
                if enough:
                    break
    except KeyboardInterrupt:
        write_what_is_kept()
        raise
    stage.module.cpu()
    return losses


def _fabric(accelerator: str, *, sizes: Collection[int]) -> Fabric:
    """What trains: one device, or all GPUs that there are, each with a part of every batch.

    Args:
        accelerator: as Fabric calls it.
        sizes: of the batches; no GPU may get a part of one image, as `batch_bounds` says.

    Raises:
        TrainingError: hardware that is not there.
    """
    gpus = 0 if accelerator == "cpu" else torch.cuda.device_count()
    devices = next((count for count in range(gpus, 1, -1) if min(_last_part(size, count) for size in sizes) >= 2), 1)
    try:
        # Data parallel within this process: losses are of whole batches, on one GPU, and all else stays as it is with
        # one. Batch normalisation alone sees each GPU's part of a batch.
        return Fabric(accelerator=accelerator, devices=devices, strategy="dp" if devices > 1 else "auto")
    except Exception as error:
        raise TrainingError(
            f"training needs hardware that torch can use, got accelerator {accelerator!r} and: {error}: use cpu"
        ) from error


def _last_part(size: int, count: int) -> int:
    """The smallest part of a batch that is dealt to so many GPUs: torch makes all but the last of equal size."""
    each = math.ceil(size / count)
    return size - each * (math.ceil(size / each) - 1)


def _epoch(
    fabric: Fabric,
    plan: Plan,
    stage: Stage,
    module: Any,
    optimizer: Any,
    images: Tensor,
    positions: NDArray[np.int64],
    batches: list[tuple[int, int]],
    epoch: int,
) -> float:
    """One pass over all images. Returns their mean loss."""
    rate = plan.learning_rate * (0.1 if epoch >= math.floor(plan.milestone * plan.epochs) else 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    # Drawn from seed and epoch alone: a run that was resumed sees the orders of one that was not.
    order = torch.from_numpy(np.random.default_rng([plan.seed, epoch]).permutation(positions))
    auxiliary = stage.auxiliary
    auxiliary_order = None if auxiliary is None else auxiliary.order(len(positions), seed=plan.seed, epoch=epoch)
    total = torch.zeros((), device=fabric.device)
    for begin, end in batches:
        optimizer.zero_grad()
        batch = [_placed(fabric, images, order[begin:end])]
        if auxiliary is not None and auxiliary_order is not None:
            chosen = auxiliary_order[begin:end]
            batch += [_placed(fabric, auxiliary.images, chosen), fabric.to_device(auxiliary.labels[chosen])]
        loss = stage.loss(module, *batch)
        fabric.backward(loss)
        optimizer.step()
        total += loss.detach() * (end - begin)
    mean = float(total) / len(positions)
    if not math.isfinite(mean):
        raise TrainingError(
            f"the loss of the {plan.stage} must stay finite, got {mean} in epoch {epoch + 1} of {plan.epochs}: lower "
            f"learning_rate (now {plan.learning_rate:g})"
        )
    return mean


def _placed(fabric: Fabric, images: Tensor, chosen: Tensor) -> Tensor:
    placed: Tensor = fabric.to_device(images[chosen]).contiguous(memory_format=torch.channels_last)
    return placed


def batch_bounds(images: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch begins and ends: as few as can be, of sizes that differ by one at most.

    Raises:
        TrainingError: a batch would hold one image, and one has no variance.
    """
    count = math.ceil(images / batch_size)
    if images < 2 * count:
        raise TrainingError(
            f"every mini-batch must hold at least 2 images, for the variance, got {images} to train on in "
            f"batches of {batch_size}: "
            + (f"raise batch_size to at least {least}" if (least := _least_batch(images)) else "add images")
        )
    edges = np.linspace(0, images, count + 1).astype(int).tolist()
    return list(pairwise(edges))


def _least_batch(images: int) -> int:
    """The smallest batch size of which no batch holds one image; 0 if there is none, since there is one image."""
    return math.ceil(images / (images // 2)) if images > 1 else 0
