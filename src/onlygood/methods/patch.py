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
    Rows,
    fit_memory,
    memories_without,
    patches_per_image,
    unit_of,
)
from onlygood.errors import SettingError
from onlygood.graph.fragments import join
from onlygood.graph.patch_head import (
    Bank,
    Unit,
    Windows,
    combine_maps,
    combine_scores,
    patch_embedding,
    patch_head,
    region_embedding,
)
from onlygood.graph.preprocess import preprocess
from onlygood.graph.runtime import open_session, run
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.methods.method import GoodScores, Method
from onlygood.methods.on_backbone import check_memory, patch_input_shape, squeezing_notes
from onlygood.parallel import map_in_order
from onlygood.progress import track
from onlygood.settings import FitSettings
from onlygood.survey import InputKind, Survey

# A window of the regions, as a share of a square with the area of the coarsest level's grid.
REGION_SIZE = 0.6
# Of regions in the map, where a level of patches has 1.
REGION_MAP_WEIGHT = 0.5
# A bank's unit is that of images left out alone unless they then score less than this share of what they score without
# their groups.
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
        return self.shape

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        reductions = {tap.reduction for taps, _ in self.tap_levels for tap in taps}
        multiple = math.lcm(self.backbone.card.multiple, *reductions, *(reduction for _, reduction in self.tap_levels))
        self.shape = patch_input_shape(self.backbone, kind.size, self.settings.input_size, multiple=multiple)
        check_memory(self.shape, self.settings.threads)
        self.notes = squeezing_notes(kind.size, self.shape)
        levels, pieces = [], []
        for number, (taps, reduction) in enumerate(self.tap_levels):
            # The coarsest, the last, is what describes an image as a whole.
            name = "embedding" if number == len(self.tap_levels) - 1 else f"embedding_{number}"
            grid = (math.ceil(self.shape[0] / reduction), math.ceil(self.shape[1] / reduction))
            top_patches = max(1, round(self.settings.top_fraction * grid[0] * grid[1]))
            levels.append(_Level(name, taps, grid, top_patches, LOCAL_SHRINKAGE))
            pieces.append(patch_embedding(taps, input_shape=self.shape, grid=grid, name=name, opset=self.opset))
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
            preprocess(
                self.backbone.card,
                input_shape=self.shape,
                dtype=kind.dtype,
                window=kind.window,
                opset=self.opset,
            ),
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
        assert self.settings.bank_size is not None  # settings fill it in
        self.banks = [
            Bank(
                name=f"{level.name}_bank",
                embedding=level.name,
                memory=fit_memory(rows, bank_size=self.settings.bank_size, seed=self.settings.seed),
                top_patches=level.top_patches,
            )
            for level, rows in zip(self.levels, self.rows, strict=True)
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
        self.units = [
            # Copies make one another look ordinary: where they are many, whole groups are left out after all.
            unit_of(one if np.median(one) >= LEAST_ALONE * np.median(group) else group)
            for one, group in zip(alone, grouped, strict=True)
        ]
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
        parts = self.finished(self.seen, position, without=None)
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

        Leave-one-out takes the rows of the picture's own group out of the finished memories, and whitens by the others.
        A memory made without that group might have kept a row or two more nearby, and its whitening would have seen
        more pictures, so the scores are, if anything, a little too high.
        """
        scorers: dict[int, _Scorer] = {}
        groups = np.array(self.groups)[~self.held_out]
        memories = [bank.memory for bank in self.banks]
        sizes = Counter(self.groups)
        # Augmentations of a picture are in its group, and would stay where the picture alone is left out.
        is_augmented = len(self.seen.sources) > self.seen.given
        for part, unseen in memories_without(memories, self.rows, groups, seed=self.settings.seed):
            banks = [replace(bank, memory=memory) for bank, memory in zip(self.banks, unseen, strict=True)]
            scorers.update(dict.fromkeys(part, _Scorer(banks, opset=self.opset)))

        def score(position: int) -> _Parts:
            if self.held_out[position]:
                return self.finished(self.seen, position, without=None)
            group = self.groups[position]
            is_alone = is_augmented or sizes[group] == 1
            image = None if is_alone else int(self.images[position])
            return scorers[group](self.seen, position, without=group, without_image=image)

        return score


def _embedding_of(level: _Level) -> str:
    """In words, such as "patches (stage2 + stage4)"."""
    return f"{'regions' if level.name == 'regions' else 'patches'} ({' + '.join(tap.name for tap in level.taps)})"


@dataclass(frozen=True)
class _Parts:
    """What each bank says of a picture.

    Attributes:
        scores: by each bank.
        scores_alone: by each bank, with the rows of other pictures of its group left in.
        patch_scores: float32 [h, w], by each bank; empty where they were let go.
    """

    scores: tuple[float, ...]
    scores_alone: tuple[float, ...]
    patch_scores: tuple[NDArray[np.float32], ...] = field(repr=False)


class _Scorer:
    """Scores of good pictures by the heads that go into the file, with rows left out. Thread-safe."""

    def __init__(self, banks: Sequence[Bank], *, opset: int) -> None:
        self.banks = banks
        self.outputs = [bank.score for bank in banks] + [bank.patch_scores for bank in banks]
        heads = join(*(patch_head(bank, excludable=True, opset=opset) for bank in banks), outputs=self.outputs)
        self.session = open_session(heads.SerializeToString(), threads=1)

    def __call__(self, seen: Survey, position: int, *, without: int | None, without_image: int | None = None) -> _Parts:
        """What the banks say of the picture at a position.

        Args:
            seen: the good pictures.
            position: of the picture.
            without: the group whose rows are left out; None for none.
            without_image: the image whose rows are left out for `scores_alone`; None if that is the whole group.
        """
        feeds: dict[str, NDArray[np.float32]] = {}
        embeddings = seen.embeddings(position)
        for bank, embedding in zip(self.banks, embeddings, strict=True):
            feeds[bank.embedding] = embedding[None]
            feeds[bank.norms] = bank.memory.row_norms(without=without)
            if np.isinf(feeds[bank.norms]).all():
                raise SettingError(
                    f"leave-one-out needs a memory with rows of at least 2 groups of pictures, got "
                    f"{len(feeds[bank.norms])} rows, all from the group of {seen.sources[position].name}: raise "
                    "bank_size or add other pictures"
                )
        values = run(self.session, self.outputs, feeds)
        count = len(self.banks)
        scores = scores_alone = tuple(float(value[0]) for value in values[:count])
        if without_image is not None:
            feeds |= {bank.norms: bank.memory.row_norms(without_image=without_image) for bank in self.banks}
            scores_alone = tuple(float(value[0]) for value in run(self.session, self.outputs[:count], feeds))
        return _Parts(
            scores=scores,
            scores_alone=scores_alone,
            patch_scores=tuple(value[0] for value in values[count:]),
        )


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
