"""Patch memory as a method of `fit`: from embeddings to memories, scores by leave-one-out, and a head."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order, one_blas_thread
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.backbones.backbone import Tap, load_backbone
from onlygood.detectors.base import GoodScores, Method
from onlygood.detectors.on_backbone import patches_per_image, sized_for_patches, squeezing_notes
from onlygood.detectors.patch.head import (
    Bank,
    Unit,
    Windows,
    combine_maps,
    combine_scores,
    patch_head,
    region_embedding,
)
from onlygood.detectors.patch.memory import (
    REGION_SHRINKAGE,
    Fitted,
    Rows,
    fit_memory,
    unit_of,
)
from onlygood.detectors.patch.scores import Combiner, LeaveOut, LevelScores, Scorer
from onlygood.detectors.whitening import PATCH_SHRINKAGE
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.graph.patches import patch_embedding
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.settings import FitSettings

# A window of the regions, as a share of a square with the area of the coarsest level's grid.
REGION_SIZE = 0.6
# How many times as many rows their memory has: an image has few regions, so these cost next to nothing.
REGION_ROWS = 4
# Of regions in the map, where a level of patches has 1.
REGION_MAP_WEIGHT = 0.5
# Units come from images left out alone. Copies make one another look ordinary, so a score is at least this share of the
# one without the image's whole group.
LEAST_ALONE = 0.5
# Good images whose maps are looked at to learn which levels are ordinary.
MAPPED = 200
# Patch scores of further images are kept up to so many bytes, and computed a second time beyond.
KEPT_BYTES = 100_000_000


@dataclass(frozen=True)
class _Level:
    """One memory: the value that it remembers, on which grid, and how.

    Attributes:
        name: of the embedding in the graph.
        taps: of the backbone.
        grid: height and width in patches, or in windows.
        top_patches: how many of the highest patch scores count.
        shrinkage: of the whitening.
    """

    name: str
    taps: tuple[Tap, ...]
    grid: tuple[int, int]
    top_patches: int
    shrinkage: float


class PatchMethod(Method):
    """`--method patch`. What it computes is in `onlygood.detectors.patch.head`."""

    def __init__(self, settings: FitSettings, images: int, *, show_progress: bool) -> None:
        self.settings = settings
        self.images = images
        self.show_progress = show_progress
        self.backbone = load_backbone(settings.backbone)
        self.tap_levels = self.backbone.card.choose_levels(settings.taps)
        self.trunk = cut_trunk(self.backbone, list(dict.fromkeys(tap for taps, _ in self.tap_levels for tap in taps)))
        self.opset = opset_of(self.trunk)

    @property
    def input_shape(self) -> tuple[int, int]:  # noqa: D102
        return self.sized.input_shape

    def bank_size(self, level: int) -> int:
        """Most rows of the memory of a level."""
        assert self.settings.bank_size is not None  # settings fill it in
        return self.settings.bank_size * (REGION_ROWS if self.levels[level].name == "regions" else 1)

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        reductions = {tap.reduction for taps, _ in self.tap_levels for tap in taps}
        multiple = math.lcm(self.backbone.card.multiple, *reductions, *(reduction for _, reduction in self.tap_levels))
        self.sized = sized_for_patches(self.backbone, kind, self.settings, multiple=multiple)
        self.notes = squeezing_notes(kind.size, self.input_shape)
        levels, pieces = [], []
        for number, (taps, reduction) in enumerate(self.tap_levels):
            # The coarsest, the last, is what describes an image as a whole.
            name = "embedding" if number == len(self.tap_levels) - 1 else f"embedding_{number}"
            grid = self.sized.grid(reduction)
            top_patches = max(1, round(self.settings.top_fraction * grid[0] * grid[1]))
            levels.append(_Level(name, taps, grid, top_patches, PATCH_SHRINKAGE))
            pieces.append(patch_embedding(taps, input_shape=self.input_shape, grid=grid, name=name, opset=self.opset))
        self.map_grid = max((level.grid for level in levels), key=math.prod)
        last = levels[-1]
        rows, columns = (Windows.along(side, REGION_SIZE * math.sqrt(math.prod(last.grid))) for side in last.grid)
        self.region_windows = rows, columns
        levels.append(_Level("regions", last.taps, (rows.count, columns.count), 1, REGION_SHRINKAGE))
        pieces.append(region_embedding(last.name, rows, columns, name="regions", opset=self.opset))
        # The first describes the whole image: see `Method`.
        self.levels = [last, *levels[: len(levels) - 2], levels[-1]]
        self.embeddings = tuple(level.name for level in self.levels)
        self.rows_each = tuple(patches_per_image(self.images, math.prod(level.grid)) for level in self.levels)
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.trunk,
            *pieces,
        ]

    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        owners = np.array(groups)
        self.seen, self.groups, self.held_out = seen, groups, held_out
        # Copies are one image: the position of the first with the same pixels.
        firsts: dict[str, int] = {}
        self.image_ids = np.array([firsts.setdefault(digest, place) for place, digest in enumerate(seen.digests)])
        self.rows = []
        for level, sample, images in zip(self.levels, seen.samples, seen.sample_images, strict=True):
            fitted = ~held_out[images]
            self.rows.append(
                Rows(sample[fitted], owners[images[fitted]], self.image_ids[images[fitted]], level.shrinkage)
            )

        def fit_level(level: int) -> Fitted:
            return fit_memory(self.rows[level], bank_size=self.bank_size(level), seed=self.settings.seed)

        with one_blas_thread():
            self.fitted = list(map_in_order(fit_level, range(len(self.levels)), threads=self.settings.threads))
        self.banks = [
            Bank(f"{level.name}_bank", level.name, each.memory, level.top_patches)
            for level, each in zip(self.levels, self.fitted, strict=True)
        ]

    def good_scores(self) -> GoodScores:  # noqa: D102
        self.finished = Scorer(self.banks, opset=self.opset)
        count = self.seen.given
        calibrating = np.flatnonzero(self.held_out) if self.held_out.any() else np.arange(count)
        mapped = set(calibrating[evenly_spaced(len(calibrating), MAPPED)].tolist())
        kept = mapped.union(range(KEPT_BYTES // (4 * sum(math.prod(level.grid) for level in self.levels))))
        with one_blas_thread():
            self.without_groups = self._leave_out(self.rows)
            found: dict[int, LevelScores] = {}
            unseen = track(self._unseen(range(count)), total=count, description="calibrating", show=self.show_progress)
            for position, part in unseen:
                found[position] = part if position in kept else replace(part, patch_scores=())
            parts = [found[position] for position in range(count)]
            scores_alone = self._scores_alone()
        # In which units the banks' scores are compared: by images that were fitted, so that those held out stay unseen.
        fitted = np.flatnonzero(~self.held_out[:count]).tolist()
        grouped = np.array([parts[each].scores for each in fitted], dtype=np.float32).T
        alone = np.array([scores_alone.get(each, parts[each].scores) for each in fitted], dtype=np.float32).T
        self.units = [unit_of(scores) for scores in np.maximum(alone, LEAST_ALONE * grouped)]
        self.combining = [
            combine_scores(self.banks, self.units, opset=self.opset),
            combine_maps(
                self.banks, self._map_units([parts[each] for each in sorted(mapped)]), self.map_grid, opset=self.opset
            ),
        ]
        self.combine = combine = Combiner(self.banks, self.combining)
        typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
        for position in sorted(mapped):
            patches = combine.map(parts[position])
            typical[position], highest[position] = np.median(patches), patches.max()

        def patch_scores(position: int) -> NDArray[np.float32]:
            if position in kept:
                return combine.map(parts[position])
            with one_blas_thread():
                ((_, again),) = self._unseen([position])
            return combine.map(again)

        return GoodScores(raw=combine.scores(parts), typical=typical, highest=highest, patch_scores=patch_scores)

    def finished_score(self, position: int) -> float:  # noqa: D102
        parts = self.finished(self.seen.embeddings(position))
        return float(self.combine.scores([parts])[0])

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [*(patch_head(bank, opset=self.opset) for bank in self.banks), *self.combining]

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {
            "backbone": self.backbone.card.to_dict(),
            "patch": {
                "levels": [
                    {
                        "embedding_of": _embedding_of(level),
                        "taps": [tap.name for tap in level.taps],
                        "grid": list(level.grid),
                        "top_patches": level.top_patches,
                        "memory_bank": list(bank.memory.memory_bank.shape),
                        "center": float(f"{unit.center:.6g}"),
                        "scale": float(f"{unit.scale:.6g}"),
                    }
                    for level, bank, unit in zip(self.levels, self.banks, self.units, strict=True)
                ],
                "region_size": [windows.size for windows in self.region_windows],
            },
        }

    def _map_units(self, parts: Sequence[LevelScores]) -> list[Unit]:
        """In which units the banks' patch scores are added up: those in which patches of good images vary equally,
        and regions, which are too coarse to mark a defect's border, half as much.
        """
        units = []
        for number in range(len(self.banks)):
            patches = np.concatenate([part.patch_scores[number].ravel() for part in parts])
            weight = REGION_MAP_WEIGHT if self.levels[number].name == "regions" else 1.0
            spread = float(np.std(patches, dtype=np.float64)) / weight
            units.append(Unit(center=float(np.median(patches)), scale=spread or 1.0))
        return units

    def _unseen(self, positions: Sequence[int]) -> Iterator[tuple[int, LevelScores]]:
        """Positions of good images, in any order, and what is said of each by memories that have not seen it.

        Of one held out it is what the finished memories say, of another what memories without its group say. These know
        a few images less, so the scores are, if anything, a little too high.
        """
        embeddings, threads = self.seen.scored.embeddings, self.settings.threads

        def finished(position: int) -> tuple[int, LevelScores]:
            return position, self.finished(embeddings(position))

        yield from map_in_order(finished, [each for each in positions if self.held_out[each]], threads=threads)
        owners = {each: self.groups[each] for each in positions if not self.held_out[each]}
        yield from self.without_groups.scores(owners, embeddings, threads=threads)

    def _scores_alone(self) -> dict[int, tuple[float, ...]]:
        """By position, of images in groups of several, the scores by memories that know the others of the group."""
        count = self.seen.given
        # Augmentations of an image are in its group, and would stay where the image alone is left out.
        if len(self.seen.sources) > count:
            return {}
        sizes = Counter(self.groups)
        owners = {
            position: int(self.image_ids[position])
            for position in range(count)
            if sizes[self.groups[position]] > 1 and not self.held_out[position]
        }
        if not owners:
            return {}
        without = self._leave_out([replace(each, owners=each.images) for each in self.rows])
        unseen = without.scores(owners, self.seen.scored.embeddings, threads=self.settings.threads)
        return {position: part.scores for position, part in unseen}

    def _leave_out(self, rows: Sequence[Rows]) -> LeaveOut:
        sizes = [self.bank_size(level) for level in range(len(self.levels))]
        return LeaveOut(self.fitted, rows, self.banks, bank_sizes=sizes, seed=self.settings.seed, opset=self.opset)


def _embedding_of(level: _Level) -> str:
    """In words, such as "patches (stage2 + stage4)"."""
    return f"{'regions' if level.name == 'regions' else 'patches'} ({' + '.join(tap.name for tap in level.taps)})"
