"""What methods on a backbone have in common: which backbone, at which size, and images as it takes them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from onlygood._machine import physical_memory
from onlygood.backbones.backbone import Backbone, Tap, load_backbone
from onlygood.detectors.setting_groups import BackboneSettings
from onlygood.errors import SettingError
from onlygood.features.input_kind import InputKind
from onlygood.graph.channels import fuse_taps
from onlygood.graph.preprocess import preprocess


@dataclass(frozen=True)
class SizedBackbone:
    """A backbone, and the height and width in pixels that images are resized to for it."""

    backbone: Backbone
    input_shape: tuple[int, int]

    def preprocess(self, kind: InputKind, *, opset: int) -> onnx.ModelProto:
        """The subgraph from `image` to the backbone's input, with the groups of its channels in the batch."""
        return preprocess(
            self.backbone.card,
            input_shape=self.input_shape,
            dtype=kind.dtype,
            window=kind.window,
            source=kind.source,
            has_mask=kind.has_mask,
            groups=kind.groups,
            opset=opset,
        )

    def to_taps(
        self, kind: InputKind, trunk: onnx.ModelProto, taps: Sequence[Tap], *, is_mean: bool = False, opset: int
    ) -> tuple[list[onnx.ModelProto], dict[Tap, Tap]]:
        """The subgraphs from `image` to taps of a trunk, and what each of these becomes where channels have groups.

        Args:
            kind: of the images.
            trunk: the backbone up to the taps.
            taps: different ones.
            is_mean: whether they become the groups' mean, rather than all that the groups give.
            opset: of the standard operators.
        """
        fusing, fused = fuse_taps(taps, groups_of(kind), is_mean=is_mean, opset=opset)
        return [self.preprocess(kind, opset=opset), trunk, *fusing], fused

    def grid(self, reduction: int) -> tuple[int, int]:
        """Height and width in patches of so many pixels a side."""
        return math.ceil(self.input_shape[0] / reduction), math.ceil(self.input_shape[1] / reduction)


def groups_of(kind: InputKind) -> int:
    """How many groups of channels of an image go through the backbone."""
    return max(1, len(kind.groups))


# Of memory while one image goes through EfficientNet-Lite0 and its patch memories, measured at 1,024 and 2,048 pixels.
BYTES_PER_PIXEL = 1400
# The most elongated input; images that are more so are squeezed along their longer side.
MOST_ELONGATED = 4.0


# Most patches of one level that the statistics and the coreset see, however many images there are.
SAMPLE_ROWS = 20_000


def elongated_shape(size: tuple[int, int], side: int, multiple: int) -> tuple[int, int]:
    """Height and width of an input with about the area of a square of this side and about the shape of the images.

    Args:
        size: height and width of the images.
        side: of the square, in pixels.
        multiple: both are multiples of it.
    """
    ratio = min(max(size[1] / size[0], 1 / MOST_ELONGATED), MOST_ELONGATED)
    height, width = side / math.sqrt(ratio), side * math.sqrt(ratio)
    return max(1, round(height / multiple)) * multiple, max(1, round(width / multiple)) * multiple


def patch_input_shape(backbone: Backbone, size: tuple[int, int], side: int | None, *, multiple: int) -> tuple[int, int]:
    """Height and width of the patch detector's input for images of this size.

    It has the shape of the images, and the area of a square whose side is theirs, within the bounds of the card.

    Args:
        backbone: whose input it is; one that was exported for one shape gets that.
        size: height and width of the images.
        side: of that square, instead of what the images' size gives.
        multiple: of which height and width are multiples.

    Raises:
        SettingError: a side that the backbone cannot take.
    """
    card = backbone.card
    if 0 not in backbone.fixed_shape:
        if side is not None:
            backbone.check_input_size(side)
        return backbone.fixed_shape
    if side is None:
        smallest, largest = card.patch_input_sizes or (card.input_size, card.input_size)
        side = round(min(max(math.sqrt(size[0] * size[1]), smallest), largest))
    else:
        backbone.check_input_size(side)
    return elongated_shape(size, side, multiple)


def squeezing_notes(size: tuple[int, int], shape: tuple[int, int]) -> list[str]:
    """What to know where images are too elongated to keep their shape; sizes are said as width x height, as everywhere.

    Args:
        size: height and width of the images.
        shape: height and width of the input.
    """
    if max(size) <= MOST_ELONGATED * min(size):
        return []
    return [
        f"The good images, of {size[1]} x {size[0]} pixels, are more elongated than {MOST_ELONGATED:g} : 1 and are "
        f"squeezed to {shape[1]} x {shape[0]}: cut them into several images to find small defects."
    ]


def check_memory(shape: tuple[int, int], threads: int, *, groups: int = 1) -> None:
    """Refuse an input that this machine's memory cannot hold.

    Args:
        shape: height and width of the input.
        threads: images worked on at once; 0 for one a core.
        groups: of channels of an image, which are worked on at once.

    Raises:
        SettingError: with how much it needs, and how much there is.
    """
    at_once = threads or os.cpu_count() or 1
    needed, there = BYTES_PER_PIXEL * shape[0] * shape[1] * groups * at_once, physical_memory()
    if there is not None and needed > there:
        raise SettingError(
            f"an input of {shape[0]} x {shape[1]} pixels needs about {needed / 1e9:.0f} GB for {at_once} images at "
            f"once, got a machine with {there / 1e9:.0f} GB: lower input_size or threads"
        )


def patches_per_image(images: int, patches: int) -> int:
    """How many patches of each image enter the sample, so that it stays below SAMPLE_ROWS if it can."""
    return min(patches, max(1, SAMPLE_ROWS // images))


def sized_backbone(settings: BackboneSettings) -> SizedBackbone:
    """The backbone that the settings name, at the size that they or its card give.

    Raises:
        BackboneError: a backbone that cannot be used.
        SettingError: a size that it cannot take.
    """
    backbone = load_backbone(settings.backbone)
    input_size = settings.input_size or backbone.card.input_size
    backbone.check_input_size(input_size)
    return SizedBackbone(backbone, (input_size, input_size))


def sized_for_patches(
    backbone: Backbone, kind: InputKind, settings: BackboneSettings, *, multiple: int, threads: int
) -> SizedBackbone:
    """The backbone at the input that `patch_input_shape` gives for images of this kind.

    Raises:
        SettingError: a size that it cannot take, or that this machine's memory cannot hold.
    """
    shape = patch_input_shape(backbone, kind.size, settings.input_size, multiple=multiple)
    check_memory(shape, threads, groups=groups_of(kind))
    return SizedBackbone(backbone, shape)
