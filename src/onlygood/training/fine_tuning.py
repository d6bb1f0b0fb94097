"""Deep SVDD on a pretrained network: its last layers are drawn towards the good images' centre, not for long.

Source: Reiss et al., "PANDA: Adapting Pretrained Features for Anomaly Detection and Segmentation", CVPR 2021: the
compactness loss (equation 2), with early stopping against forgetting. Two departures. Vectors have unit length, before
and while they are trained: on the network used here that is worth more than the training. And training stops by what
it has done, instead of after a number of steps that suits one data set: after the epoch in which the good images'
variance has fallen to a given share of what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood.graph.subgraph import LEAST_NORM
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.deep_svdd import Hypersphere, HypersphereSettings, Trained, measure, solve_radius, watched_of
from onlygood.training.loop import Stage, train
from onlygood.training.networks import latents
from onlygood.training.tail import Tail

# Enough: what is left of the variance of the good images' unit vectors, beside the pretrained network's.
ENOUGH_VARIANCE = 1 / 6


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning leaves.

    Attributes:
        trained: network, centre and radius.
        learned: the initializers that have learned, by their names in the graph.
        vectors: float32 [n, c], the unit vectors of the images that were trained on.
    """

    trained: Trained
    learned: dict[str, NDArray[np.float32]]
    vectors: NDArray[np.float32]


class UnitVectors(nn.Module):
    """Feature maps [n, c, h, w] to their mean over places, at unit length: [n, c]."""

    def forward(self, maps: Tensor) -> Tensor:  # noqa: D102
        return nn.functional.normalize(maps.mean(dim=(2, 3)), eps=LEAST_NORM)


def fine_tune(
    tail: onnx.GraphProto,
    trained_names: Sequence[str],
    settings: HypersphereSettings,
    maps: NDArray[np.float32],
    *,
    checkpoint: Checkpoint | None = None,
    show: Callable[[str], None] | None = None,
) -> Tuned:
    """Train the end of a backbone.

    Args:
        tail: its graph.
        trained_names: the initializers that learn.
        settings: of the stage; its epochs are the most.
        maps: float32 [n, c, h, w], what the backbone's front makes of good images.
        checkpoint: to go on from, and to keep what is done.
        show: takes lines on the progress.

    Raises:
        TrainingError: collapse, a loss that is not finite, batches of one image.
        BackboneError: operators that cannot be trained.
    """
    torch.manual_seed(settings.seed)
    network = Tail(tail, trained_names)
    encoder = nn.Sequential(network, UnitVectors())
    shown = torch.from_numpy(maps)
    watched = watched_of(shown)
    sphere = Hypersphere(
        encoder,
        settings,
        shown,
        watched,
        measure(latents(encoder, watched)),
        # Unit vectors cannot shrink to zero, so no coordinate need be kept from it.
        center_eps=0.0,
        enough_variance=ENOUGH_VARIANCE,
    )
    stage = Stage(encoder, sphere.loss, sphere.after_epoch, sphere.state)
    losses = train(
        settings.plan("hypersphere"), stage, shown, accelerator=settings.accelerator, checkpoint=checkpoint, show=show
    )
    encoder.eval()
    radius = solve_radius(sphere.finished_squared_distances().numpy(), settings.nu)
    trained = Trained(encoder=encoder, center=sphere.center.cpu(), radius=radius, losses={"hypersphere": losses})
    vectors = latents(encoder, shown).numpy()
    return Tuned(trained=trained, learned=network.learned(), vectors=vectors)
