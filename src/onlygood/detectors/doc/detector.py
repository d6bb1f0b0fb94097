"""`doc`: from good and reference images to features trained on both, and neighbours among the good ones.

What it trains is in `onlygood.training.doc`, how it scores in `onlygood.detectors.pooled_heads`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood._progress import status_line
from onlygood.architectures import DOC
from onlygood.datasets.sources import list_references, reading_limits
from onlygood.detectors.base import Detector, Embedding, FitTask, Learned, Split
from onlygood.detectors.doc.settings import Doc
from onlygood.detectors.fine_tuned import TrainableBackbone
from onlygood.detectors.on_backbone import groups_of
from onlygood.detectors.pooled_heads import PooledHeads, TemplateHeads, choose_neighbors, pooled_description
from onlygood.detectors.template_scores import NEAREST_NEIGHBORS, OUTLIER_FACTOR
from onlygood.detectors.trained import described_training, learned_network, load_torch, make_checkpoint, training_values
from onlygood.errors import FolderError
from onlygood.features.extraction import Embedder, Features, extract_features
from onlygood.features.input_kind import input_kind
from onlygood.graph.subgraph import join
from onlygood.graph.view import View
from onlygood.settings import REFERENCE_WHY

# Reference images of each class, so that training has two of each, and one can choose the epoch.
LEAST_A_CLASS = 3
SCORES = {score.name: score for score in (NEAREST_NEIGHBORS, OUTLIER_FACTOR)}


@dataclass(frozen=True)
class _References:
    """The reference images.

    Attributes:
        features: as the frozen front sees them.
        names: the class of each.
    """

    features: Features
    names: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each class, by its name."""
        return dict(sorted(Counter(self.names).items()))

    @property
    def labels(self) -> NDArray[np.int64]:
        """A number for each image, int64 [n], equal within a class."""
        numbers = {name: number for number, name in enumerate(self.counts)}
        return np.array([numbers[name] for name in self.names], dtype=np.int64)

    @property
    def labelled(self) -> list[str]:
        """Class and digest of each image, as lines."""
        return [f"{name} {digest}" for name, digest in zip(self.names, self.features.digests, strict=True)]


class DocDetector(Detector):
    """The detector of `onlygood.Doc`.

    Args:
        settings: of the method.
        task: of the fit.

    Raises:
        FolderError: the reference images cannot be found, or are of fewer than two classes.
    """

    def __init__(self, settings: Doc, task: FitTask) -> None:
        self.settings = settings
        self.task = task
        common = task.settings
        limits = reading_limits(common)
        assert settings.reference is not None  # or the settings would have been refused
        self.references = list_references(settings.reference, limits=limits)
        self.trunk = TrainableBackbone(settings, groups=groups_of(task.kind))
        self.score = SCORES[settings.head]

    @property
    def embedding(self) -> Embedding:  # noqa: D102
        return self.trunk.embedding(self.task.kind)

    def learn(self, features: Features, split: Split) -> Learned:  # noqa: D102
        load_torch(show_progress=self.task.show_progress)
        from onlygood.training.doc import DocSettings, Maps, train_doc

        settings, trunk, common = self.settings, self.trunk, self.task.settings
        references = self._extract_references(features)
        learned = split.fitted
        # Before minutes of training; copies among the images may leave fewer templates afterwards.
        neighbors = choose_neighbors(self.score, settings, min(settings.bank_size, len(learned)))
        is_unit = settings.metric != "euclidean"
        weight = settings.compactness_weight
        numbers = DocSettings(
            compactness_weight=(1.0 if is_unit else 0.1) if weight is None else weight,
            at_unit_length=is_unit,
            epochs=settings.epochs or DOC.epochs_for(len(learned)),
            batch_size=settings.batch_size or DOC.batch_size,
            learning_rate=settings.learning_rate or DOC.learning_rate,
            weight_decay=settings.weight_decay,
            seed=common.seed,
            accelerator=settings.accelerator,
        )

        def judge(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
            """Raw scores [m] of pooled vectors [m, k] by a head that remembers the vectors [n, k] given first."""
            heads = self._heads(vectors)
            # Without the images that are watched there may be fewer than the finished head looks at.
            most = self.score.most_neighbors(heads.templates(heads.everything))
            return heads.make(heads.everything, min(neighbors, most)).scores(others)

        checkpoint = make_checkpoint(
            settings,
            self.task,
            features,
            split,
            numbers,
            backbone=trunk.card.sha256,
            # As they are, since batches go by their order.
            reference=_digest(references.labelled),
            groups=_digest(list(map(str, split.groups))),
        )
        good = Maps(
            values=training_values(features, learned, threads=common.threads), labels=np.array(split.groups)[learned]
        )
        others = Maps(
            values=training_values(references.features, np.arange(len(references.names)), threads=common.threads),
            labels=references.labels,
        )
        with status_line(show=self.task.show_progress) as show:
            trained = train_doc(
                trunk.parts.tail.graph,
                trunk.parts.trained,
                numbers,
                good,
                others,
                judge,
                checkpoint=checkpoint,
                show=show,
            )
        heads = self._heads(trained.vectors)
        neighbors = heads.neighbors(heads.templates(heads.everything))
        head = heads.make(heads.everything, neighbors)
        counts = references.counts
        return learned_network(
            [*trunk.tuned_end(trained.learned), *head.subgraphs],
            features,
            threads=common.threads,
            description=f"{settings.head}, "
            + pooled_description(trunk.tap.name, settings.metric, neighbors=neighbors, templates=head.templates)
            + f"; the last {settings.trained_layers} layers as after epoch {trained.epoch} of "
            f"{len(trained.losses['doc'])} beside {len(references.names):,} reference images of {len(counts)} classes",
            facts={
                "tap": trunk.tap.name,
                "metric": settings.metric,
                "templates": head.templates,
                "num_neighbors": neighbors,
                "head": settings.head,
                "trained_layers": settings.trained_layers,
                "compactness_weight": numbers.compactness_weight,
                "reference": {
                    "count": len(references.names),
                    "classes": counts,
                    # Whatever their order.
                    "sha256": _digest(sorted(references.labelled)),
                },
                "chosen_epoch": trained.epoch,
                "watched": {
                    "target": trained.watched[0],
                    "reference": trained.watched[1],
                    "auroc": [float(f"{judged:.6g}") for judged in trained.judged],
                    "variance": [float(f"{variance:.6g}") for variance in trained.variances],
                },
            },
            backbone=trunk.card,
            fine_tuned=trunk.fine_tuned,
            training=described_training(numbers, trained.losses),
            notes=references.features.notes,
        )

    def _heads(self, vectors: NDArray[np.float32]) -> PooledHeads:
        """Heads on pooled vectors [n, k]."""
        end, opset = self.trunk.parts.end, self.trunk.opset
        return TemplateHeads(self.score, self.settings, vectors, seed=self.task.settings.seed, maps=end, opset=opset)

    def _extract_references(self, features: Features) -> _References:
        """The reference images as the front sees them, in their own bit depth and window.

        Raises:
            FolderError: images that cannot be read, that are among the good ones, or too few of a class.
        """
        settings = self.task.settings.replaced(window=None)
        kind = input_kind(self.references, settings, show_progress=self.task.show_progress, what="reference")
        if kind.channels != self.task.kind.channels:
            raise FolderError(
                f"reference images must have as many channels as the good ones, {self.task.kind.channels}, got "
                f"{kind.channels}: take other images with the same cameras and lights, or choose another method"
            )
        view = View(kind.dtype, has_alpha=settings.alpha == "mask")
        embedding = self.trunk.embedding(kind.shown(view))
        subgraphs = [*view.subgraphs(opset=embedding.opset), *embedding.subgraphs]
        found = extract_features(
            self.references,
            Embedder(join(*subgraphs, outputs=list(embedding.outputs))),
            kind,
            settings,
            rows_each=embedding.rows_each,
            show_progress=self.task.show_progress,
            what="reference",
        )
        good = dict(zip(features.scored.digests, features.scored.sources, strict=True))
        both = [
            (source.name, good[digest].name)
            for source, digest in zip(found.sources, found.digests, strict=True)
            if digest in good
        ]
        if both:
            raise FolderError(
                f"reference images must show other things than the good ones, got {len(both)} that are among the "
                f"good ones, too, the first: {both[0][0]} is {both[0][1]}: take them out of the reference images"
            )
        references = _References(found, [source.label for source in found.sources])
        counts = references.counts
        if len(counts) < 2:
            raise FolderError(
                f"readable reference images must be of at least 2 classes, got {len(counts)}: {REFERENCE_WHY}"
            )
        fewest = min(counts, key=lambda name: counts[name])
        if counts[fewest] < LEAST_A_CLASS:
            raise FolderError(
                f"readable reference images must be at least {LEAST_A_CLASS} a class, two to train on and one to "
                f"choose the epoch by, got {counts[fewest]} of {fewest}: add some, or take the class out"
            )
        return references


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
