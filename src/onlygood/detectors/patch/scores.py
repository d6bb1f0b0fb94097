"""What patch memories say of good images: the finished ones, and ones that have not seen the image."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from onlygood._parallel import map_in_order
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.patch.head import Bank, Memory, memory_arrays, patch_head
from onlygood.detectors.patch.memory import Fitted, Refillable, Rows
from onlygood.detectors.whitening import Moments
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join

# The most parts that leave-one-out leaves out in turn. Memories without a large part know fewer images than the
# finished ones, and fewest of a kind that is rare among the good ones, so the scores of these would be too high.
FOLDS = 40
# How many times as many patches as an image's score is the mean of are kept of it: others are the highest when the
# memory has changed. With half as many, scores of good castings came out 1 to 2 % too low after one update.
DECIDING = 3
# The embeddings of the good image at a position, float32 [h, w, d], one for each bank.
EmbeddingsOf = Callable[[int], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True)
class LevelScores:
    """What each bank says of an image.

    Attributes:
        scores: by each bank.
        patch_scores: float32 [h, w], by each bank; empty where they were let go.
        deciding: float32 [k, d], the patches that each bank finds most anomalous, its `deciding_patches`; empty where
            they were not asked for.
        seen_scores: by each bank, if its whitening had seen the image; empty where it was not asked for.
    """

    scores: tuple[float, ...]
    patch_scores: tuple[NDArray[np.float32], ...] = field(repr=False)
    deciding: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)
    seen_scores: tuple[float, ...] = ()


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

    def of_patches(
        self, patches: Sequence[NDArray[np.float32]], memories: Mapping[str, NDArray[np.float32]] | None = None
    ) -> list[LevelScores]:
        """What the banks say of several images of which the deciding patches are known.

        Args:
            patches: float32 [n, k, d], one for each bank.
            memories: as for one image.
        """
        feeds = {bank.embedding: each[:, None] for bank, each in zip(self.banks, patches, strict=True)}
        columns = run(self.session, self.outputs[: len(self.banks)], {**feeds, **(memories or {})})
        return [LevelScores(tuple(map(float, row)), ()) for row in np.array(columns, dtype=np.float32).T]


def deciding_patches(
    scores: LevelScores, embeddings: Sequence[NDArray[np.float32]], banks: Sequence[Bank]
) -> tuple[NDArray[np.float32], ...]:
    """The patches, float32 [k, d], of an image that decide its score by each bank, and some that nearly do.

    Args:
        scores: what the banks say of the image.
        embeddings: float32 [h, w, d], one for each bank.
        banks: all of them.
    """
    found = []
    for patches, embedding, bank in zip(scores.patch_scores, embeddings, banks, strict=True):
        count = min(patches.size, math.ceil(DECIDING * bank.top_patches))
        highest = np.sort(np.argsort(-patches.ravel(), kind="stable")[:count])
        found.append(embedding.reshape(-1, embedding.shape[-1])[highest])
    return tuple(found)


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
        threads: how many prepare the levels; 0 for one a core.
        parts: int64 [k] each, the owners that are left out together; about as many of those that have rows in each of
            FOLDS parts unless given.
        counted: as for `Refillable`, of each memory.
        totals: as for `Refillable`, of each memory.
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
        threads: int = 1,
        parts: Sequence[NDArray[np.int64]] | None = None,
        counted: Sequence[NDArray[np.bool_]] | None = None,
        totals: Sequence[Moments] | None = None,
    ) -> None:
        if parts is None:
            owners = np.unique(np.concatenate([each.owners for each in rows]))
            parts = folds_of_groups(owners, seed=seed, folds=FOLDS)
        self.part_of = {owner: number for number, part in enumerate(parts) for owner in part.tolist()}
        self.banks = banks
        self.scorer = Scorer(banks, opset=opset, takes_memories=True)
        nothing: list[Any] = [None] * len(rows)
        each = list(zip(fitted, rows, bank_sizes, counted or nothing, totals or nothing, strict=True))

        def refillable(level: int) -> Refillable:
            memory, known, size, those, total = each[level]
            return Refillable(memory, known, parts, bank_size=size, seed=seed, counted=those, total=total)

        self.levels = list(map_in_order(refillable, range(len(each)), threads=threads))

    def scores(
        self, owners: Mapping[int, int], embeddings: EmbeddingsOf, *, threads: int, keep: Container[int] = ()
    ) -> Iterator[tuple[int, LevelScores]]:
        """Each image's position, and what memories without its owner say of it; images of one part after another.

        Args:
            owners: of each image, by its position.
            embeddings: of the image at a position.
            threads: how many; 0 for one a core.
            keep: positions of images whose deciding patches and scores by whitenings that have seen them are wanted.
        """
        positions = defaultdict(list)
        for position, owner in owners.items():
            positions[self.part_of[owner]].append(position)

        def of_part(number: int) -> list[tuple[int, LevelScores]]:
            filled = [level.filled_without(number) for level in self.levels]
            memories = self._memories(
                [level.without(number, rows) for level, rows in zip(self.levels, filled, strict=True)]
            )
            seen: dict[str, NDArray[np.float32]] = {}
            found = []
            for position in positions[number]:
                image = embeddings(position)
                scores = self.scorer(image, memories)
                if position in keep:
                    seen = seen or self._memories(
                        [level.seen_without(number, rows) for level, rows in zip(self.levels, filled, strict=True)]
                    )
                    deciding = deciding_patches(scores, image, self.banks)
                    seen_scores = self.scorer([patches[None] for patches in deciding], seen).scores
                    scores = replace(scores, deciding=deciding, seen_scores=seen_scores)
                found.append((position, scores))
            return found

        return chain.from_iterable(map_in_order(of_part, sorted(positions), threads=threads))

    def scores_of_patches(
        self,
        owners: Mapping[int, int],
        patches: Callable[[Sequence[int]], list[NDArray[np.float32]]],
        *,
        threads: int,
        unseen: Sequence[bool],
    ) -> Iterator[tuple[int, LevelScores]]:
        """As `scores`, of images of which the deciding patches are known, and by whitenings that have seen them.

        Args:
            owners: of each image, by its position.
            patches: float32 [n, k, d] of the images at some positions, one for each bank.
            threads: how many; 0 for one a core.
            unseen: of each bank, whether a whitening without these images is known, too; else `scores` are those
                by whitenings that have seen them.
        """
        positions = defaultdict(list)
        for position, owner in owners.items():
            positions[self.part_of[owner]].append(position)

        def of_part(number: int) -> list[tuple[int, LevelScores]]:
            filled = [level.filled_without(number) for level in self.levels]
            seen = [level.seen_without(number, rows) for level, rows in zip(self.levels, filled, strict=True)]
            those = patches(positions[number])
            found = self.scorer.of_patches(those, self._memories(seen))
            found = [replace(scores, seen_scores=scores.scores) for scores in found]
            if any(unseen):
                memories = [
                    level.without(number, rows) if is_unseen else memory
                    for level, rows, memory, is_unseen in zip(self.levels, filled, seen, unseen, strict=True)
                ]
                exact = self.scorer.of_patches(those, self._memories(memories))
                found = [replace(scores, scores=other.scores) for scores, other in zip(found, exact, strict=True)]
            return list(zip(positions[number], found, strict=True))

        return chain.from_iterable(map_in_order(of_part, sorted(positions), threads=threads))

    def _memories(self, memories: Sequence[Memory]) -> dict[str, NDArray[np.float32]]:
        """Memories, one for each bank, as the graph takes them."""
        banks = [replace(bank, memory=memory) for bank, memory in zip(self.banks, memories, strict=True)]
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
