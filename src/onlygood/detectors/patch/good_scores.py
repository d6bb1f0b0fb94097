"""Scores of the good images by patch memories that have not seen them, and the units in which levels are combined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order, one_blas_thread
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.detectors.base import FitTask, GoodScores, Split
from onlygood.detectors.patch.head import Bank, Unit, combine_maps, combine_scores
from onlygood.detectors.patch.kept import (
    ALL_ROWS,
    EXACT_IMAGES,
    Batch,
    KeptLevel,
    KeptPatches,
    chosen_to_keep,
    leverage,
    map_numbers,
)
from onlygood.detectors.patch.memory import Fitted, Rows, unit_of
from onlygood.detectors.patch.scores import Combiner, LeaveOut, LevelScores, Scorer, deciding_patches
from onlygood.detectors.vector_codes import Coordinates
from onlygood.features.extraction import Features
from onlygood.graph.subgraph import LEAST_NORM

# Units come from images left out alone. Copies make one another look ordinary, so a score is at least this share of the
# one without the image's whole group.
LEAST_ALONE = 0.5
# Good images whose maps are looked at to learn which levels are ordinary.
MAPPED = 200
# Patch scores of further images are kept up to so many bytes, and computed a second time beyond.
KEPT_BYTES = 100_000_000


@dataclass(frozen=True)
class GoodImages:
    """The good images of a fit.

    Attributes:
        features: of them.
        split: which belong together, and which only calibrate.
        image_ids: int64 [n], equal for copies: the position of the first with the same pixels.
    """

    features: Features
    split: Split
    image_ids: NDArray[np.int64]

    @classmethod
    def of(cls, features: Features, split: Split) -> GoodImages:
        """With the positions of copies."""
        firsts: dict[str, int] = {}
        ids = [firsts.setdefault(digest, place) for place, digest in enumerate(features.digests)]
        return cls(features, split, np.array(ids))


@dataclass(frozen=True)
class LevelMemory:
    """One level's memory.

    Attributes:
        rows: what it was learned from.
        positions: int64 [n], of the image that each of these comes from.
        fitted: the memory.
        bank: the same as it is in the head.
        bank_size: most rows.
        map_weight: of its patch scores in the map.
    """

    rows: Rows
    positions: NDArray[np.int64] = field(repr=False)
    fitted: Fitted
    bank: Bank
    bank_size: int
    map_weight: float


@dataclass(frozen=True)
class Found:
    """What the memories say of the good images.

    Attributes:
        scores: as in `Learned`.
        finished_score: as in `Learned`.
        combining: the subgraphs that make a score and a map of what the levels say.
        units: of each level's score.
        kept: what can be kept of them for an update; None where they are not learned from as they were given.
    """

    scores: GoodScores
    finished_score: Callable[[int], float]
    combining: Sequence[onnx.ModelProto]
    units: Sequence[Unit]
    kept: KeptPatches | None


def score_good_images(
    memories: Sequence[LevelMemory], good: GoodImages, task: FitTask, *, map_grid: tuple[int, int], opset: int
) -> Found:
    """Scores of all good images, each by memories that have not seen it.

    Args:
        memories: of each level.
        good: the images.
        task: of the fit.
        map_grid: height and width of the combined map, in patches.
        opset: of the standard operators.
    """
    banks = [memory.bank for memory in memories]
    finished = Scorer(banks, opset=opset)
    unseen = _Unseen(memories, good, finished, task=task, opset=opset)
    features, held_out = good.features, good.split.held_out
    count = features.given
    calibrating = good.split.calibrating(count)
    mapped = set(calibrating[evenly_spaced(len(calibrating), MAPPED * features.tiles)].tolist())
    is_plain = len(features.sources) == count and features.as_given is None and features.tiles == 1
    keep = chosen_to_keep(calibrating).tolist() if is_plain else []
    found: dict[int, LevelScores] = {}
    with one_blas_thread():
        scored = track(
            unseen(range(count), keep=set(keep)), total=count, description="calibrating", show=task.show_progress
        )
        kept: set[int] | None = None
        for position, part in scored:
            if kept is None:
                each = sum(patches.nbytes for patches in part.patch_scores)
                kept = mapped.union(range(KEPT_BYTES // each))
            found[position] = part if position in kept else replace(part, patch_scores=())
        parts = [found[position] for position in range(count)]
        scores_alone = unseen.scores_alone()
    # In which units the banks' scores are compared: by images that were fitted, so that those held out stay unseen.
    fitted = np.flatnonzero(~held_out[:count]).tolist()
    grouped = np.array([parts[each].scores for each in fitted], dtype=np.float32).T
    alone = np.array([scores_alone.get(each, parts[each].scores) for each in fitted], dtype=np.float32).T
    units = [unit_of(scores) for scores in np.maximum(alone, LEAST_ALONE * grouped)]
    map_units = _map_units(memories, [parts[position] for position in sorted(mapped)])
    combining = [combine_scores(banks, units, opset=opset), combine_maps(banks, map_units, map_grid, opset=opset)]
    combine = Combiner(banks, combining)
    typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
    for position in sorted(mapped):
        patches = combine.map(parts[position])
        typical[position], highest[position] = np.median(patches), patches.max()

    for_updates = None
    if keep:
        ratios = np.ones((count, len(banks)), dtype=np.float32)
        ratios[fitted] = (alone / np.maximum(grouped, LEAST_NORM)).T
        maps = {each: combine.map(parts[each]) for each in keep if each in mapped}
        numbers = [numbers_of(parts[each], len(fitted), ratios[each], maps.get(each)) for each in keep]
        for_updates = KeptPatches(
            levels=[
                kept_level(memory, [parts[each].deciding[place] for each in keep])
                for place, memory in enumerate(memories)
            ],
            scored=np.array(keep),
            mapped=np.array([each in mapped for each in keep]),
            numbers=np.array(numbers, dtype=np.float32),
        )

    def patch_scores(position: int) -> NDArray[np.float32]:
        if parts[position].patch_scores:
            return combine.map(parts[position])
        with one_blas_thread():
            ((_, again),) = unseen([position])
        return combine.map(again)

    def finished_score(position: int) -> float:
        return float(combine.scores([finished(features.embeddings(position))])[0])

    return Found(
        scores=GoodScores(raw=combine.scores(parts), typical=typical, highest=highest, patch_scores=patch_scores),
        finished_score=finished_score,
        combining=combining,
        units=units,
        kept=for_updates,
    )


def kept_level(memory: LevelMemory, deciding: Sequence[NDArray[np.float32]]) -> KeptLevel:
    """What is kept of one level of a fit.

    Args:
        memory: of the level.
        deciding: float32 [k, d] of each image that can be scored again.
    """
    rows, fitted = memory.rows, memory.fitted
    coordinates = Coordinates.of_whitening(fitted.memory.mean, fitted.memory.whitening)
    reserve, images = reserve_of(fitted, len(rows.vectors)), len(np.unique(memory.positions))
    return KeptLevel(
        coordinates=coordinates,
        batches={0: Batch.of(rows.vectors, images, coordinates)},
        rows=rows.vectors[reserve],
        row_images=memory.positions[reserve],
        is_complete=len(reserve) == len(rows.vectors),
        is_fine=len(reserve) == len(rows.vectors) and images <= EXACT_IMAGES,
        deciding=np.stack(deciding),
    )


def reserve_of(fitted: Fitted, count: int) -> NDArray[np.int64]:
    """Which of so many rows are kept in reserve for a memory: all where they are few."""
    return np.arange(count) if count <= ALL_ROWS else fitted.candidates


def numbers_of(
    scores: LevelScores, images: int, alone: NDArray[np.float32], combined: NDArray[np.float32] | None
) -> list[tuple[float, ...]]:
    """NUMBERS of an image, for each level; those of its map are 0 where it was not looked at.

    Args:
        scores: with those by memories whose whitening has seen the image.
        images: how many the memories know.
        alone: float32 [levels], as in NUMBERS.
        combined: its map.
    """
    levels = len(scores.scores)
    of_map = [(0.0,) * 4] * levels if combined is None else map_numbers(scores.patch_scores, combined)
    return [
        (lever, float(images), float(ratio), *others)
        for lever, ratio, others in zip(leverage(scores), alone, of_map, strict=True)
    ]


def _map_units(memories: Sequence[LevelMemory], parts: Sequence[LevelScores]) -> list[Unit]:
    """In which units the banks' patch scores are added up: those in which patches of good images vary equally, by the
    weight of each.
    """
    units = []
    for number, memory in enumerate(memories):
        patches = np.concatenate([part.patch_scores[number].ravel() for part in parts])
        if memory.bank.has_mask:
            patches = patches[patches > 0.0] if patches.any() else patches
        spread = float(np.std(patches, dtype=np.float64)) / memory.map_weight
        units.append(Unit(center=float(np.median(patches)), scale=spread or 1.0))
    return units


class _Unseen:
    """What is said of good images by memories that have not seen them."""

    def __init__(
        self, memories: Sequence[LevelMemory], good: GoodImages, finished: Scorer, *, task: FitTask, opset: int
    ) -> None:
        self.memories, self.good, self.finished = memories, good, finished
        self.seed, self.threads, self.opset = task.settings.seed, task.settings.threads, opset
        with one_blas_thread():
            self.without_groups = self._leave_out([memory.rows for memory in memories])

    def __call__(self, positions: Sequence[int], *, keep: Container[int] = ()) -> Iterator[tuple[int, LevelScores]]:
        """Positions of good images, in any order, and what is said of each by memories that have not seen it.

        Of one held out it is what the finished memories say, of another what memories without its group say. These know
        a few images less, so the scores are, if anything, a little too high.
        """
        embeddings, split = self.good.features.scored.embeddings, self.good.split

        banks = [memory.bank for memory in self.memories]

        def finished(position: int) -> tuple[int, LevelScores]:
            image = embeddings(position)
            scores = self.finished(image)
            if position in keep:
                deciding = deciding_patches(scores, image, banks)
                scores = replace(scores, deciding=deciding, seen_scores=scores.scores)
            return position, scores

        held_out = [each for each in positions if split.held_out[each]]
        yield from map_in_order(finished, held_out, threads=self.threads)
        owners = {each: split.groups[each] for each in positions if not split.held_out[each]}
        yield from self.without_groups.scores(owners, embeddings, threads=self.threads, keep=keep)

    def scores_alone(self) -> dict[int, tuple[float, ...]]:
        """By position, of images in groups of several, the scores by memories that know the others of the group."""
        features, split = self.good.features, self.good.split
        # Augmentations of an image are in its group, and would stay where the image alone is left out. So would tiles.
        if len(features.sources) > features.given or features.tiles > 1:
            return {}
        sizes = Counter(split.groups)
        owners = {
            position: int(self.good.image_ids[position])
            for position in range(features.given)
            if sizes[split.groups[position]] > 1 and not split.held_out[position]
        }
        if not owners:
            return {}
        without = self._leave_out([replace(memory.rows, owners=memory.rows.images) for memory in self.memories])
        unseen = without.scores(owners, features.scored.embeddings, threads=self.threads)
        return {position: part.scores for position, part in unseen}

    def _leave_out(self, rows: Sequence[Rows]) -> LeaveOut:
        return LeaveOut(
            [memory.fitted for memory in self.memories],
            rows,
            [memory.bank for memory in self.memories],
            bank_sizes=[memory.bank_size for memory in self.memories],
            seed=self.seed,
            opset=self.opset,
            threads=self.threads,
        )
