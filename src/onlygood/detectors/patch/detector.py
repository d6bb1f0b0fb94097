"""`patch`: from embeddings of patches to memories of them, at several levels, and a head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order, one_blas_thread
from onlygood._progress import track
from onlygood.backbones.backbone import Tap, load_backbone
from onlygood.detectors.base import Detector, Embedding, FitTask, Learned, Past, Split
from onlygood.detectors.on_backbone import patches_per_image, sized_for_patches, squeezing_notes
from onlygood.detectors.patch.good_scores import Found, GoodImages, LevelMemory, score_good_images
from onlygood.detectors.patch.head import Bank, Unit, Windows, patch_head, region_embedding
from onlygood.detectors.patch.memory import REGION_SHRINKAGE, Fitted, Rows, fit_memory
from onlygood.detectors.patch.settings import Patch
from onlygood.detectors.patch.update import LevelOfUpdate, PatchUpdate
from onlygood.detectors.whitening import PATCH_SHRINKAGE
from onlygood.features.extraction import Features
from onlygood.graph.patches import patch_embedding
from onlygood.graph.trunk import cut_trunk, opset_of

# A window of the regions, as a share of a square with the area of the coarsest level's grid.
REGION_SIZE = 0.6
# How many times as many rows their memory has: an image has few regions, so these cost little.
REGION_ROWS = 4
# Of regions in the map, where a level of patches has 1: they are too coarse to mark a defect's border.
REGION_MAP_WEIGHT = 0.5


@dataclass(frozen=True)
class _Level:
    """One memory: the value that it remembers, on which grid, and how.

    Attributes:
        name: of the embedding in the graph.
        of: what its vectors describe: "patches" or "regions".
        taps: of the backbone.
        grid: height and width in patches, or in windows.
        top_patches: how many of the highest patch scores count.
        shrinkage: of the whitening.
        bank_size: most rows of its memory.
        map_weight: of its patch scores in the map.
    """

    name: str
    of: str
    taps: tuple[Tap, ...]
    grid: tuple[int, int]
    top_patches: int
    shrinkage: float
    bank_size: int
    map_weight: float


class PatchDetector(Detector):
    """The detector of `onlygood.Patch`. What it computes is in `onlygood.detectors.patch.head`.

    Args:
        settings: of the method.
        task: of the fit.
    """

    def __init__(self, settings: Patch, task: FitTask) -> None:
        self.settings = settings
        self.task = task
        self.backbone = load_backbone(settings.backbone)
        tap_levels = self.backbone.card.choose_levels(settings.taps)
        self.trunk = cut_trunk(self.backbone, list(dict.fromkeys(tap for taps, _ in tap_levels for tap in taps)))
        self.opset = opset_of(self.trunk)
        reductions = {tap.reduction for taps, _ in tap_levels for tap in taps}
        multiple = math.lcm(self.backbone.card.multiple, *reductions, *(reduction for _, reduction in tap_levels))
        self.sized = sized_for_patches(
            self.backbone, task.kind, settings, multiple=multiple, threads=task.settings.threads
        )
        levels = []
        for number, (taps, reduction) in enumerate(tap_levels):
            # The coarsest, the last, is what describes an image as a whole.
            name = "embedding" if number == len(tap_levels) - 1 else f"embedding_{number}"
            grid = self.sized.grid(reduction)
            top_patches = max(1, round(settings.top_fraction * task.kind.looked_at * math.prod(grid)))
            levels.append(_Level(name, "patches", taps, grid, top_patches, PATCH_SHRINKAGE, settings.bank_size, 1.0))
        self.map_grid = max((level.grid for level in levels), key=math.prod)
        last = levels[-1]
        rows, columns = (Windows.along(side, REGION_SIZE * math.sqrt(math.prod(last.grid))) for side in last.grid)
        self.region_windows = rows, columns
        regions = _Level(
            name="regions",
            of="regions",
            taps=last.taps,
            grid=(rows.count, columns.count),
            top_patches=1,
            shrinkage=REGION_SHRINKAGE,
            bank_size=REGION_ROWS * settings.bank_size,
            map_weight=REGION_MAP_WEIGHT,
        )
        self.patch_levels = levels
        # The first describes the whole image: see `Embedding`.
        self.levels = [last, *levels[:-1], regions]

    @property
    def embedding(self) -> Embedding:  # noqa: D102
        shape, opset, has_mask = self.sized.input_shape, self.opset, self.task.kind.has_mask
        taps = list(dict.fromkeys(tap for level in self.patch_levels for tap in level.taps))
        to_taps, fused = self.sized.to_taps(self.task.kind, self.trunk, taps, opset=opset)
        patches = [
            patch_embedding(
                [fused[tap] for tap in level.taps],
                input_shape=shape,
                grid=level.grid,
                name=level.name,
                has_mask=has_mask,
                opset=opset,
            )
            for level in self.patch_levels
        ]
        regions = region_embedding(
            self.patch_levels[-1].name,
            *self.region_windows,
            name=self.levels[-1].name,
            has_mask=has_mask,
            opset=opset,
        )
        return Embedding(
            subgraphs=[*to_taps, *patches, regions],
            outputs=tuple(level.name for level in self.levels),
            input_shape=shape,
            rows_each=tuple(patches_per_image(self.task.images, math.prod(level.grid)) for level in self.levels),
            opset=opset,
        )

    def learn(self, features: Features, split: Split) -> Learned:  # noqa: D102
        good = GoodImages.of(features, split)
        rows = self._rows(good)
        fitted = self._fit(rows)
        banks = [
            Bank(f"{level.name}_bank", level.name, each.memory, level.top_patches, self.task.kind.has_mask)
            for level, each in zip(self.levels, fitted, strict=True)
        ]
        memories = [
            LevelMemory(known, images[~split.held_out[images]], memory, bank, level.bank_size, level.map_weight)
            for known, images, memory, bank, level in zip(
                rows, features.sample_images, fitted, banks, self.levels, strict=True
            )
        ]
        found = score_good_images(memories, good, self.task, map_grid=self.map_grid, opset=self.opset)
        return self._learned(banks, found)

    def update(self, past: Past, features: Features | None, split: Split) -> Learned:  # noqa: D102
        levels = [
            LevelOfUpdate(
                name=f"{level.name}_bank",
                embedding=level.name,
                width=sum(tap.channels for tap in level.taps),
                rows_each=each,
                top_patches=level.top_patches,
                shrinkage=level.shrinkage,
                bank_size=level.bank_size,
                map_weight=level.map_weight,
            )
            for level, each in zip(self.levels, self.embedding.rows_each, strict=True)
        ]
        updated = PatchUpdate(levels, past, features, split, self.task, map_grid=self.map_grid, opset=self.opset)
        found = updated.run()
        return replace(self._learned(updated.banks, found), rescored=updated.rescored)

    def _learned(self, banks: Sequence[Bank], found: Found) -> Learned:
        """What is known of memories and of the good images' scores, as the contract has it."""
        return Learned(
            head=[*(patch_head(bank, opset=self.opset) for bank in banks), *found.combining],
            scores=found.scores,
            finished_score=found.finished_score,
            description="memory banks of "
            + ", ".join(
                f"{' x '.join(map(str, bank.memory.memory_bank.shape))} of {_embedding_of(level)}"
                for level, bank in zip(self.levels, banks, strict=True)
            ),
            facts={
                "levels": [
                    _facts(level, bank, unit) for level, bank, unit in zip(self.levels, banks, found.units, strict=True)
                ],
                "region_size": [windows.size for windows in self.region_windows],
            },
            backbone=self.backbone.card,
            notes=squeezing_notes(self.task.kind.size, self.sized.input_shape),
            kept=None if found.kept is None else found.kept.to_arrays(),
        )

    def _rows(self, good: GoodImages) -> list[Rows]:
        """The sampled patches of the images to learn from, of each level, with the group and the image of each."""
        features, owners = good.features, np.array(good.split.groups)
        rows = []
        for level, sample, images in zip(self.levels, features.samples, features.sample_images, strict=True):
            learned = images[~good.split.held_out[images]]
            patches: NDArray[np.float32] = sample[~good.split.held_out[images]]
            rows.append(Rows(patches, owners[learned], good.image_ids[learned], level.shrinkage))
        return rows

    def _fit(self, rows: Sequence[Rows]) -> list[Fitted]:
        """The memory of each level."""

        def fit_level(level: int) -> Fitted:
            return fit_memory(rows[level], bank_size=self.levels[level].bank_size, seed=self.task.settings.seed)

        count = len(self.levels)
        with one_blas_thread():
            fitted = map_in_order(fit_level, range(count), threads=self.task.settings.threads)
            return list(track(fitted, total=count, description="remembering", show=self.task.show_progress))


def _facts(level: _Level, bank: Bank, unit: Unit) -> dict[str, object]:
    """What the metadata say of a level."""
    return {
        "embedding_of": _embedding_of(level),
        "taps": [tap.name for tap in level.taps],
        "grid": list(level.grid),
        "top_patches": level.top_patches,
        "memory_bank": list(bank.memory.memory_bank.shape),
        "center": float(f"{unit.center:.6g}"),
        "scale": float(f"{unit.scale:.6g}"),
    }


def _embedding_of(level: _Level) -> str:
    """In words, such as "patches (stage2 + stage4)"."""
    return f"{level.of} ({' + '.join(tap.name for tap in level.taps)})"
