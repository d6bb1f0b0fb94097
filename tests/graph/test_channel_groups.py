"""Groups of channels in the batch and behind the network, and alpha as a mask: against NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from onlygood.backbones.backbone import load_backbone
from onlygood.graph.alpha import MASKED, alpha_mask
from onlygood.graph.channels import (
    MOST_JOINED,
    Fusion,
    channels_between,
    fuse_groups,
    group_parts,
    joining,
    part_groups,
)
from onlygood.graph.preprocess import LOOK, ChannelGroup, preprocess
from onlygood.graph.subgraph import in_trunk, join, subgraph
from onlygood.graph.trunk import TAIL_INPUT, cut_trunk, split_trunk
from onlygood.graph.view import Region, View
from onlygood.images.channels import channel_groups
from onlygood.images.window import FULL_8_BIT, Window
from reference import evaluate

LITE0 = load_backbone("lite0")
PLAIN = replace(LITE0.card, mean=(10.0, 20.0, 30.0), std=(2.0, 3.0, 4.0))


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, size=shape, dtype=dtype, endpoint=True)


def prepared(images: NDArray[Any], groups: tuple[ChannelGroup, ...], **keywords: Any) -> dict[str, NDArray[Any]]:
    window = groups[0].window if groups else keywords.pop("window")
    piece = preprocess(PLAIN, input_shape=(64, 64), dtype=images.dtype, window=window, groups=groups, **keywords)
    outputs = [in_trunk(PLAIN.input), *([LOOK] if keywords.get("has_mask") else [])]
    return evaluate(join(piece, outputs=outputs), {"image": images})


@pytest.mark.parametrize("channels", [2, 4, 7, 12, 16])
def test_each_group_is_what_its_channels_are_alone(channels: int) -> None:
    images = noise(2, 40, 50, channels, dtype=np.uint16)
    windows = [Window(100 * number, 30_000 + 1000 * number) for number in range(channels)]
    groups = tuple(ChannelGroup(*each) for each in zip(channel_groups(channels), windows, strict=False))
    found = prepared(images, groups)[in_trunk(PLAIN.input)]
    assert found.shape == (2 * len(groups), 3, 64, 64)
    for image in range(2):
        for number, group in enumerate(groups):
            alone = prepared(images[image : image + 1, :, :, list(group.channels)], (), window=group.window)
            np.testing.assert_array_equal(found[image * len(groups) + number], alone[in_trunk(PLAIN.input)][0])


def test_nothing_outside_the_mask_reaches_a_group() -> None:
    colours, mask = noise(1, 40, 50, 4), np.zeros((1, 40, 50, 1), np.uint8)
    mask[:, 5:20, 7:30] = 1
    groups = (ChannelGroup((0, 1, 2), Window(5, 200)), ChannelGroup((3, 3, 3), Window(0, 90)))
    one = prepared(np.concatenate([colours, mask], axis=3), groups, has_mask=True)
    other = np.where(mask > 0, colours, noise(1, 40, 50, 4, seed=9))
    again = prepared(np.concatenate([other, mask], axis=3), groups, has_mask=True)
    assert one[LOOK].shape == (1, 1, 64, 64)
    for name, values in one.items():
        np.testing.assert_array_equal(values, again[name])
    # Levels outside become the mean of the network's input, 0 on average over the three.
    np.testing.assert_allclose(one[in_trunk(PLAIN.input)][:, :, -1, -1] @ np.array([2.0, 3.0, 4.0]), 0, atol=1e-3)


def fused(values: NDArray[np.float32], fusion: Fusion) -> NDArray[np.float32]:
    (found,) = evaluate(join(fuse_groups("source", "fused", fusion), outputs=["fused"]), {"source": values}).values()
    return np.asarray(found)


def test_groups_are_joined_averaged_or_projected() -> None:
    values = np.random.default_rng(0).standard_normal((6, 5, 3, 4)).astype(np.float32)  # 2 images, 3 groups
    by_group = values.reshape(2, 3, 5, 3, 4)
    np.testing.assert_array_equal(fused(values, Fusion(5, 3)), values.reshape(2, 15, 3, 4))
    np.testing.assert_allclose(fused(values, Fusion(5, 3, is_mean=True)), by_group.mean(axis=1), rtol=1e-5, atol=1e-6)
    projection = np.random.default_rng(1).standard_normal((4, 15)).astype(np.float32)
    expected = np.einsum("dc,nchw->ndhw", projection, values.reshape(2, 15, 3, 4))
    found = fused(values, Fusion(5, 3, projection=projection))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    joined = Fusion(5, 3)
    (parted,) = evaluate(
        join(part_groups("joined", "parted", joined), outputs=["parted"]), {"joined": values.reshape(2, 15, 3, 4)}
    ).values()
    np.testing.assert_array_equal(parted, values)


def test_what_is_joined_is_bounded() -> None:
    assert joining(192, 6) == Fusion(192, 6)  # the widest tap of patches, and the most groups
    wide = joining(1024, 4)
    assert wide.width == MOST_JOINED
    assert joining(1280, 2).width == 1280
    assert wide.projection is not None
    again = joining(1024, 4).projection
    assert again is not None
    np.testing.assert_array_equal(wide.projection, again)
    # Lengths stay about the same.
    vectors = np.random.default_rng(0).standard_normal((50, 4096))
    lengths = np.linalg.norm(vectors @ wide.projection.T, axis=1) / np.linalg.norm(vectors, axis=1)
    assert np.abs(lengths - 1).max() < 0.1


def test_a_trunk_in_two_parts_gives_the_mean_of_what_it_gives_for_each_group() -> None:
    tap = LITE0.card.taps[-1]
    trunk = cut_trunk(LITE0, [tap])
    parts = split_trunk(trunk, 2)
    grouped = group_parts(parts, 2, channels=tap.channels)
    images = np.random.default_rng(0).standard_normal((4, 3, 64, 64)).astype(np.float32)
    (alone,) = evaluate(trunk, {in_trunk(LITE0.card.input): images}).values()
    (between,) = evaluate(grouped.front, {in_trunk(LITE0.card.input): images}).values()
    assert between.shape[:2] == (2, 2 * channels_between(parts))
    (found,) = evaluate(grouped.tail, {TAIL_INPUT: between}).values()
    np.testing.assert_allclose(found, alone.reshape(2, 2, *alone.shape[1:]).mean(axis=1), rtol=1e-3, atol=1e-4)
    assert group_parts(parts, 1, channels=tap.channels) is parts


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_a_mask_above_half(dtype: Any) -> None:
    images = noise(2, 5, 6, 4, dtype=dtype)
    (found,) = evaluate(join(alpha_mask(np.dtype(dtype)), outputs=[MASKED]), {"image": images}).values()
    np.testing.assert_array_equal(found[..., :3], images[..., :3])
    np.testing.assert_array_equal(found[..., 3], images[..., 3] > np.iinfo(dtype).max / 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("is_box", [True, False])
def test_a_region_and_alpha_are_both_looked_at(dtype: Any, is_box: bool) -> None:
    mask = np.zeros((10, 12), dtype=bool)
    mask[2:8, 3:11] = True
    if not is_box:
        mask[4, 5] = False
    images = noise(1, 10, 12, 4, dtype=dtype)
    view = View(np.dtype(dtype), Region(mask), has_alpha=True)
    (found,) = evaluate(join(*view.subgraphs(), outputs=[view.source]), {"image": images}).values()
    np.testing.assert_array_equal(found[..., :3], images[:, 2:8, 3:11, :3])
    expected = (images[..., 3] > np.iinfo(dtype).max / 2) & mask
    np.testing.assert_array_equal(found[..., 3] > 0, expected[:, 2:8, 3:11])
    assert view.has_mask
    scores = np.random.default_rng(0).random((1, 3, 4)).astype(np.float32)
    whole = join(*view.subgraphs(), constant(scores), view.map(outside=-7.0), outputs=["anomaly_map"])
    (drawn,) = evaluate(whole, {"image": images}).values()
    assert (drawn[~expected] == -7).all()
    assert (drawn[expected] >= 0).all()


def constant(scores: NDArray[np.float32]) -> onnx.ModelProto:
    """A subgraph that gives these patch scores for every image."""
    text = """
    constant (float[1] none) => (float[N, h, w] patch_scores) {
        patch_scores = Identity (given_scores)
    }
    """
    model = subgraph(text, {"given_scores": scores})
    del model.graph.input[:]
    return model


def test_one_group_is_what_it_was() -> None:
    images = noise(1, 30, 30, 3)
    found = prepared(images, (), window=FULL_8_BIT)
    assert found[in_trunk(PLAIN.input)].shape == (1, 3, 64, 64)
