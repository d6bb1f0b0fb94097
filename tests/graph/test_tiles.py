"""Tiles inside a graph: where they are, what comes of them, and that no border of theirs is seen in the map."""

from itertools import pairwise

import numpy as np
import onnx
import pytest

from onlygood.graph.costs import CostBound
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join, subgraph
from onlygood.graph.tiles import PATCH_SCORES, RAW_SCORE, TILE, Axis, Tiling, assembled, tiled
from textures import Array, texture


@pytest.mark.parametrize(
    ("side", "tile", "overlap"), [(100, 30, 8), (1000, 320, 40), (64, 64, 8), (65, 64, 8), (31, 40, 5)]
)
def test_tiles_cover_an_axis_and_overlap_by_at_least_what_is_asked_for(side: int, tile: int, overlap: int) -> None:
    axis = Axis.of(side, min(tile, side), overlap)
    cuts = axis.cuts(side)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == side
    assert {end - begin for begin, end in cuts} == {min(tile, side)}
    assert all(begin < end_before for (_, end_before), (begin, _) in pairwise(cuts))
    assert all(end_before - begin >= overlap for (_, end_before), (begin, _) in pairwise(cuts))
    assert len(cuts) == (1 if tile >= side else -(-(side - overlap) // (tile - overlap)))


@pytest.mark.parametrize("side", [100, 57, 1000, 3, 233])
def test_images_of_other_sizes_are_covered_as_well(side: int) -> None:
    cuts = Axis.of(100, 30, 8).cuts(side)
    assert (cuts[0][0], cuts[-1][1]) == (0, side)
    assert len({end - begin for begin, end in cuts}) == 1
    assert all(begin <= end_before for (_, end_before), (begin, _) in pairwise(cuts))


@pytest.mark.parametrize(("side", "tile", "cells"), [(100, 30, 10), (100, 30, 1), (317, 64, 8), (30, 30, 4)])
def test_blending_is_a_mean_of_the_tiles_and_gives_a_plane_as_it_is(side: int, tile: int, cells: int) -> None:
    axis = Axis.of(side, tile, tile // 4)
    weights = axis.blending(cells)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
    if cells > 1:
        # A level that rises evenly over the image rises evenly in what is put together of its tiles.
        size = tile / cells
        cell_middles = np.concatenate([start + (np.arange(cells) + 0.5) * size for start in axis.starts])
        middles = (np.arange(len(weights)) + 0.5) * side / len(weights)
        between = (middles > size / 2) & (middles < side - size / 2)
        np.testing.assert_allclose((weights @ cell_middles)[between], middles[between], rtol=1e-4)


def mean_of_tile() -> onnx.ModelProto:
    """A detector of a tile: its mean level, and the level of each quarter of it."""
    text = f"""
    means (uint8[N, H, W, C] {TILE}) => (float[N] {RAW_SCORE}, float[N, 2, 2] {PATCH_SCORES}) {{
        levels = Cast <to = 1> ({TILE})
        {RAW_SCORE} = ReduceMean <keepdims = 0> (levels, all_axes)
        grey = ReduceMean <keepdims = 0> (levels, channel)
        plane = Unsqueeze (grey, plane_axis)
        quarters = Resize <axes = [2, 3], mode = "linear", antialias = 1> (plane, , , two)
        {PATCH_SCORES} = Squeeze (quarters, plane_axis)
    }}
    """
    arrays = {
        "all_axes": np.array([1, 2, 3], dtype=np.int64),
        "channel": np.array([3], dtype=np.int64),
        "plane_axis": np.array([1], dtype=np.int64),
        "two": np.array([2, 2], dtype=np.int64),
    }
    return subgraph(text, arrays)


def whole_graph(tiling: Tiling) -> onnx.ModelProto:
    inner = mean_of_tile()
    dtype = np.dtype(np.uint8)
    return join(
        tiled(inner, tiling, (2, 2), source="image", dtype=dtype),
        assembled(tiling, (2, 2)),
        outputs=[RAW_SCORE, PATCH_SCORES],
    )


@pytest.mark.parametrize("size", [(60, 100), (90, 150), (47, 81)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_as_anomalous_as_its_most_anomalous_tile(size: tuple[int, int], channels: int) -> None:
    tiling = Tiling.of((60, 100), 32, 8)
    images = np.random.default_rng(0).integers(0, 256, (2, *size, channels)).astype(np.uint8)
    raw, patches = run(
        open_session(whole_graph(tiling).SerializeToString()), [RAW_SCORE, PATCH_SCORES], {"image": images}
    )
    boxes = tiling.boxes(size)
    for image, found in zip(images, raw, strict=True):
        means = [image[top:bottom, left:right].mean() for top, left, bottom, right in boxes]
        assert found == pytest.approx(max(means), rel=1e-5)
    assert patches.shape[1:] == (round(60 / 16), round(100 / 16))


def test_one_tile_is_the_whole_image() -> None:
    tiling = Tiling.of((20, 30), 64, 8)
    assert len(tiling) == 1
    image = texture(0, (20, 30))[None, :, :, None]
    raw, _ = run(open_session(whole_graph(tiling).SerializeToString()), [RAW_SCORE, PATCH_SCORES], {"image": image})
    assert raw[0] == pytest.approx(image.mean(), rel=1e-5)


def test_tiles_outside_what_is_looked_at_are_left_out_and_others_stay_in_their_places() -> None:
    looked_at = np.zeros((60, 100), dtype=bool)
    looked_at[:30, :30] = looked_at[40:, 70:] = True
    every = Tiling.of((60, 100), 32, 8)
    some = Tiling.of((60, 100), 32, 8, looked_at=looked_at)
    assert 2 <= len(some) < len(every)
    image = texture(1, (60, 100)).copy()
    image[45:, 75:] = 250
    feeds = {"image": image[None, :, :, None]}
    _, all_patches = run(open_session(whole_graph(every).SerializeToString()), [RAW_SCORE, PATCH_SCORES], feeds)
    _, patches = run(open_session(whole_graph(some).SerializeToString()), [RAW_SCORE, PATCH_SCORES], feeds)
    # The corners, where no tile that was left out has a share.
    np.testing.assert_allclose(patches[0, 0, 0], all_patches[0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(patches[0, -1, -1], all_patches[0, -1, -1], rtol=1e-6)


def test_a_smooth_image_has_a_smooth_map_across_the_borders_of_its_tiles() -> None:
    tiling = Tiling.of((128, 256), 64, 16)
    columns = np.linspace(0, 255, 256)
    image = np.broadcast_to(columns, (128, 256)).astype(np.uint8)[None, :, :, None]
    _, patches = run(open_session(whole_graph(tiling).SerializeToString()), [RAW_SCORE, PATCH_SCORES], {"image": image})
    steps = np.diff(patches[0].astype(np.float64), axis=1)
    span = float(np.ptp(patches[0]))
    # A seam would be a step unlike those beside it.
    assert np.abs(np.diff(steps, axis=1))[:, 1:-1].max() <= 0.01 * span


def test_the_cost_of_all_tiles_is_known_before_they_are_run() -> None:
    tiling = Tiling.of((1000, 1000), 320, 40)
    model = whole_graph(tiling)
    costs = CostBound(model, channels=3, name="made")
    costs.check((1, 2000, 2000, 3))
    assert costs.outputs[RAW_SCORE][1] == (1,)


def looked_at_in_any_order(image: Array) -> float:
    tiling = Tiling.of((60, 100), 32, 8)
    raw, _ = run(open_session(whole_graph(tiling).SerializeToString()), [RAW_SCORE, PATCH_SCORES], {"image": image})
    return float(raw[0])


def test_a_transposed_layout_is_no_matter_of_the_tiles() -> None:
    image = texture(3, (60, 100))[None, :, :, None]
    assert looked_at_in_any_order(image) == looked_at_in_any_order(image.copy(order="F"))
