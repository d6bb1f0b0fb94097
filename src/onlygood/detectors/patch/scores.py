"""What patch memories say of good images: the finished ones, and ones that have not seen the image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from onlygood._parallel import map_in_order
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.patch.head import Bank, memory_arrays, patch_head
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
    """Scores of good images by heads as they go into the file. Thread-safe.

    Args:
        banks: with the memories of the finished heads.
        opset: of the standard operators.
        takes_memories: whether the memories are given with each image, so that one graph serves many of them.
    """

    def __init__(self, banks: Sequence[Bank], *, opset: int, takes_memories: bool = False) -> None:
        self.banks = banks
        self.outputs = [bank.score for bank in banks] + [bank.patch_scores for bank in banks]
        heads = join(*(patch_head(bank, opset=opset) for bank in banks), outputs=self.outputs)
        if takes_memories:
            _take(heads, {name for bank in banks for name in memory_arrays(bank)})
        self.session = open_session(heads.SerializeToString(), threads=1)

    def __call__(
        self, embeddings: Sequence[NDArray[np.float32]], memories: Mapping[str, NDArray[np.float32]] | None = None
    ) -> LevelScores:
        """What the banks say of an image.

        Args:
            embeddings: float32 [h, w, d], one for each bank.
            memories: what `memory_arrays` gives of all banks, where they are taken.
        """
        count = len(self.banks)
        feeds = {bank.embedding: embedding[None] for bank, embedding in zip(self.banks, embeddings, strict=True)}
        values = run(self.session, self.outputs, {**feeds, **(memories or {})})
        scores = tuple(float(value[0]) for value in values[:count])
        return LevelScores(scores=scores, patch_scores=tuple(value[0] for value in values[count:]))


def _take(heads: onnx.ModelProto, names: Container[str]) -> None:
    """Make inputs of these initializers, in place; a memory may then have any number of rows."""
    initializers = list(heads.graph.initializer)
    del heads.graph.initializer[:]
    for tensor in initializers:
        if tensor.name in names:
            dims = [None] * len(tensor.dims)
            heads.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
        else:
            heads.graph.initializer.append(tensor)


class LeaveOut:
    """Scores of images by memories that have not seen their owner, which is a group of images or an image.

    The owners are in parts. The memories of a part are made when they are needed and let go after, and one graph takes
    those of all parts: FOLDS graphs would cost more time and memory than all else in a fit.

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
        self.banks = banks
        self.scorer = Scorer(banks, opset=opset, takes_memories=True)
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
            memories = self._memories(number)
            return [(position, self.scorer(embeddings(position), memories)) for position in positions[number]]

        return chain.from_iterable(map_in_order(of_part, sorted(positions), threads=threads))

    def _memories(self, number: int) -> dict[str, NDArray[np.float32]]:
        """The memories without the part of this number, as the graph takes them."""
        banks = [
            replace(bank, memory=level.without(number)) for bank, level in zip(self.banks, self.levels, strict=True)
        ]
        return {name: array for bank in banks for name, array in memory_arrays(bank).items()}


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
