"""What methods that train the end of a backbone have in common: its frozen front, and the end with what it learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.detectors.base import TrainingFiles
from onlygood.detectors.on_backbone import sized_backbone
from onlygood.detectors.trained import TrainedMethod
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.graph.pooled import to_nchw, to_nhwc
from onlygood.graph.trunk import TAIL_INPUT, cut_trunk, opset_of, split_trunk, with_weights
from onlygood.settings import FitSettings

if TYPE_CHECKING:
    from onlygood.training.checkpoint import Checkpoint
    from onlygood.training.loop import TrainingSettings


class FineTunedMethod(TrainedMethod):
    """A method that trains the end of a backbone. What it calls the embedding is what the frozen front gives."""

    def __init__(self, settings: FitSettings, *, files: TrainingFiles | None, show_progress: bool) -> None:
        super().__init__(settings, files=files, show_progress=show_progress)
        self.sized = sized_backbone(settings)
        self.backbone, self.input_size = self.sized.backbone, self.sized.input_shape[0]
        self.tap = self.backbone.card.last_tap(settings.taps)
        trunk = cut_trunk(self.backbone, [self.tap])
        self.opset = opset_of(trunk)
        self.parts = split_trunk(trunk, settings.trained_layers)

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.parts.front,
            to_nhwc(self.parts.start, opset=self.opset),
        ]

    def checkpoint(  # noqa: D102
        self, seen: Features, held_out: NDArray[np.bool_], training: TrainingSettings, **others: str
    ) -> Checkpoint | None:
        # Its file, wherever it lies: with another one the same numbers mean nothing.
        return super().checkpoint(seen, held_out, training, backbone=self.backbone.card.sha256, **others)

    def tuned_end(self, learned: Mapping[str, NDArray[np.float32]]) -> list[onnx.ModelProto]:
        """The pieces of graph from `embedding` to the value `parts.end`, float32 [N, c, h, w].

        Args:
            learned: values of the initializers that have learned, by their names.
        """
        return [to_nchw(TAIL_INPUT, opset=self.opset), with_weights(self.parts.tail, learned)]
