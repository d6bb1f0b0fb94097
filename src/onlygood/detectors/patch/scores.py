"""What patch memories say of good images: the finished ones, and ones that have not seen the image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.patch.head import Bank, patch_head
from onlygood.detectors.patch.memory import Fitted, Refillable, Rows
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join

# The most parts that leave-one-out leaves out in turn. Memories without a large part know fewer images than the
# finished ones, and fewest of a kind that is rare among the good ones, so the scores of these would be too high.
FOLDS = 40
# The embeddings of the good image at a position, float32 [h, w, d], one for each bank.
EmbeddingsOf = Callable[[int], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True)
class LevelScores:
    """What each bank says of an image.

    Attributes:
        scores: by each bank.
        patch_scores: float32 [h, w], by each bank; empty where they were let go.
    """

    scores: tuple[float, ...]
    patch_scores: tuple[NDArray[np.float32], ...] = field(repr=False)


class Scorer:
    """Scores of good images by heads as they go into the file. Thread-safe."""

    def __init__(self, banks: Sequence[Bank], *, opset: int) -> None:
        self.banks = banks
        self.outputs = [bank.score for bank in banks] + [bank.patch_scores for bank in banks]
        heads = join(*(patch_head(bank, opset=opset) for bank in banks), outputs=self.outputs)
        self.session = open_session(heads.SerializeToString(), threads=1)

    def __call__(self, embeddings: Sequence[NDArray[np.float32]]) -> LevelScores:
        """What the banks say of an image with these embeddings, float32 [h, w, d], one for each bank."""
        count = len(self.banks)
        feeds = {bank.embedding: embedding[None] for bank, embedding in zip(self.banks, embeddings, strict=True)}
        values = run(self.session, self.outputs, feeds)
        scores = tuple(float(value[0]) for value in values[:count])
        return LevelScores(scores=scores, patch_scores=tuple(value[0] for value in values[count:]))


class LeaveOut:
    """Scores of images by memories that have not seen their owner, which is a group of images or an image.

    The owners are in parts, and what scores those of a part is made when it is needed and let go after: FOLDS graphs at
    a time would take more memory than all else in a fit.

    Args:
        fitted: the finished memories.
        rows: what they were learned from, with the owners that are to be left out.
        banks: with which the finished memories are in the file.
        bank_sizes: most rows of each.
        seed: of the parts, and of the banks' first rows.
        opset: of the heads.
    """

    def __init__(
        self,
        fitted: Sequence[Fitted],
        rows: Sequence[Rows],
        banks: Sequence[Bank],
        *,
        bank_sizes: Sequence[int],
        seed: int,
        opset: int,
    ) -> None:
        owners = np.unique(np.concatenate([each.owners for each in rows]))
        parts = folds_of_groups(owners, seed=seed, folds=FOLDS)
        self.part_of = {owner: number for number, part in enumerate(parts) for owner in part.tolist()}
        self.banks, self.opset = banks, opset
        self.levels = [
            Refillable(memory, known, parts, bank_size=size, seed=seed)
            for memory, known, size in zip(fitted, rows, bank_sizes, strict=True)
        ]

    def scores(
        self, owners: Mapping[int, int], embeddings: EmbeddingsOf, *, threads: int
    ) -> Iterator[tuple[int, LevelScores]]:
        """Each image's position, and what memories without its owner say of it; images of one part after another.

        Args:
            owners: of each image, by its position.
            embeddings: of the image at a position.
            threads: how many; 0 for one a core.
        """
        positions = defaultdict(list)
        for position, owner in owners.items():
            positions[self.part_of[owner]].append(position)

        def of_part(number: int) -> list[tuple[int, LevelScores]]:
            scorer = self._scorer(number)
            return [(position, scorer(embeddings(position))) for position in positions[number]]

        return chain.from_iterable(map_in_order(of_part, sorted(positions), threads=threads))

    def _scorer(self, number: int) -> Scorer:
        memories = [level.without(number) for level in self.levels]
        banks = [replace(bank, memory=memory) for bank, memory in zip(self.banks, memories, strict=True)]
        return Scorer(banks, opset=self.opset)


class Combiner:
    """Raw scores and maps from what the banks say, by the subgraphs that go into the file. Thread-safe."""

    def __init__(self, banks: Sequence[Bank], subgraphs: Sequence[onnx.ModelProto]) -> None:
        self.banks = banks
        scores, maps = subgraphs
        self.score_session = open_session(join(scores, outputs=["raw_score"]).SerializeToString(), threads=1)
        self.map_session = open_session(join(maps, outputs=["patch_scores"]).SerializeToString(), threads=1)

    def scores(self, parts: Sequence[LevelScores]) -> NDArray[np.float32]:
        """Raw scores, float32 [n]."""
        columns = np.array([part.scores for part in parts], dtype=np.float32).T
        feeds = {bank.score: column for bank, column in zip(self.banks, columns, strict=True)}
        raw: NDArray[np.float32] = run(self.score_session, ["raw_score"], feeds)[0]
        return raw

    def map(self, parts: LevelScores) -> NDArray[np.float32]:
        """Patch scores, float32 [h, w]."""
        feeds = {bank.patch_scores: each[None] for bank, each in zip(self.banks, parts.patch_scores, strict=True)}
        patches: NDArray[np.float32] = run(self.map_session, ["patch_scores"], feeds)[0][0]
        return patches
