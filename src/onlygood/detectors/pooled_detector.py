"""Detectors on one vector an image, the backbone's pooled output. What they learn is in `pooled_heads`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.base import Detector, Embedding, FitTask, GoodScores, Learned, Split
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
        heads = self.heads(features.image_vectors)
        unseeing = _LeaveOut(heads, split, seed=self.task.settings.seed)
        # Distances of unit vectors may all be far below 1.
        ordinary = unseeing.finished.scores(features.image_vectors[split.fitted][:MAPPED])
        has_templates = unseeing.neighbors > 0
        counts = {"templates": unseeing.finished.templates, "num_neighbors": unseeing.neighbors}
        return Learned(
            head=[to_nchw(MAPS, opset=self.opset), *unseeing.finished.subgraphs],
            scores=self._good_scores(features, split, unseeing),
            finished_score=lambda position: float(unseeing.finished.scores(features.image_vectors[[position]])[0]),
            least_scale=float(np.median(ordinary)) or 1.0,
            description=pooled_description(
                self.tap.name,
                self.settings.metric,
                neighbors=unseeing.neighbors,
                templates=unseeing.finished.templates,
            ),
            facts={"tap": self.tap.name, "metric": self.settings.metric, **(counts if has_templates else {})},
            backbone=self.sized.backbone.card,
        )

    def _good_scores(self, features: Features, split: Split, unseeing: _LeaveOut) -> GoodScores:
        count, threads = features.given, self.task.settings.threads
        raw = np.empty(count, dtype=np.float32)
        typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
        calibrating = split.calibrating(count)
        mapped = set(calibrating[evenly_spaced(len(calibrating), MAPPED * features.tiles)].tolist())
        scored_by: dict[int, _Mapper] = {}
        parts = track(unseeing, total=len(unseeing), description="calibrating", show=self.task.show_progress)
        for part, head in parts:
            members = part[part < count]
            raw[members] = head.scores(features.scored.image_vectors[members])
            mapper = _Mapper(features.scored, head, opset=self.opset)
            scored_by.update(dict.fromkeys(members.tolist(), mapper))
            shown = [position for position in members.tolist() if position in mapped]
            maps = map_in_order(mapper, shown, threads=threads)
            for position, patches in zip(shown, maps, strict=True):
                typical[position], highest[position] = np.median(patches), patches.max()
        return GoodScores(
            raw=raw,
            typical=typical,
            highest=highest,
            patch_scores=lambda position: scored_by[position](position),
        )


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

    def __init__(self, features: Features, head: PooledHead, *, opset: int) -> None:
        self.features = features
        subgraphs = join(to_nchw(MAPS, opset=opset), *head.subgraphs, outputs=["patch_scores"])
        self.session: Any = open_session(subgraphs.SerializeToString(), threads=1)

    def __call__(self, position: int) -> NDArray[np.float32]:
        """Patch scores, float32 [h, w], of the image at a position."""
        (patches,) = run(self.session, ["patch_scores"], {"embedding": self.features.embedding(position)[None]})
        return np.asarray(patches[0])
