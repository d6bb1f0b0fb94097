"""DOC as a method of `fit`: from good and reference images to features trained on both, and neighbours among them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.architectures import DOC
from onlygood.datasets.sources import REFERENCE_WHY, Source
from onlygood.detectors.base import TrainingFiles
from onlygood.detectors.fine_tuned import FineTunedMethod
from onlygood.detectors.pooled_heads import PooledHeads, most_neighbours, neighbours_of
from onlygood.detectors.trained import described_training, terminal_line
from onlygood.errors import FolderError, SettingError
from onlygood.features.extraction import Embedder, Features, extract_features
from onlygood.features.input_kind import input_kind
from onlygood.graph.subgraph import join
from onlygood.settings import FitSettings

# Reference images of each class, so that training has two of each, and one can choose the epoch.
LEAST_A_CLASS = 3


class DocMethod(FineTunedMethod):
    """`--method doc`. What it trains is in `onlygood.training.doc`, how it scores in `onlygood.detectors.pooled_heads`.

    Args:
        settings: of the fit.
        references: the reference images, the class of each as its label.
        files: where it keeps what it has reached; None for nowhere.
        show_progress: draw bars if stderr is a terminal.
    """

    def __init__(
        self,
        settings: FitSettings,
        references: Sequence[Source],
        *,
        files: TrainingFiles | None,
        show_progress: bool,
    ) -> None:
        super().__init__(settings, files=files, show_progress=show_progress)
        if not references:
            raise SettingError(
                f"reference must be given for method doc, got none: {REFERENCE_WHY}, so that drawing good images "
                "together does not make all images alike; knn and lof need none"
            )
        self.references = references

    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        from onlygood.training.doc import DocSettings, Maps, train_doc

        settings = self.settings
        assert settings.weight_decay is not None and settings.compactness_weight is not None  # settings fill them in
        reference = self._extract_references(seen)
        names = [source.label for source in reference.sources]
        self.counts = dict(sorted(Counter(names).items()))
        if len(self.counts) < 2:
            raise FolderError(
                f"readable reference images must be of at least 2 classes, got {len(self.counts)}: {REFERENCE_WHY}"
            )
        numbers = {name: number for number, name in enumerate(self.counts)}
        fewest = min(self.counts, key=lambda name: self.counts[name])
        if self.counts[fewest] < LEAST_A_CLASS:
            raise FolderError(
                f"readable reference images must be at least {LEAST_A_CLASS} a class, two to train on and one to "
                f"choose the epoch by, got {self.counts[fewest]} of {fewest}: add some, or take the class out"
            )
        labelled = [f"{name} {digest}" for name, digest in zip(names, reference.digests, strict=True)]
        # In the file, whatever their order; in a checkpoint as they are, since batches go by their order.
        self.digest = _digest(sorted(labelled))
        learned = np.flatnonzero(~held_out)
        assert settings.bank_size is not None  # settings fill it in
        # Before minutes of training; copies among the images may leave fewer templates afterwards.
        self.neighbours = neighbours_of(settings.head, settings, min(settings.bank_size, len(learned)))
        show = terminal_line(wanted=self.show_progress)
        self.numbers = DocSettings(
            compactness_weight=settings.compactness_weight,
            at_unit_length=settings.metric != "euclidean",
            epochs=settings.epochs or DOC.epochs_for(len(learned)),
            batch_size=settings.batch_size or DOC.batch_size,
            learning_rate=settings.learning_rate or DOC.learning_rate,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            accelerator=settings.accelerator,
        )
        self.trained = train_doc(
            self.parts.tail.graph,
            self.parts.trained,
            self.numbers,
            Maps(values=self.training_values(seen, learned), labels=np.array(groups)[learned]),
            Maps(
                values=self.training_values(reference, np.arange(len(names))),
                labels=np.array([numbers[name] for name in names], dtype=np.int64),
            ),
            self._judge,
            checkpoint=self.checkpoint(
                seen, held_out, self.numbers, reference=_digest(labelled), groups=_digest(list(map(str, groups)))
            ),
            show=show,
        )
        if show is not None:
            show("")
        heads, everything = self._heads(self.trained.vectors)
        self.neighbours = neighbours_of(settings.head, settings, heads.templates(everything))
        head = heads.make(everything, self.neighbours)
        self.templates = head.templates
        self.use(seen, [*self.tuned_end(self.trained.learned), *head.pieces])

    def describe(self) -> dict[str, Any]:  # noqa: D102
        targets, references = self.trained.watched
        return {
            "backbone": self.backbone.card.to_dict(),
            "pooled": {
                "tap": self.tap.name,
                "metric": self.settings.metric,
                "templates": self.templates,
                "num_neighbors": self.neighbours,
            },
            "doc": {
                "head": self.settings.head,
                "trained_layers": self.settings.trained_layers,
                "compactness_weight": self.settings.compactness_weight,
                "reference": {"count": sum(self.counts.values()), "classes": self.counts, "sha256": self.digest},
                "chosen_epoch": self.trained.epoch,
                "watched": {
                    "target": targets,
                    "reference": references,
                    "auroc": [float(f"{judged:.6g}") for judged in self.trained.judged],
                    "variance": [float(f"{variance:.6g}") for variance in self.trained.variances],
                },
            },
            "training": described_training(self.numbers, self.trained.losses),
        }

    def _heads(self, vectors: NDArray[np.float32]) -> tuple[PooledHeads, NDArray[np.bool_]]:
        """Heads on pooled vectors [n, k], and True for each of these."""
        heads = PooledHeads(self.settings.head, self.settings, vectors, maps=self.parts.end, opset=self.opset)
        return heads, np.ones(len(vectors), dtype=bool)

    def _judge(self, vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw scores [m] of pooled vectors [m, k] by a head that remembers the vectors [n, k] given first."""
        heads, everything = self._heads(vectors)
        # Without the images that are watched there may be fewer than the finished head looks at.
        most = most_neighbours(self.settings.head, heads.templates(everything))
        return heads.make(everything, min(self.neighbours, most)).scores(others)

    def _extract_references(self, seen: Features) -> Features:
        """The reference images as the front sees them, in their own bit depth and window.

        Raises:
            FolderError: images that cannot be read, or that are among the good ones.
        """
        settings = replace(self.settings, window=None)
        kind = input_kind(self.references, settings, show_progress=self.show_progress, what="reference")
        found = extract_features(
            self.references,
            Embedder(join(*self.embedding_pieces(kind), outputs=["embedding"])),
            kind,
            settings,
            rows_each=(1,),
            show_progress=self.show_progress,
            what="reference",
        )
        good = dict(zip(seen.scored.digests, seen.scored.sources, strict=True))
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
        self.notes = found.notes
        return found


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
