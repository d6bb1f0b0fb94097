"""`deep-svdd` with the end of a pretrained backbone as its network.

What it trains is in `onlygood.training.fine_tuning`, what it computes in `onlygood.graph.pooled`.
"""

from __future__ import annotations

import numpy as np

from onlygood._progress import status_line
from onlygood.architectures import PRETRAINED
from onlygood.detectors.base import Detector, Embedding, FitTask, Learned, Split
from onlygood.detectors.deep_svdd.numbers import described_sphere, described_stages, hypersphere_numbers
from onlygood.detectors.deep_svdd.settings import DeepSvdd
from onlygood.detectors.fine_tuned import TrainableBackbone
from onlygood.detectors.on_backbone import groups_of
from onlygood.detectors.trained import described_training, learned_network, load_torch, make_checkpoint, training_values
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening, precision_of
from onlygood.features.extraction import Features
from onlygood.graph.pooled import gradient_map, pooled_vector, squared_mahalanobis, unit_vector


class PretrainedSvddDetector(Detector):
    """The detector of `onlygood.DeepSvdd` with network="pretrained".

    Args:
        settings: of the method.
        task: of the fit.
    """

    def __init__(self, settings: DeepSvdd, task: FitTask) -> None:
        self.settings = settings
        self.task = task
        self.trunk = TrainableBackbone(settings, groups=groups_of(task.kind))

    @property
    def embedding(self) -> Embedding:  # noqa: D102
        return self.trunk.embedding(self.task.kind)

    def learn(self, features: Features, split: Split) -> Learned:  # noqa: D102
        load_torch(show_progress=self.task.show_progress)
        from onlygood.training.deep_svdd import solve_radius
        from onlygood.training.fine_tuning import fine_tune

        settings, trunk, threads = self.settings, self.trunk, self.task.settings.threads
        parts, opset = trunk.parts, trunk.opset
        maps = training_values(features, split.fitted, threads=threads)
        numbers = hypersphere_numbers(
            settings,
            PRETRAINED,
            pretrain_epochs=0,
            epochs=PRETRAINED.epochs_for(len(maps)),
            seed=self.task.settings.seed,
        )
        checkpoint = make_checkpoint(settings, self.task, features, split, numbers, backbone=trunk.card.sha256)
        with status_line(show=self.task.show_progress) as show:
            tuned = fine_tune(parts.tail.graph, parts.trained, numbers, maps, checkpoint=checkpoint, show=show)
        mean, whitening = learn_whitening(tuned.vectors, shrinkage=WHOLE_SHRINKAGE)
        squared = np.square((tuned.vectors - mean) @ whitening).sum(axis=1)
        radius = solve_radius(squared, settings.nu)
        head = [
            *trunk.tuned_end(tuned.learned),
            pooled_vector(parts.end, opset=opset),
            unit_vector(opset=opset),
            squared_mahalanobis("unit_vector", mean, precision_of(whitening), opset=opset),
            gradient_map(parts.end, has_basis=False, of_unit_vector=True, opset=opset),
        ]
        return learned_network(
            head,
            features,
            threads=threads,
            description=described_stages(settings.network, numbers, tuned.trained, radius=radius),
            facts={
                "network": settings.network,
                "source": f"{trunk.card.name}, {trunk.tap.name}, the last {settings.trained_layers} layers trained; "
                "whitened unit vectors",
                **described_sphere(numbers, tuned.trained),
                "trained_radius": radius,
            },
            backbone=trunk.card,
            fine_tuned=trunk.fine_tuned,
            training=described_training(numbers, tuned.trained.losses),
        )
