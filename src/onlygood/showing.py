"""What a detector is shown of images: a region of them, aligned, whole or in tiles; and what it learns of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import onnx

from onlygood.alignment import Aligned, align_to_golden_sample
from onlygood.datasets.sources import Source
from onlygood.detectors.base import Detector, Embedding, FitTask, GoodScores, Learned, Split
from onlygood.errors import SettingError
from onlygood.features.extraction import Embedder, Features
from onlygood.features.input_kind import InputKind, input_kind
from onlygood.features.tiles import Tiles, extract_tiles
from onlygood.graph.subgraph import join, same_value
from onlygood.graph.tiles import TILE, Tiling
from onlygood.graph.view import Region, View
from onlygood.images.reading import ChannelOrder, ImageSource
from onlygood.images.roi import RoiSource
from onlygood.learning_images import learning_images
from onlygood.region_of_interest import region_for
from onlygood.settings import FitSettings, MethodSettings
from onlygood.tiling import highest_finished, in_tiles, of_wholes, tile_kind, tile_split, tiling_for


@dataclass(frozen=True, kw_only=True)
class Showing:
    """What a detector is shown of the good images of a fit.

    Attributes:
        kind: of the images.
        region: of interest; None for everything.
        aligned: the golden sample that images are aligned to; None where they stay as they are.
        view: from `image` to what is shown of a whole image.
        shown: the kind of that.
        tiling: how it is cut into tiles; None where it is not.
        notes: sentences that a person should read.
    """

    kind: InputKind
    region: Region | None
    aligned: Aligned | None
    view: View
    shown: InputKind
    tiling: Tiling | None
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        sources: Sequence[Source],
        settings: FitSettings,
        method: MethodSettings,
        *,
        roi: RoiSource | None,
        align_to: ImageSource | None,
        channel_order: ChannelOrder,
        golden: int,
        show_progress: bool,
    ) -> Showing:
        """What a detector is shown of these images.

        Args:
            sources: the good images.
            settings: of the fit.
            method: which.
            roi: as `onlygood.fit` takes it.
            align_to: as `onlygood.fit` takes it.
            channel_order: of arrays with colour.
            golden: how many golden images all of these are augmentations of; 0 if they are images of parts.
            show_progress: draw bars if stderr is a terminal.

        Raises:
            FolderError: no image can be read, or images that cannot be aligned.
            SettingError: a region, tiles or a golden sample that do not go with these images.
        """
        kind = input_kind(sources, settings, show_progress=show_progress)
        region = None if roi is None else region_for(roi, kind.size)
        aligned = align_to_golden_sample(
            sources, kind, settings, align_to=align_to, channel_order=channel_order, golden=golden
        )
        template = None if aligned is None else aligned.template
        view = View(kind.dtype, region, has_alpha=settings.alpha == "mask", template=template)
        shown = kind.shown(view)
        tiling, tile_notes = tiling_for(settings, method, shown.size, region)
        return cls(
            kind=kind,
            region=region,
            aligned=aligned,
            view=view,
            shown=shown,
            tiling=tiling,
            notes=[*(() if aligned is None else aligned.notes), *tile_notes],
        )

    @property
    def task_kind(self) -> InputKind:
        """The kind of what a detector is shown at a time: of a tile, or of all that is shown of an image."""
        return self.shown if self.tiling is None else tile_kind(self.shown, self.tiling)

    @property
    def tiles_each(self) -> int:
        """How many tiles an image has."""
        return 1 if self.tiling is None else len(self.tiling)

    def require_shown(self, embedding: Embedding, method: str) -> None:
        """Refuse a detector that would look at whole images where it is to be shown something else.

        Raises:
            SettingError: its embedding does not take what it is shown.
        """
        source = self.task_kind.source
        if source not in {value.name for part in embedding.subgraphs for value in part.graph.input}:
            raise SettingError(
                f"method {method} must take {source!r} to look at regions or tiles of images, got one that takes whole "
                "images alone: leave roi and tiles out, or choose another method"
            )

    def subgraphs(self, embedding: Embedding) -> list[onnx.ModelProto]:
        """From `image` to what is shown of a whole image."""
        return self.view.subgraphs(opset=embedding.opset)

    def whole_graph(self, embedding: Embedding) -> onnx.ModelProto:
        """From `image` to the embeddings of a whole image, by which those that are alike are found.

        Where there are tiles, all of an image is embedded as if it were one.
        """
        parts = self.subgraphs(embedding)
        if self.tiling is not None:
            parts.append(same_value(self.shown.source, TILE, self.kind.dtype, opset=embedding.opset))
        return join(*parts, *embedding.subgraphs, outputs=list(embedding.outputs))

    def embedder(self, graph: onnx.ModelProto, embedding: Embedding) -> Embedder:
        """What embeds images, or tiles, by a graph."""
        return Embedder(graph, embedding.outputs, has_mask=self.view.has_mask)

    def learn(
        self, detector: Detector, embedding: Embedding, features: Features, given: Split, task: FitTask, *, golden: int
    ) -> LearnedOfImages:
        """What a detector learns of the good images, as far as it is shown them.

        Args:
            detector: which.
            embedding: of it.
            features: of the images.
            given: which of them belong together, and which only calibrate.
            task: of the fit.
            golden: how many golden images all of these are augmentations of; 0 if they are images of parts.

        Raises:
            FolderError, SettingError, TrainingError: as `Detector.learn`.
        """
        if self.tiling is None:
            learned_from, split = learning_images(features, given, task, embedding, golden=golden)
            learned = detector.learn(learned_from, split)
            return LearnedOfImages(
                learned=learned,
                head=[*embedding.subgraphs, *learned.head],
                scores=learned.scores,
                finished_score=learned.finished_score,
                verified=learned_from.sources,
            )
        tiling, opset, source = self.tiling, embedding.opset, self.shown.source
        tile_graph = join(*embedding.subgraphs, outputs=list(embedding.outputs))
        tiles = extract_tiles(
            features,
            Tiles(features.sources, tiling, self.subgraphs(embedding), source),
            self.embedder(tile_graph, embedding),
            task.settings,
            rows_each=embedding.rows_each,
            show_progress=task.show_progress,
        )
        learned = detector.learn(tiles, tile_split(given, len(tiling)))
        grid = learned.scores.patch_scores(0).shape
        subgraphs = [*embedding.subgraphs, *learned.head]
        return LearnedOfImages(
            learned=learned,
            head=in_tiles(subgraphs, tiling, grid, source=source, dtype=self.kind.dtype, opset=opset),
            scores=of_wholes(learned.scores, tiling, opset=opset),
            finished_score=highest_finished(learned.finished_score, len(tiling)),
            verified=features.sources,
        )


@dataclass(frozen=True, kw_only=True)
class LearnedOfImages:
    """What a detector has learned, and what that says of whole images.

    Attributes:
        learned: of what it was shown.
        head: subgraphs from what is shown of an image to its `raw_score` and `patch_scores`.
        scores: of the good images, each by a detector that has not seen it.
        finished_score: gives the raw score of the finished detector for the image at a position of `verified`.
        verified: images on which the finished file is run.
    """

    learned: Learned
    head: Sequence[onnx.ModelProto]
    scores: GoodScores
    finished_score: Callable[[int], float] = field(repr=False)
    verified: Sequence[Source] = field(repr=False)
