"""Images of several channels in a network of three inputs: groups of channels side by side in the batch, then fused.

`preprocess` puts the groups of an image, g of them, one after another in the batch. What the network makes of them,
[N * g, c, h, w], becomes one value an image here, [N, d, h, w]. Patches get the groups' channels one after another, and
where these are many, a fixed random projection of them: what the groups say together at a place is then learned, too.
What is pooled over all places gets the groups' mean, which found as many defects at a width that whitening can bear.

Source of the projection: Johnson and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space", 1984.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Tap
from onlygood.errors import BackboneError
from onlygood.graph.subgraph import OPSET, in_trunk, join, subgraph
from onlygood.graph.trunk import TAIL_INPUT, TrunkParts, opset_of

# What is joined has at most so many channels, or as many as one group where that has more: whitening them costs the
# third power. Six groups of the widest tap that patches are taken from come through whole.
MOST_JOINED = 1152
# What the fused value of a tap is called.
_FUSED = "/groups"
_SEED = 16


@dataclass(frozen=True)
class Fusion:
    """How one value of each group becomes one of the image.

    Attributes:
        channels: of a group, c.
        groups: g.
        is_mean: whether it is their mean.
        projection: float32 [d, g * c]; None where d = g * c, one after another.
    """

    channels: int
    groups: int
    is_mean: bool = False
    projection: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """How many channels the image's value has, d."""
        if self.is_mean:
            return self.channels
        return self.groups * self.channels if self.projection is None else len(self.projection)


def joining(channels: int, groups: int) -> Fusion:
    """How a value of so many channels is joined over so many groups."""
    joined, width = groups * channels, max(channels, MOST_JOINED)
    if joined <= width:
        return Fusion(channels, groups)
    projection = np.random.default_rng(_SEED).standard_normal((width, joined)) / np.sqrt(width)
    return Fusion(channels, groups, projection=projection.astype(np.float32))


def fuse_groups(source: str, fused: str, fusion: Fusion, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from a value of each group, float32 [N * g, c, h, w], to one an image, [N, d, h, w].

    Args:
        source: name of the groups' value in the whole graph.
        fused: name of the image's.
        fusion: how.
        opset: of the standard operators.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        f"{fused}_shape": np.array([-1, fusion.groups * fusion.channels, 0, 0], dtype=np.int64)
    }
    lines = "fused = Reshape (source, joined_shape)"
    if fusion.is_mean:
        # Each channel of all groups side by side, and a convolution that sees those alone: sizes need not be known.
        order = np.arange(fusion.groups * fusion.channels).reshape(fusion.groups, fusion.channels).T.reshape(-1)
        arrays[f"{fused}_order"] = order.astype(np.int64)
        arrays[f"{fused}_shares"] = np.full(
            (fusion.channels, fusion.groups, 1, 1), 1.0 / fusion.groups, dtype=np.float32
        )
        lines = f"""joined = Reshape (source, joined_shape)
        side_by_side = Gather <axis = 1> (joined, order)
        fused = Conv <group = {fusion.channels}> (side_by_side, shares)"""
    elif fusion.projection is not None:
        arrays[f"{fused}_projection"] = fusion.projection[:, :, None, None]
        lines = """joined = Reshape (source, joined_shape)
        fused = Conv (joined, projection)"""
    text = f"""
    fuse_groups (float[N, {fusion.channels}, h, w] source) => (float[images, {fusion.width}, fused_h, fused_w] fused) {{
        {lines}
    }}
    """
    names = {
        "source": source,
        "fused": fused,
        "joined": f"{fused}_joined",
        "joined_shape": f"{fused}_shape",
        "projection": f"{fused}_projection",
        "side_by_side": f"{fused}_side_by_side",
        "order": f"{fused}_order",
        "shares": f"{fused}_shares",
    }
    return subgraph(text, arrays, names=names, opset=opset)


def part_groups(joined: str, parted: str, fusion: Fusion, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from what was joined without a projection, float32 [N, g * c, h, w], back to [N * g, c, h, w].

    Args:
        joined: name of the image's value in the whole graph.
        parted: name of the groups'.
        fusion: how it was fused.
        opset: of the standard operators.
    """
    text = f"""
    part_groups (float[N, {fusion.groups * fusion.channels}, h, w] joined)
        => (float[groups, {fusion.channels}, parted_h, parted_w] parted) {{
        parted = Reshape (joined, parted_shape)
    }}
    """
    return subgraph(
        text,
        {f"{parted}_shape": np.array([-1, fusion.channels, 0, 0], dtype=np.int64)},
        names={"joined": joined, "parted": parted, "parted_shape": f"{parted}_shape"},
        opset=opset,
    )


def group_parts(parts: TrunkParts, groups: int, *, channels: int) -> TrunkParts:
    """A trunk in two parts for several groups: the front gives them joined, and the tail their mean.

    Args:
        parts: of a trunk that takes the groups one after another in the batch.
        groups: of channels of an image.
        channels: of what the tail gives for each.
    """
    if groups == 1:
        return parts
    opset = opset_of(parts.front)
    between = Fusion(channels_between(parts), groups)
    start, end, inside = f"{parts.start}{_FUSED}", f"{parts.end}{_FUSED}", f"{TAIL_INPUT}{_FUSED}"
    tail = onnx.ModelProto()
    tail.CopyFrom(parts.tail)
    for node in tail.graph.node:
        node.input[:] = [inside if name == TAIL_INPUT else name for name in node.input]
    tail.graph.input[0].name = inside
    return TrunkParts(
        front=join(parts.front, fuse_groups(parts.start, start, between, opset=opset), outputs=[start]),
        start=start,
        tail=join(
            part_groups(TAIL_INPUT, inside, between, opset=opset),
            tail,
            fuse_groups(parts.end, end, Fusion(channels, groups, is_mean=True), opset=opset),
            outputs=[end],
        ),
        end=end,
        trained=parts.trained,
    )


def channels_between(parts: TrunkParts) -> int:
    """How many channels the value between the two parts has.

    Raises:
        BackboneError: that cannot be told from the front.
    """
    front = onnx.ModelProto()
    front.CopyFrom(parts.front)
    front.graph.output[0].type.tensor_type.ClearField("shape")
    dims = onnx.shape_inference.infer_shapes(front).graph.output[0].type.tensor_type.shape.dim
    if len(dims) != 4 or not dims[1].dim_value:
        raise BackboneError(
            f"a backbone whose end is trained on images of several channels must say how many channels {parts.start} "
            "has, got a file in which that cannot be told: choose another number of trained_layers"
        )
    return int(dims[1].dim_value)


def fuse_taps(
    taps: Sequence[Tap], groups: int, *, is_mean: bool = False, opset: int = OPSET
) -> tuple[list[onnx.ModelProto], dict[Tap, Tap]]:
    """The subgraphs that fuse taps of a trunk, and what each becomes; with one group none, and each is itself.

    Args:
        taps: of the trunk.
        groups: of channels of an image.
        is_mean: whether they become the groups' mean.
        opset: of the standard operators.
    """
    if groups == 1:
        return [], {tap: tap for tap in taps}
    subgraphs, fused = [], {}
    for tap in taps:
        fusion = Fusion(tap.channels, groups, is_mean=True) if is_mean else joining(tap.channels, groups)
        fused[tap] = replace(tap, name=f"{tap.name}{_FUSED}", channels=fusion.width)
        subgraphs.append(fuse_groups(in_trunk(tap.name), in_trunk(fused[tap].name), fusion, opset=opset))
    return subgraphs, fused
