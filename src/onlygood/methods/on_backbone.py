"""What methods on a backbone have in common: which backbone, at which size, and pictures as it takes them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from onlygood.backbone import Backbone, load_backbone
from onlygood.graph.preprocess import preprocess
from onlygood.settings import FitSettings
from onlygood.survey import InputKind


@dataclass(frozen=True)
class SizedBackbone:
    """A backbone, and the pixels a side that pictures are resized to for it."""

    backbone: Backbone
    input_size: int

    def preprocess(self, kind: InputKind, *, opset: int) -> onnx.ModelProto:
        """The piece of graph from `image` to the backbone's input."""
        return preprocess(
            self.backbone.card, input_size=self.input_size, dtype=kind.dtype, window=kind.window, opset=opset
        )


def sized_backbone(settings: FitSettings) -> SizedBackbone:
    """The backbone that the settings name, at the size that they or its card give.

    Raises:
        BackboneError: a backbone that cannot be used.
        SettingError: a size that it cannot take.
    """
    backbone = load_backbone(settings.backbone)
    input_size = settings.input_size or backbone.card.input_size
    backbone.check_input_size(input_size)
    return SizedBackbone(backbone, input_size)
