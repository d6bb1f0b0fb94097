"""What methods that train the end of a backbone have in common: its frozen front, and the end with what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Card
from onlygood.detectors.base import Embedding
from onlygood.detectors.on_backbone import sized_backbone
from onlygood.detectors.setting_groups import TailSettings
from onlygood.errors import SettingError
from onlygood.features.input_kind import InputKind
from onlygood.graph.channels import group_parts
from onlygood.graph.pooled import to_nchw, to_nhwc
from onlygood.graph.trunk import TAIL_INPUT, cut_trunk, opset_of, split_trunk, with_weights
from onlygood.metadata import FineTuned


class TrainableBackbone:
    """A backbone up to one tap, split before the layers that are trained. What its frozen front gives is the embedding.

    Args:
        settings: which backbone, at which size, and how many layers are trained.
        groups: of channels of an image, which go through it one after another.

    Raises:
        BackboneError: a backbone that cannot be used.
        SettingError: a size, a tap or a number of layers that it does not have.
    """

    def __init__(self, settings: TailSettings, *, groups: int = 1) -> None:
        self.settings = settings
        self.sized = sized_backbone(settings)
        self.tap = self.card.last_tap(settings.taps)
        trunk = cut_trunk(self.sized.backbone, [self.tap])
        self.opset = opset_of(trunk)
        self.parts = split_trunk(trunk, settings.trained_layers)
        if not self.parts.front.graph.node:
            # The embedding would be the resized image itself, in another layout: ONNX Runtime's optimiser (seen up to
            # 1.31) moves the transposition through Resize, and loses the sizes there.
            raise SettingError(
                f"trained_layers must leave the first layer of the backbone as it is, got {settings.trained_layers}, "
                f"all up to {self.tap.name}: lower it, or choose a tap further back"
            )
        self.parts = group_parts(self.parts, groups, channels=self.tap.channels)

    @property
    def card(self) -> Card:
        """Of the whole backbone. Its digest belongs in a checkpoint: the numbers mean nothing with another file."""
        return self.sized.backbone.card

    @property
    def fine_tuned(self) -> FineTuned:
        """What of it is trained."""
        settings = self.settings
        return FineTuned(backbone=Path(settings.backbone).name, tap=self.tap.name, layers=settings.trained_layers)

    def embedding(self, kind: InputKind) -> Embedding:
        """From images of a kind to what the frozen front gives of them."""
        return Embedding(
            subgraphs=[
                self.sized.preprocess(kind, opset=self.opset),
                self.parts.front,
                to_nhwc(self.parts.start, opset=self.opset),
            ],
            input_shape=self.sized.input_shape,
            opset=self.opset,
        )

    def tuned_end(self, learned: Mapping[str, NDArray[np.float32]]) -> list[onnx.ModelProto]:
        """The subgraphs from `embedding` to the value `parts.end`, float32 [N, c, h, w].

        Args:
            learned: values of the initializers that have learned, by their names.
        """
        return [to_nchw(TAIL_INPUT, opset=self.opset), with_weights(self.parts.tail, learned)]
