"""Detectors on one vector an image, the backbone's pooled output. What they learn is in `pooled_heads`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.base import Detector, Embedding, FitTask, GoodScores, Learned, Past, Split
from onlygood.detectors.on_backbone import sized_backbone
from onlygood.detectors.pooled_heads import PooledHead, PooledHeads, TemplateHeads, pooled_description
from onlygood.detectors.setting_groups import PooledSettings, TemplateSettings
from onlygood.detectors.template_scores import TemplateScore
from onlygood.features.extraction import Features
from onlygood.graph.pooled import looked_at_embedding, to_nchw, to_nhwc
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import in_trunk, join
from onlygood.graph.trunk import cut_trunk, opset_of

# Good images whose maps are looked at to learn which levels are ordinary; their feature maps are large.
MAPPED = 200
# What the backbone's last maps are called where they come from `embedding` again.
MAPS = "last_maps"


class PooledDetector(Detector):
    """Compares one vector an image; a subclass says with what.

    Args:
        settings: of the method.
        task: of the fit.
    """

    def __init__(self, settings: PooledSettings, task: FitTask) -> None:
        self.settings = settings
        self.task = task
        self.sized = sized_backbone(settings)
        self.tap = self.sized.backbone.card.last_tap(settings.taps)
        self.trunk = cut_trunk(self.sized.backbone, [self.tap])
        self.opset = opset_of(self.trunk)

    @abstractmethod
    def heads(self, pooled: NDArray[np.float32]) -> PooledHeads:
        """What is learned from pooled vectors of good images, float32 [n, c]."""

    @property
    def embedding(self) -> Embedding:  # noqa: D102
        kind = self.task.kind
        to_taps, fused = self.sized.to_taps(kind, self.trunk, [self.tap], is_mean=True, opset=self.opset)
        value = in_trunk(fused[self.tap].name)
        return Embedding(
            subgraphs=[
                *to_taps,
                looked_at_embedding(value, self.sized.grid(self.tap.reduction), opset=self.opset)
                if kind.has_mask
                else to_nhwc(value, opset=self.opset),
            ],
            input_shape=self.sized.input_shape,
            opset=self.opset,
        )

    def learn(self, features: Features, split: Split) -> Learned:  # noqa: D102
        is_plain = len(features.sources) == features.given and features.as_given is None and features.tiles == 1
        vectors = _Vectors(features.image_vectors, features.scored.image_vectors, features.given, features.scored)
        return self._learned(vectors, split, is_kept=is_plain)

    def update(self, past: Past, features: Features | None, split: Split) -> Learned:
        """As a fit to all images, whose vectors are all that it needs but for their maps."""
        known = past.arrays["vectors"].astype(np.float32)
        if known.shape != (len(past.batches), self.tap.channels):
            raise ValueError("vectors that do not fit together")
        of_maps = past.arrays["maps"].astype(np.float32)
        if of_maps.shape != (len(known), 3):
            raise ValueError("numbers of maps that do not fit together")
        stays = known[past.staying]
        everything = stays if features is None else np.concatenate([stays, features.image_vectors])
        vectors = _Vectors(everything, everything, len(everything), features, len(stays), of_maps[past.staying])
        return self._learned(vectors, split, is_kept=True)

    def _learned(self, vectors: _Vectors, split: Split, *, is_kept: bool) -> Learned:
        heads = self.heads(vectors.learned)
        unseeing = _LeaveOut(heads, split, seed=self.task.settings.seed)
        # Distances of unit vectors may all be far below 1.
        ordinary = unseeing.finished.scores(vectors.learned[split.fitted][:MAPPED])
        has_templates = unseeing.neighbors > 0
        counts = {"templates": unseeing.finished.templates, "num_neighbors": unseeing.neighbors}
        scores = self._good_scores(vectors, split, unseeing)
        is_mapped = np.isfinite(scores.typical)
        of_maps = np.stack([is_mapped, *(np.where(is_mapped, each, 0.0) for each in (scores.typical, scores.highest))])
        return Learned(
            head=[to_nchw(MAPS, opset=self.opset), *unseeing.finished.subgraphs],
            scores=scores,
            finished_score=lambda position: float(unseeing.finished.scores(vectors.learned[[position]])[0]),
            least_scale=float(np.median(ordinary)) or 1.0,
            description=pooled_description(
                self.tap.name,
                self.settings.metric,
                neighbors=unseeing.neighbors,
                templates=unseeing.finished.templates,
            ),
            facts={"tap": self.tap.name, "metric": self.settings.metric, **(counts if has_templates else {})},
            backbone=self.sized.backbone.card,
            kept={"vectors": vectors.learned, "maps": of_maps.T.astype(np.float32)} if is_kept else None,
        )

    def _good_scores(self, vectors: _Vectors, split: Split, unseeing: _LeaveOut) -> GoodScores:
        count, threads, begin = vectors.count, self.task.settings.threads, vectors.begin
        raw = np.empty(count, dtype=np.float32)
        typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
        if vectors.of_maps is not None:
            known = np.flatnonzero(vectors.of_maps[:, 0])
            typical[known], highest[known] = vectors.of_maps[known, 1], vectors.of_maps[known, 2]
        # Of a past image whose map was looked at, the numbers are known; of another, nothing is.
        calibrating = split.calibrating(count)
        could = calibrating[(calibrating >= begin) | np.isfinite(typical[calibrating])]
        tiles = 1 if vectors.features is None else vectors.features.tiles
        mapped = set(could[evenly_spaced(len(could), MAPPED * tiles)].tolist())
        forgotten = np.setdiff1d(np.arange(begin), list(mapped))
        typical[forgotten], highest[forgotten] = np.nan, np.nan
        scored_by: dict[int, _Mapper] = {}
        parts = track(unseeing, total=len(unseeing), description="calibrating", show=self.task.show_progress)
        for part, head in parts:
            members = part[part < count]
            raw[members] = head.scores(vectors.scored[members])
            further = [position for position in members.tolist() if position >= begin]
            if not further or vectors.features is None:
                continue
            mapper = _Mapper(vectors.features, head, begin=begin, opset=self.opset)
            scored_by.update(dict.fromkeys(further, mapper))
            shown = [position for position in further if position in mapped]
            maps = map_in_order(mapper, shown, threads=threads)
            for position, patches in zip(shown, maps, strict=True):
                typical[position], highest[position] = np.median(patches), patches.max()
        return GoodScores(
            raw=raw,
            typical=typical,
            highest=highest,
            patch_scores=lambda position: scored_by[position](position),
        )


@dataclass(frozen=True)
class _Vectors:
    """The pooled vectors of good images, of which the first may be all that is left of them.

    Attributes:
        learned: float32 [n, c], those that are learned from.
        scored: float32 [m, c], those that are scored; the first `count` of as many or fewer images.
        count: how many images are scored.
        features: of the images from `begin` on; None where there are none.
        begin: the position of the first of them.
        of_maps: float32 [begin, 3], of each image before: whether its map was looked at, the median and the highest
            value.
    """

    learned: NDArray[np.float32]
    scored: NDArray[np.float32]
    count: int
    features: Features | None
    begin: int = 0
    of_maps: NDArray[np.float32] | None = None


class TemplateDetector(PooledDetector):
    """Compares one vector an image with templates; a subclass says how, by its `score`."""

    score: ClassVar[TemplateScore]

    def __init__(self, settings: TemplateSettings, task: FitTask) -> None:
        super().__init__(settings, task)
        self.template_settings = settings

    def heads(self, pooled: NDArray[np.float32]) -> PooledHeads:  # noqa: D102
        seed = self.task.settings.seed
        return TemplateHeads(self.score, self.template_settings, pooled, seed=seed, maps=MAPS, opset=self.opset)


class _LeaveOut:
    """Every image once, int64 [m] positions, with a head that was learned without their groups.

    Attributes:
        finished: the head that was learned from all that are not held out.
        neighbors: how many templates each looks at.
    """

    def __init__(self, heads: PooledHeads, split: Split, *, seed: int) -> None:
        self.heads, self.split = heads, split
        labels, learned = np.array(split.groups), ~split.held_out
        self.folds = [
            np.flatnonzero(np.isin(labels, part) & learned) for part in folds_of_groups(labels[learned], seed=seed)
        ]
        fewest = min(heads.templates(self._learned_without(fold)) for fold in self.folds)
        self.neighbors = heads.neighbors(fewest, when=" left while calibrating")
        self.finished = heads.make(learned, self.neighbors)

    def __len__(self) -> int:
        return len(self.folds) + int(self.split.held_out.any())

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], PooledHead]]:
        if self.split.held_out.any():
            yield np.flatnonzero(self.split.held_out), self.finished
        for members in self.folds:
            yield members, self.heads.make(self._learned_without(members), self.neighbors)

    def _learned_without(self, members: NDArray[np.int64]) -> NDArray[np.bool_]:
        learned = ~self.split.held_out
        learned[members] = False
        return learned


class _Mapper:
    """Patch scores of good images by a head. Thread-safe."""

    def __init__(self, features: Features, head: PooledHead, *, begin: int, opset: int) -> None:
        self.features, self.begin = features, begin
        subgraphs = join(to_nchw(MAPS, opset=opset), *head.subgraphs, outputs=["patch_scores"])
        self.session: Any = open_session(subgraphs.SerializeToString(), threads=1)

    def __call__(self, position: int) -> NDArray[np.float32]:
        """Patch scores, float32 [h, w], of the image at a position."""
        (patches,) = run(
            self.session, ["patch_scores"], {"embedding": self.features.embedding(position - self.begin)[None]}
        )
        return np.asarray(patches[0])
