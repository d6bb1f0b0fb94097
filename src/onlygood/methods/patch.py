"""Patch memory as a method of `fit`: from embeddings to memories, scores by leave-one-out, and a head."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbone import Tap, load_backbone
from onlygood.detectors.patch import (
    LOCAL_SHRINKAGE,
    REGION_SHRINKAGE,
    Fitted,
    Refillable,
    Rows,
    fit_memory,
    patches_per_image,
    unit_of,
)
from onlygood.graph.fragments import join
from onlygood.graph.patch_head import (
    Bank,
    Memory,
    Unit,
    Windows,
    combine_maps,
    combine_scores,
    patch_embedding,
    patch_head,
    region_embedding,
)
from onlygood.graph.runtime import open_session, run
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.methods.method import GoodScores, Method
from onlygood.methods.on_backbone import sized_for_patches, squeezing_notes
from onlygood.parallel import map_in_order, one_blas_thread
from onlygood.progress import track
from onlygood.settings import FitSettings
from onlygood.splits import folds_of_groups
from onlygood.survey import InputKind, Survey

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
    """`--method patch`. What it computes is in `onlygood.graph.patch_head`."""

    def __init__(self, settings: FitSettings, pictures: int, *, show_progress: bool) -> None:
        self.settings = settings
        self.pictures = pictures
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
            levels.append(_Level(name, taps, grid, top_patches, LOCAL_SHRINKAGE))
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
        self.rows_each = tuple(patches_per_image(self.pictures, math.prod(level.grid)) for level in self.levels)
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.trunk,
            *pieces,
        ]

    def learn(self, seen: Survey, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        owners = np.array(groups)
        self.seen, self.groups, self.held_out = seen, groups, held_out
        # Copies are one image: the position of the first with the same pixels.
        firsts: dict[str, int] = {}
        self.images = np.array([firsts.setdefault(digest, place) for place, digest in enumerate(seen.digests)])
        self.rows = []
        for level, sample, pictures in zip(self.levels, seen.samples, seen.sample_pictures, strict=True):
            fitted = ~held_out[pictures]
            self.rows.append(
                Rows(sample[fitted], owners[pictures[fitted]], self.images[pictures[fitted]], level.shrinkage)
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
        self.finished = _Scorer(self.banks, opset=self.opset)
        score = self._unseeing()
        count = self.seen.given
        calibrating = np.flatnonzero(self.held_out) if self.held_out.any() else np.arange(count)
        mapped = set(calibrating[np.unique(np.linspace(0, len(calibrating) - 1, MAPPED).astype(int))].tolist())

        def of_picture(position: int) -> _Parts:
            parts = score(position)
            return parts if position in mapped else replace(parts, patch_scores=())

        found = map_in_order(of_picture, range(count), threads=self.settings.threads)
        parts = list(track(found, total=count, description="calibrating", show=self.show_progress))
        # In which units the banks' scores are compared: by images that were fitted, so that those held out stay unseen.
        fitted = [part for part, held in zip(parts, self.held_out[:count], strict=True) if not held]
        alone = np.array([part.scores_alone for part in fitted], dtype=np.float32).T
        grouped = np.array([part.scores for part in fitted], dtype=np.float32).T
        self.units = [unit_of(scores) for scores in np.maximum(alone, LEAST_ALONE * grouped)]
        self.combining = [
            combine_scores(self.banks, self.units, opset=self.opset),
            combine_maps(self.banks, self._map_units(parts), self.map_grid, opset=self.opset),
        ]
        self.combine = combine = _Combiner(self.banks, self.combining)
        typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
        for position in sorted(mapped):
            patches = combine.map(parts[position])
            typical[position], highest[position] = np.median(patches), patches.max()
        return GoodScores(
            raw=combine.scores(parts),
            typical=typical,
            highest=highest,
            patch_scores=lambda position: combine.map(score(position)),
        )

    def finished_score(self, position: int) -> float:  # noqa: D102
        parts = self.finished(self.seen.embeddings(position))
        return float(self.combine.scores([parts])[0])

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [*(patch_head(bank, opset=self.opset) for bank in self.banks), *self.combining]

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {
            "backbone": self.backbone.card.to_json(),
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

    def _map_units(self, parts: Sequence[_Parts]) -> list[Unit]:
        """In which units the banks' patch scores are added up: those in which patches of good pictures vary equally,
        and regions, which are too coarse to mark a defect's border, half as much.
        """
        units = []
        for number in range(len(self.banks)):
            patches = np.concatenate([part.patch_scores[number].ravel() for part in parts if part.patch_scores])
            weight = REGION_MAP_WEIGHT if self.levels[number].name == "regions" else 1.0
            spread = float(np.std(patches, dtype=np.float64)) / weight
            units.append(Unit(center=float(np.median(patches)), scale=spread or 1.0))
        return units

    def _unseeing(self) -> Callable[[int], _Parts]:
        """What scores the good picture of a position: one held out as it is, another by memories without its group.

        These memories are without a tenth of all groups, so they know fewer pictures than the finished ones, and the
        scores are, if anything, a little too high.
        """
        fitted = ~self.held_out
        by_group = self._scorers_without(self.rows, np.array(self.groups)[fitted])
        sizes = Counter(self.groups)
        # Augmentations of a picture are in its group, and would stay where the picture alone is left out.
        is_augmented = len(self.seen.sources) > self.seen.given
        among_others = np.array([not is_augmented and sizes[group] > 1 for group in self.groups]) & fitted
        by_image: dict[int, _Scorer] = {}
        if among_others.any():
            rows = [replace(each, owners=each.images) for each in self.rows]
            by_image = self._scorers_without(rows, self.images[fitted])

        def score(position: int) -> _Parts:
            embeddings = self.seen.scored.embeddings(position)
            if self.held_out[position]:
                return self.finished(embeddings)
            parts = by_group[self.groups[position]](embeddings)
            if not among_others[position]:
                return parts
            return replace(parts, scores_alone=by_image[int(self.images[position])].scores(embeddings))

        return score

    def _scorers_without(self, rows: Sequence[Rows], owners: NDArray[np.int64]) -> dict[int, _Scorer]:
        """By owner, what scores its images: memories that have never seen them."""
        scorers: dict[int, _Scorer] = {}
        parts = folds_of_groups(owners, seed=self.settings.seed)

        def without(number: int) -> list[Memory]:
            return [level.without(number) for level in levels]

        with one_blas_thread():
            levels = [
                Refillable(fitted, known, parts, bank_size=self.bank_size(level), seed=self.settings.seed)
                for level, (fitted, known) in enumerate(zip(self.fitted, rows, strict=True))
            ]
            unseen = map_in_order(without, range(len(parts)), threads=self.settings.threads)
            for part, memories in zip(parts, unseen, strict=True):
                banks = [replace(bank, memory=memory) for bank, memory in zip(self.banks, memories, strict=True)]
                scorers.update(dict.fromkeys(part.tolist(), _Scorer(banks, opset=self.opset)))
        return scorers


def _embedding_of(level: _Level) -> str:
    """In words, such as "patches (stage2 + stage4)"."""
    return f"{'regions' if level.name == 'regions' else 'patches'} ({' + '.join(tap.name for tap in level.taps)})"


@dataclass(frozen=True)
class _Parts:
    """What each bank says of a picture.

    Attributes:
        scores: by each bank.
        scores_alone: by each bank, by memories that know the other pictures of its group.
        patch_scores: float32 [h, w], by each bank; empty where they were let go.
    """

    scores: tuple[float, ...]
    scores_alone: tuple[float, ...]
    patch_scores: tuple[NDArray[np.float32], ...] = field(repr=False)


class _Scorer:
    """Scores of good pictures by heads as they go into the file. Thread-safe."""

    def __init__(self, banks: Sequence[Bank], *, opset: int) -> None:
        self.banks = banks
        self.outputs = [bank.score for bank in banks] + [bank.patch_scores for bank in banks]
        heads = join(*(patch_head(bank, opset=opset) for bank in banks), outputs=self.outputs)
        self.session = open_session(heads.SerializeToString(), threads=1)

    def __call__(self, embeddings: Sequence[NDArray[np.float32]]) -> _Parts:
        """What the banks say of a picture with these embeddings, float32 [h, w, d], one for each bank."""
        count = len(self.banks)
        values = run(self.session, self.outputs, self._feeds(embeddings))
        scores = tuple(float(value[0]) for value in values[:count])
        return _Parts(scores=scores, scores_alone=scores, patch_scores=tuple(value[0] for value in values[count:]))

    def scores(self, embeddings: Sequence[NDArray[np.float32]]) -> tuple[float, ...]:
        """The scores alone."""
        outputs = self.outputs[: len(self.banks)]
        return tuple(float(value[0]) for value in run(self.session, outputs, self._feeds(embeddings)))

    def _feeds(self, embeddings: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {bank.embedding: embedding[None] for bank, embedding in zip(self.banks, embeddings, strict=True)}


class _Combiner:
    """Raw scores and maps from what the banks say, by the pieces of graph that go into the file. Thread-safe."""

    def __init__(self, banks: Sequence[Bank], pieces: Sequence[onnx.ModelProto]) -> None:
        self.banks = banks
        scores, maps = pieces
        self.score_session = open_session(join(scores, outputs=["raw_score"]).SerializeToString(), threads=1)
        self.map_session = open_session(join(maps, outputs=["patch_scores"]).SerializeToString(), threads=1)

    def scores(self, parts: Sequence[_Parts]) -> NDArray[np.float32]:
        """Raw scores, float32 [n]."""
        columns = np.array([part.scores for part in parts], dtype=np.float32).T
        feeds = {bank.score: column for bank, column in zip(self.banks, columns, strict=True)}
        raw: NDArray[np.float32] = run(self.score_session, ["raw_score"], feeds)[0]
        return raw

    def map(self, parts: _Parts) -> NDArray[np.float32]:
        """Patch scores, float32 [h, w]."""
        feeds = {bank.patch_scores: each[None] for bank, each in zip(self.banks, parts.patch_scores, strict=True)}
        patches: NDArray[np.float32] = run(self.map_session, ["patch_scores"], feeds)[0][0]
        return patches
