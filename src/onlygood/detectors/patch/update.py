"""An update of patch memories: images whose pixels are gone, but for those that are taken out, and further ones.

The finished memories are what a fit would make of the rows in reserve and those of the further images, with a whitening
from the moments of all. Further images are scored by memories that have not seen them, as in a fit. So are former
ones, but where they are many or not all of their rows are kept: then the whitening has seen them, and what that makes
of their scores was measured when they came, and falls as one over the number of images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order, one_blas_thread
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.base import FitTask, GoodScores, Past, Split
from onlygood.detectors.patch.good_scores import LEAST_ALONE, MAPPED, Found, numbers_of, reserve_of
from onlygood.detectors.patch.head import Bank, Unit, combine_maps, combine_scores
from onlygood.detectors.patch.kept import (
    EXACT_IMAGES,
    MOST_LEVERAGE,
    NUMBERS,
    Batch,
    KeptLevel,
    KeptPatches,
    chosen_to_keep,
    leverage,
    merged,
)
from onlygood.detectors.patch.memory import Fitted, Rows, fill_memory, unit_of
from onlygood.detectors.patch.scores import FOLDS, Combiner, LeaveOut, LevelScores, Scorer, deciding_patches
from onlygood.detectors.whitening import Moments, learn_whitening
from onlygood.features.extraction import Features
from onlygood.graph.subgraph import LEAST_NORM

# The fewest parts that further images are left out in.
LEAST_PARTS = 6
# Images of which the deciding patches are known that are scored in one run.
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class LevelOfUpdate:
    """One level of the detector.

    Attributes:
        name: a prefix of the bank's values in the graph.
        embedding: name of its embedding.
        width: d, of its vectors.
        rows_each: how many patches are sampled of each image.
        top_patches: how many of the highest patch scores count.
        shrinkage: of the whitening.
        bank_size: most rows of its memory.
        map_weight: of its patch scores in the map.
    """

    name: str
    embedding: str
    width: int
    rows_each: int
    top_patches: int
    shrinkage: float
    bank_size: int
    map_weight: float


@dataclass(frozen=True)
class _Remembered:
    """One level's memory after the update.

    Attributes:
        rows: that it was filled from.
        positions: int64 [n], of the image that each comes from.
        is_new: bool [n], those of further images.
        fitted: the memory.
        total: the moments about its mean.
        batches: by their numbers.
        is_complete: whether the rows are all that there ever were of these images.
        is_exact: whether its whitening without some of the former images is computed.
    """

    rows: Rows
    positions: NDArray[np.int64]
    is_new: NDArray[np.bool_]
    fitted: Fitted
    total: Moments
    batches: dict[int, Batch]
    is_complete: bool
    is_exact: bool


class PatchUpdate:
    """An update, in the order of its steps.

    Positions are those after it: the images that stay, then the further ones.

    Args:
        levels: of the detector.
        past: what was kept.
        features: of the further images; None where there are none.
        split: of all images.
        task: of the update.
        map_grid: height and width of the combined map, in patches.
        opset: of the standard operators.

    Raises:
        KeyError, ValueError: what was kept does not fit together.
    """

    def __init__(
        self,
        levels: Sequence[LevelOfUpdate],
        past: Past,
        features: Features | None,
        split: Split,
        task: FitTask,
        *,
        map_grid: tuple[int, int],
        opset: int,
    ) -> None:
        self.levels, self.past, self.features, self.split, self.task = levels, past, features, split, task
        self.map_grid, self.opset = map_grid, opset
        self.groups = np.array(split.groups, dtype=np.int64)
        self.batches = past.batches[past.staying]
        self.kept = KeptPatches.from_arrays(
            past.arrays,
            widths=[level.width for level in levels],
            count=len(past.batches),
            numbers=sorted(set(self.batches[~split.held_out[: len(past.staying)]].tolist())),
        )
        for level, kept in zip(levels, self.kept.levels, strict=True):
            if len(kept.deciding) and kept.deciding.shape[1] < level.top_patches:
                raise ValueError("deciding patches that are too few")
        self.old, self.count = len(past.staying), len(self.groups)
        positions = np.full(len(past.batches), -1)
        positions[past.staying] = np.arange(self.old)
        self.position_of = positions
        self.learned = int((~split.held_out).sum())
        # Of those that can be scored again, where they are among all that could, and their positions.
        scored = positions[self.kept.scored]
        self.places = np.flatnonzero(scored >= 0)
        self.again = scored[self.places]
        self.ids = np.arange(self.count)
        if features is not None:
            firsts: dict[str, int] = {}
            self.ids[self.old :] = [
                firsts.setdefault(digest, place) for place, digest in enumerate(features.digests, self.old)
            ]

    @property
    def rescored(self) -> int:
        """How many images calibrate that were scored by their deciding patches."""
        return int(np.isin(self.again, self.split.calibrating(self.count)).sum())

    def run(self) -> Found:
        """The memories and the scores of all images.

        Raises:
            FolderError, SettingError: as a fit.
        """
        with one_blas_thread():
            made = map_in_order(self._remember, range(len(self.levels)), threads=self.task.settings.threads)
            self.memories = list(made)
            self.banks = [
                Bank(level.name, level.embedding, memory.fitted.memory, level.top_patches)
                for level, memory in zip(self.levels, self.memories, strict=True)
            ]
            self.finished = Scorer(self.banks, opset=self.opset)
            return self._score()

    def _remember(self, number: int) -> _Remembered:
        level, kept = self.levels[number], self.kept.levels[number]
        is_learned = ~self.split.held_out
        stays = self.position_of[kept.row_images] >= 0
        stays[stays] = is_learned[self.position_of[kept.row_images[stays]]]
        positions = self.position_of[kept.row_images[stays]]
        vectors = kept.rows[stays]
        counts = Counter(self.batches[is_learned[: self.old]].tolist())
        batches = {each: kept.batches[each] for each in sorted(counts)}
        moments = [batch.moments(counts[each] * level.rows_each, kept.coordinates) for each, batch in batches.items()]
        if self.features is not None:
            images = self.features.sample_images[number] + self.old
            theirs = images[is_learned[images]]
            sample = self.features.samples[number][is_learned[images]]
            if len(sample):
                vectors, positions = np.concatenate([vectors, sample]), np.concatenate([positions, theirs])
                batches[self.past.number] = Batch.of(sample, len(np.unique(theirs)), kept.coordinates)
                moments.append(Moments.of(sample, kept.coordinates.origin))
        rows = Rows(vectors, self.groups[positions], self.ids[positions], level.shrinkage)
        total = Moments.of(vectors, kept.coordinates.origin) if kept.is_complete else reduce(add, moments)
        found = total.whitening(kept.coordinates.origin, shrinkage=level.shrinkage)
        mean, whitening = found or learn_whitening(vectors, shrinkage=level.shrinkage)
        return _Remembered(
            rows,
            positions,
            positions >= self.old,
            fill_memory(rows, mean, whitening, bank_size=level.bank_size, seed=self.task.settings.seed),
            total.about(mean.astype(np.float64) - kept.coordinates.origin),
            batches,
            kept.is_complete,
            kept.is_complete and self.learned <= EXACT_IMAGES,
        )

    def _leave_out(self, owners: NDArray[np.int64], *, of_images: bool) -> LeaveOut:
        rows = [
            replace(memory.rows, owners=memory.rows.images) if of_images else memory.rows for memory in self.memories
        ]
        return LeaveOut(
            [memory.fitted for memory in self.memories],
            rows,
            self.banks,
            bank_sizes=[level.bank_size for level in self.levels],
            seed=self.task.settings.seed,
            opset=self.opset,
            threads=self.task.settings.threads,
            parts=self._parts(owners),
            counted=[memory.is_new | memory.is_exact for memory in self.memories],
            totals=[memory.total for memory in self.memories],
        )

    def _parts(self, owners: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Which owners are left out together: as many in a part as in a fit, those of further images by themselves.

        So a few memories are whitened again, without further images, and many are not. Those of few further images are
        in several parts, or none that is like them would be left.
        """
        learned = ~self.split.held_out
        new = np.unique(owners[self.old :][learned[self.old :]])
        old = np.setdiff1d(owners[: self.old][learned[: self.old]], new)
        share = FOLDS / max(1, len(new) + len(old))
        parts = [(old, math.ceil(share * len(old))), (new, max(LEAST_PARTS, math.ceil(share * len(new))))]
        seed = self.task.settings.seed
        return [
            part
            for those, count in parts
            if len(those)
            for part in folds_of_groups(those, seed=seed, folds=min(count, FOLDS))
        ]

    def _score(self) -> Found:
        held_out = self.split.held_out
        found: dict[int, LevelScores] = {}
        without = self._leave_out(self.groups, of_images=False)
        found |= self._rescored(without)
        new = list(range(self.old, self.count))
        scored = track(
            self._of_new(new, without), total=len(new), description="calibrating", show=self.task.show_progress
        )
        found |= dict(scored)
        alone = self._alone(found)
        fitted = [each for each in sorted(found) if not held_out[each]]
        units = [
            unit_of(np.maximum(alone[fitted, place], LEAST_ALONE * self._column(found, fitted, place)))
            for place in range(len(self.banks))
        ]
        positions = np.array(sorted(found), dtype=np.int64)
        calibrating = positions[held_out[positions]] if held_out.any() else positions
        mapped = self._mapped(calibrating)
        whole = [each for each in mapped if each >= self.old]
        map_units = self._map_units([each for each in mapped if each < self.old], [found[each] for each in whole])
        combining = [
            combine_scores(self.banks, units, opset=self.opset),
            combine_maps(self.banks, map_units, self.map_grid, opset=self.opset),
        ]
        combine = Combiner(self.banks, combining)
        raw = np.full(self.count, np.nan, dtype=np.float32)
        raw[positions] = combine.scores([found[each] for each in positions.tolist()])
        typical, highest = np.full(self.count, np.nan), np.full(self.count, np.nan, dtype=np.float32)
        maps = {each: combine.map(found[each]) for each in whole}
        for each, patches in maps.items():
            typical[each], highest[each] = np.median(patches), patches.max()
        for each in mapped:
            if each < self.old:
                typical[each], highest[each] = self._of_map(each, map_units)

        def patch_scores(position: int) -> NDArray[np.float32]:
            return combine.map(found[position])

        def finished_score(position: int) -> float:
            assert self.features is not None  # it is asked of further images alone
            return float(combine.scores([self.finished(self.features.embeddings(position - self.old))])[0])

        return Found(
            scores=GoodScores(raw=raw, typical=typical, highest=highest, patch_scores=patch_scores),
            finished_score=finished_score,
            combining=combining,
            units=units,
            kept=self._keep(calibrating, found, alone, maps),
        )

    def _column(self, found: dict[int, LevelScores], positions: Sequence[int], place: int) -> NDArray[np.float32]:
        return np.array([found[each].scores[place] for each in positions], dtype=np.float32)

    def _rescored(self, without: LeaveOut) -> dict[int, LevelScores]:
        """What is said of the images of the past that can be scored again."""
        place_of = dict(zip(self.again.tolist(), self.places.tolist(), strict=True))

        def patches(positions: Sequence[int]) -> list[NDArray[np.float32]]:
            places = [place_of[each] for each in positions]
            return [level.deciding[places] for level in self.kept.levels]

        held_out = [each for each in place_of if self.split.held_out[each]]
        found: dict[int, LevelScores] = {}
        for begin in range(0, len(held_out), _AT_ONCE):
            some = held_out[begin : begin + _AT_ONCE]
            found |= dict(zip(some, self.finished.of_patches(patches(some)), strict=True))
        owners = {each: int(self.groups[each]) for each in place_of if not self.split.held_out[each]}
        is_exact = [memory.is_exact for memory in self.memories]
        threads = self.task.settings.threads
        lever, images = self.kept.number("leverage"), self.kept.number("images")
        for position, scores in without.scores_of_patches(owners, patches, threads=threads, unseen=is_exact):
            place = place_of[position]
            now = np.clip(lever[place] * (images[place] / self.learned), 0.0, MOST_LEVERAGE)
            raised = np.where(is_exact, scores.scores, np.array(scores.scores) / np.sqrt(1.0 - now))
            found[position] = replace(scores, scores=tuple(map(float, raised)))
        return found

    def _of_new(self, positions: Sequence[int], without: LeaveOut):  # type: ignore[no-untyped-def]
        """What is said of further images by memories that have not seen them, as in a fit."""
        if self.features is None:
            return
        features = self.features

        def embeddings(position: int) -> Sequence[NDArray[np.float32]]:
            return features.embeddings(position - self.old)

        def finished(position: int) -> tuple[int, LevelScores]:
            image = embeddings(position)
            scores = self.finished(image)
            deciding = deciding_patches(scores, image, self.banks)
            return position, replace(scores, deciding=deciding, seen_scores=scores.scores)

        threads = self.task.settings.threads
        yield from map_in_order(finished, [each for each in positions if self.split.held_out[each]], threads=threads)
        owners = {each: int(self.groups[each]) for each in positions if not self.split.held_out[each]}
        yield from without.scores(owners, embeddings, threads=threads, keep=set(positions))

    def _alone(self, found: dict[int, LevelScores]) -> NDArray[np.float32]:
        """The scores by memories that know the others of an image's group, float32 [n, levels]."""
        alone = np.full((self.count, len(self.banks)), np.nan, dtype=np.float32)
        for position, scores in found.items():
            alone[position] = scores.scores
        alone[self.again] *= self.kept.number("alone")[self.places]
        sizes = Counter(self.groups.tolist())
        owners = {
            each: int(self.ids[each])
            for each in range(self.old, self.count)
            if sizes[int(self.groups[each])] > 1 and not self.split.held_out[each]
        }
        if owners and self.features is not None:
            features = self.features
            without = self._leave_out(self.ids, of_images=True)
            scored = without.scores(
                owners, lambda each: features.embeddings(each - self.old), threads=self.task.settings.threads
            )
            for position, scores in scored:
                alone[position] = scores.scores
        return alone

    def _mapped(self, calibrating: NDArray[np.int64]) -> list[int]:
        """Positions of images whose maps are looked at, or were."""
        known = set(self.again[self.kept.mapped[self.places]].tolist())
        could = [each for each in calibrating.tolist() if each >= self.old or each in known]
        return [could[each] for each in evenly_spaced(len(could), MAPPED).tolist()]

    def _numbers(self, name: str, positions: Sequence[int]) -> NDArray[np.float32]:
        place_of = dict(zip(self.again.tolist(), self.places.tolist(), strict=True))
        return self.kept.number(name)[[place_of[each] for each in positions]]

    def _map_units(self, old: Sequence[int], new: Sequence[LevelScores]) -> list[Unit]:
        """As in a fit, where of images of the past a median, a mean and a deviation stand for all patches."""
        units = []
        for place, level in enumerate(self.levels):
            patches = [scores.patch_scores[place] for scores in new]
            medians = [float(np.median(each)) for each in patches]
            means = [float(each.mean()) for each in patches]
            deviations = [float(each.std()) for each in patches]
            medians += self._numbers("median", old)[:, place].tolist()
            means += self._numbers("mean", old)[:, place].tolist()
            deviations += self._numbers("deviation", old)[:, place].tolist()
            spread = float(np.sqrt(np.mean(np.square(deviations)) + np.var(means))) / level.map_weight
            units.append(Unit(center=float(np.median(medians)), scale=spread or 1.0))
        return units

    def _of_map(self, position: int, units: Sequence[Unit]) -> tuple[float, float]:
        """The median and the highest value of the combined map of an image of the past."""
        found = []
        for name in ("median", "peak"):
            values = self._numbers(name, [position])[0]
            found.append(
                np.mean([(value - unit.center) / unit.scale for value, unit in zip(values, units, strict=True)])
            )
        return float(found[0]), float(found[1])

    def _keep(
        self,
        calibrating: NDArray[np.int64],
        found: dict[int, LevelScores],
        alone: NDArray[np.float32],
        maps: dict[int, NDArray[np.float32]],
    ) -> KeptPatches:
        """What is kept for the next update."""
        place_of = dict(zip(self.again.tolist(), self.places.tolist(), strict=True))
        keep = chosen_to_keep(calibrating).tolist()
        is_exact = np.array([memory.is_exact for memory in self.memories])
        numbers = []
        for each in keep:
            if each < self.old:
                before = self.kept.numbers[place_of[each]].copy()
                if not self.split.held_out[each]:
                    measured = np.array(leverage(found[each]), dtype=np.float32)
                    before[is_exact, NUMBERS.index("leverage")] = measured[is_exact]
                    before[is_exact, NUMBERS.index("images")] = self.learned
                numbers.append(before)
                continue
            ratios = alone[each] / np.maximum(np.array(found[each].scores, dtype=np.float32), LEAST_NORM)
            ratios = np.ones_like(ratios) if self.split.held_out[each] else ratios
            numbers.append(np.array(numbers_of(found[each], self.learned, ratios, maps.get(each)), dtype=np.float32))
        levels = []
        for place, (memory, kept) in enumerate(zip(self.memories, self.kept.levels, strict=True)):
            vectors = memory.rows.vectors
            reserve = reserve_of(memory.fitted, len(vectors))
            is_complete = memory.is_complete and len(reserve) == len(vectors)
            deciding = [
                kept.deciding[place_of[each]] if each < self.old else found[each].deciding[place] for each in keep
            ]
            levels.append(
                KeptLevel(
                    kept.coordinates,
                    merged(memory.batches),
                    vectors[reserve],
                    memory.positions[reserve],
                    is_complete,
                    is_complete and self.learned <= EXACT_IMAGES,
                    np.stack(deciding),
                )
            )
        return KeptPatches(
            levels,
            scored=np.array(keep, dtype=np.int64),
            mapped=np.array([self.kept.mapped[place_of[each]] if each < self.old else each in maps for each in keep]),
            numbers=np.stack(numbers),
        )
