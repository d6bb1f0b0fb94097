from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from onlygood.backbones.backbone import Tap
from onlygood.detectors.patch.head import (
    Bank,
    Memory,
    Unit,
    Windows,
    combine_maps,
    combine_scores,
    patch_head,
    region_embedding,
)
from onlygood.graph.patches import patch_embedding
from onlygood.graph.subgraph import LEAST_NORM, in_trunk, join
from reference import evaluate, local_mean, resize

RANDOM_SEED = 0
D = 12


def memory(m: int, d: int, q: int, *, seed: int = RANDOM_SEED) -> Memory:
    random = np.random.default_rng(seed)
    return Memory(
        mean=random.normal(size=d).astype(np.float32),
        whitening=random.normal(size=(d, q)).astype(np.float32),
        memory_bank=(3 * random.normal(size=(m, q))).astype(np.float32),
    )


def bank(part: Memory | None = None, *, top_patches: int = 3, name: str = "bank", of: str = "embedding") -> Bank:
    return Bank(name=name, embedding=of, memory=memory(70, D, D - 2) if part is None else part, top_patches=top_patches)


def plain(rows: NDArray[np.float32]) -> Memory:
    """A memory of these rows, without whitening."""
    d = rows.shape[1]
    return Memory(
        mean=np.zeros(d, dtype=np.float32),
        whitening=np.eye(d, dtype=np.float32),
        memory_bank=rows,
    )


def head(fitted: Bank, embedding: NDArray[np.float32]) -> dict[str, Any]:
    """The image scores and the patch scores by one bank."""
    model = join(patch_head(fitted), outputs=[fitted.score, fitted.patch_scores])
    found = evaluate(model, {fitted.embedding: embedding})
    return {"score": found[fitted.score], "patch_scores": found[fitted.patch_scores]}


def embeddings(*shape: int, seed: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def nearest_distances(part: Memory, vectors: NDArray[Any]) -> NDArray[np.float64]:
    """By scikit-learn, on vectors whitened in float64."""
    whitened = (vectors.astype(np.float64) - part.mean) @ part.whitening.astype(np.float64)
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="kd_tree").fit(part.memory_bank.astype(np.float64))
    distances: NDArray[np.float64] = neighbours.kneighbors(whitened)[0][:, 0]
    return distances


# From taps to an embedding

TAPS = (Tap(name="fine", channels=5, reduction=4), Tap(name="coarse", channels=7, reduction=8))


def embed(
    taps: Sequence[Tap],
    values: dict[str, NDArray[np.float32]],
    *,
    shape: tuple[int, int],
    grid: tuple[int, int],
    name: str = "embedding",
) -> NDArray[Any]:
    piece = patch_embedding(taps, input_shape=shape, grid=grid, name=name)
    feeds = {in_trunk(tap): value for tap, value in values.items()}
    return np.asarray(evaluate(join(piece, outputs=[name]), feeds)[name])


def to_grid(planes: NDArray[np.float64], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Planes [N, c, H, W] on a grid: means of whole blocks where the grid divides both sides, else resized."""
    (height, width), (rows, columns) = planes.shape[-2:], grid
    if height % rows or width % columns:
        return resize(planes, rows, columns)
    means = np.empty((*planes.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            across, along = height // rows, width // columns
            block = planes[..., i * across : (i + 1) * across, j * along : (j + 1) * along]
            means[..., i, j] = block.mean(axis=(-2, -1))
    return means


def embed_slowly(maps: Sequence[NDArray[np.float32]], grid: tuple[int, int]) -> NDArray[np.float64]:
    units = []
    for values in maps:
        pooled = to_grid(local_mean(values), grid)
        lengths = np.sqrt((pooled**2).sum(axis=1, keepdims=True))
        units.append(pooled / np.maximum(lengths, LEAST_NORM))
    return np.concatenate(units, axis=1).transpose(0, 2, 3, 1)


def tap_values(taps: Sequence[Tap], shape: tuple[int, int], n: int = 2) -> dict[str, NDArray[np.float32]]:
    """Values of taps as a trunk gives them for an input of this shape."""
    return {
        tap.name: embeddings(n, tap.channels, *(-(-side // tap.reduction) for side in shape), seed=number)
        for number, tap in enumerate(taps)
    }


@pytest.mark.parametrize("shape", [(64, 64), (60, 60), (8, 8), (96, 32), (32, 96), (40, 44), (44, 40)])
def test_an_embedding_is_local_means_of_unit_length_side_by_side(shape: tuple[int, int]) -> None:
    grid = -(-shape[0] // 8), -(-shape[1] // 8)
    values = tap_values(TAPS, shape)
    found = embed(TAPS, values, shape=shape, grid=grid)
    assert found.shape == (2, *grid, 12)
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), grid), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found[..., :5], axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found[..., 5:], axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "grid", "operators"),
    [
        ((64, 96), (16, 24), ["AveragePool"]),  # the tap's own grid
        ((64, 96), (8, 12), ["AveragePool", "AveragePool"]),
        ((64, 96), (16, 8), ["AveragePool", "AveragePool"]),  # another number of times across than along
        ((64, 96), (1, 1), ["AveragePool", "AveragePool"]),
        ((64, 96), (5, 12), ["AveragePool", "Resize"]),  # only one side is divided
        ((64, 96), (8, 7), ["AveragePool", "Resize"]),
        ((60, 60), (8, 8), ["AveragePool", "Resize"]),  # 15 places on 8
        ((64, 96), (32, 48), ["AveragePool", "Resize"]),  # a grid finer than the tap
    ],
)
def test_taps_come_to_the_grid_by_means_of_blocks_where_it_divides_them_and_else_linearly(
    shape: tuple[int, int], grid: tuple[int, int], operators: list[str]
) -> None:
    piece = patch_embedding(TAPS[:1], input_shape=shape, grid=grid)
    assert [node.op_type for node in piece.graph.node if node.op_type in ("AveragePool", "Resize")] == operators
    values = tap_values(TAPS[:1], shape)
    found = embed(TAPS[:1], values, shape=shape, grid=grid)
    assert found.shape == (2, *grid, 5)
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), grid), atol=3e-6)


def test_means_of_blocks_and_linear_resizing_are_not_the_same() -> None:
    # Otherwise the test above could not tell which was computed.
    planes = local_mean(embeddings(1, 5, 16, 16))
    assert np.abs(to_grid(planes, (8, 8)) - resize(planes, 8, 8)).max() > 0.05


def test_three_taps_and_the_order_asked_for() -> None:
    taps = (Tap(name="c", channels=3, reduction=32), *TAPS)
    values = tap_values(taps, (64, 128), n=1)
    found = embed(taps, values, shape=(64, 128), grid=(2, 4))
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), (2, 4)), atol=2e-6)


def test_taps_may_have_any_name() -> None:
    names = ("/layer1/Relu_output_0", "image", "embedding", "12", "joined")
    taps = tuple(Tap(name=name, channels=2, reduction=8) for name in names)
    values = tap_values(taps, (32, 32), n=1)
    found = embed(taps, values, shape=(32, 32), grid=(4, 4))
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), (4, 4)), atol=2e-6)


def test_several_embeddings_stand_in_one_graph_each_under_its_name() -> None:
    values = tap_values(TAPS, (64, 48))
    fine = patch_embedding(TAPS, input_shape=(64, 48), grid=(16, 12), name="first")
    coarse = patch_embedding(TAPS[1:], input_shape=(64, 48), grid=(4, 3), name="second")
    found = evaluate(
        join(fine, coarse, outputs=["second", "first"]), {in_trunk(name): value for name, value in values.items()}
    )
    np.testing.assert_allclose(found["first"], embed_slowly(list(values.values()), (16, 12)), atol=2e-6)
    np.testing.assert_allclose(found["second"], embed_slowly([values["coarse"]], (4, 3)), atol=2e-6)


def test_silence_stays_silent_instead_of_being_stretched_to_unit_length() -> None:
    values = {"fine": np.zeros((1, 5, 16, 16), np.float32), "coarse": np.full((1, 7, 8, 8), 1e-9, np.float32)}
    found = embed(TAPS, values, shape=(64, 64), grid=(8, 8))
    np.testing.assert_array_equal(found[..., :5], 0)
    np.testing.assert_allclose(found[..., 5:], 1e-9 / LEAST_NORM, rtol=1e-5)


# Regions


def spans(windows: Windows) -> list[tuple[int, int]]:
    """Begin and end of each window."""
    starts = [number * windows.stride for number in range(windows.count)]
    return [(start, start + windows.size) for start in starts]


@given(patches=st.integers(1, 200), share=st.floats(0.005, 1.5))
def test_windows_cover_all_patches_symmetrically_and_overlap(patches: int, share: float) -> None:
    windows = Windows.along(patches, share * patches)
    found = spans(windows)
    assert (found[0][0], found[-1][1]) == (0, patches)
    assert [(patches - end, patches - start) for start, end in reversed(found)] == found
    assert 1 <= windows.size <= patches
    assert 1 <= windows.count <= patches
    if windows.count > 1:
        # A third of the size asked for, which is less than a patch above that of the windows; and rounding it down
        # makes the strides less than a patch longer.
        assert windows.stride < 2 / 3 * (windows.size + 1) + 1
        assert windows.stride <= windows.size, "no patch is between two windows"
    asked = max(1.0, share * patches)
    if windows.stride > 1 or windows.count == 1:
        assert windows.size >= math.floor(min(asked, patches))
    # What is left over when the strides are rounded down widens the windows: less than a patch for each stride. So does
    # a stride no longer than the windows, where these are of a patch or two.
    assert windows.size <= math.ceil(asked) + max(windows.count - 2, 0) or windows.size == patches


@pytest.mark.parametrize(
    ("patches", "size", "expected"),
    [
        (20, 12.0, [(0, 12), (8, 20)]),
        (24, 14.4, [(0, 14), (10, 24)]),
        (7, 4.2, [(0, 4), (3, 7)]),
        (14, 8.4, [(0, 8), (6, 14)]),
        (40, 12.0, [(0, 12), (7, 19), (14, 26), (21, 33), (28, 40)]),
        (10, 10.0, [(0, 10)]),
        (10, 12.5, [(0, 10)]),
        (3, 1.0, [(0, 1), (1, 2), (2, 3)]),
        (3, 1.8, [(0, 2), (1, 3)]),
        (2, 0.85, [(0, 1), (1, 2)]),
        (1, 0.6, [(0, 1)]),
        (1, 0.85, [(0, 1)]),
    ],
)
def test_windows_are_evenly_spaced_and_as_large_as_asked_for(
    patches: int, size: float, expected: list[tuple[int, int]]
) -> None:
    assert spans(Windows.along(patches, size)) == expected


@pytest.mark.parametrize(("shape", "sizes"), [((20, 20), (12, 12)), ((9, 31), (10, 10)), ((4, 3), (1, 2.5))])
def test_region_embeddings_are_means_over_windows(shape: tuple[int, int], sizes: tuple[float, float]) -> None:
    rows, columns = (Windows.along(side, size) for side, size in zip(shape, sizes, strict=True))
    values = embeddings(3, *shape, 5)
    piece = region_embedding("patches", rows, columns, name="regions")
    found = evaluate(join(piece, outputs=["regions"]), {"patches": values})["regions"]
    assert found.shape == (3, rows.count, columns.count, 5)
    for i, (top, bottom) in enumerate(spans(rows)):
        for j, (left, right) in enumerate(spans(columns)):
            expected = values[:, top:bottom, left:right].astype(np.float64).mean(axis=(1, 2))
            np.testing.assert_allclose(found[:, i, j], expected, atol=1e-6)


# From an embedding to the scores of a bank


@pytest.mark.parametrize("top_patches", [1, 3, 20])
def test_scores_are_distances_to_the_nearest_row_after_whitening(top_patches: int) -> None:
    fitted = bank(top_patches=top_patches)
    embedding = embeddings(3, 4, 5, D)
    found = head(fitted, embedding)
    distances = nearest_distances(fitted.memory, embedding.reshape(-1, D)).reshape(3, 20)
    np.testing.assert_allclose(found["patch_scores"], distances.reshape(3, 4, 5), rtol=1e-5)
    np.testing.assert_allclose(found["score"], np.sort(distances)[:, -top_patches:].mean(axis=1), rtol=1e-5)


def test_a_copy_of_a_row_has_distance_exactly_0() -> None:
    rows = embeddings(200, 16)
    found = head(bank(plain(rows), top_patches=2), rows[:12].reshape(1, 3, 4, 16))
    np.testing.assert_array_equal(found["patch_scores"], 0)
    assert found["score"].tolist() == [0]


def test_the_distance_to_a_near_copy_is_not_drowned_by_rounding() -> None:
    # In |x|^2 - 2 x.b + |b|^2 with |b|^2 of 160,000, float32 knows nothing below about 0.1.
    rows = (100 * embeddings(50, 16)).round()
    near = rows[:9].copy()
    near[:, 3] += np.float32(2**-6)
    found = head(bank(plain(rows), top_patches=1), near.reshape(1, 3, 3, 16))
    np.testing.assert_array_equal(found["patch_scores"], 2**-6)


def test_an_image_has_the_same_scores_alone_and_in_a_batch() -> None:
    fitted = bank()
    embedding = embeddings(4, 5, 3, D)
    batch = head(fitted, embedding)
    for position in range(4):
        for name, values in head(fitted, embedding[position : position + 1]).items():
            np.testing.assert_allclose(batch[name][position], values[0], rtol=1e-5)


def test_memories_may_hold_a_single_row() -> None:
    found = head(bank(plain(np.float32([[1, 2, 2]])), top_patches=1), np.zeros((2, 1, 1, 3), dtype=np.float32))
    assert found["patch_scores"].tolist() == [[[3]], [[3]]]
    assert found["score"].tolist() == [3, 3]


# Several banks

TWO = (bank(name="a"), bank(name="b"))
THREE = (*TWO, bank(name="c"))


def test_the_raw_score_is_the_mean_of_the_two_highest_each_in_its_unit() -> None:
    units = (Unit(center=10, scale=2), Unit(center=-1, scale=0.5), Unit(center=0, scale=1))
    model = join(combine_scores(THREE, units), outputs=["raw_score"])
    scores = {
        "a_score": np.float32([10, 16, 2, 0]),
        "b_score": np.float32([-2, -1, 3, -9]),
        "c_score": np.float32([2, 1, -6, -7]),
    }
    # 0, -2 and 2; 3, 0 and 1; -4, 8 and -6; -5, -16 and -7.
    assert evaluate(model, scores)["raw_score"].tolist() == [1, 2, 2, -6]


def test_of_two_banks_the_raw_score_is_the_mean() -> None:
    units = (Unit(center=10, scale=2), Unit(center=-1, scale=0.5))
    model = join(combine_scores(TWO, units), outputs=["raw_score"])
    found = evaluate(model, {"a_score": np.float32([10, 16]), "b_score": np.float32([-2, -1])})
    assert found["raw_score"].tolist() == [-1, 1.5]


def test_the_raw_score_of_one_bank_is_its_score_in_its_unit() -> None:
    model = join(combine_scores(TWO[:1], [Unit(center=3, scale=4)]), outputs=["raw_score"])
    assert evaluate(model, {"a_score": np.float32([3, 5])})["raw_score"].tolist() == [0, 0.5]


@pytest.mark.parametrize("count", [1, 3])
def test_every_bank_needs_its_unit(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        combine_scores(TWO, [Unit(center=0, scale=1)] * count)
    with pytest.raises(ValueError, match="zip"):
        combine_maps(TWO, [Unit(center=0, scale=1)] * count, (2, 2))


def test_the_map_is_the_mean_over_the_banks_each_in_its_unit() -> None:
    units = (Unit(center=10, scale=2), Unit(center=-1, scale=0.5))
    first, second = embeddings(2, 3, 4), embeddings(2, 3, 4, seed=3)
    model = join(combine_maps(TWO, units, (3, 4)), outputs=["patch_scores"])
    found = evaluate(model, {"a_patch_scores": first, "b_patch_scores": second})["patch_scores"]
    expected = ((first.astype(np.float64) - 10) / 2 + (second.astype(np.float64) + 1) / 0.5) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_maps_of_other_sizes_come_linearly_to_the_grid() -> None:
    units = (Unit(center=1, scale=2), Unit(center=0, scale=4))
    fine, coarse = embeddings(2, 6, 10), embeddings(2, 3, 4, seed=3)
    model = join(combine_maps(TWO, units, (6, 10)), outputs=["patch_scores"])
    found = evaluate(model, {"a_patch_scores": fine, "b_patch_scores": coarse})["patch_scores"]
    expected = ((fine - 1.0) / 2 + resize(coarse, 6, 10) / 4) / 2
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_map_of_one_bank_on_its_own_grid_is_its_patch_scores_in_its_unit() -> None:
    model = join(combine_maps(TWO[:1], [Unit(center=0.5, scale=0.25)], (2, 2)), outputs=["patch_scores"])
    found = evaluate(model, {"a_patch_scores": np.float32([[[0, 0.5], [1, 2]]])})["patch_scores"]
    np.testing.assert_array_equal(found, [[[-2, 0], [2, 6]]])


LEVELS = (Tap(name="t", channels=5, reduction=4), Tap(name="u", channels=7, reduction=8))
SHAPE = (32, 48)


def whole(opset: int = 18, *, units: Sequence[Unit]) -> tuple[onnx.ModelProto, list[Bank]]:
    """A detector of two levels and regions, and its banks."""
    rows, columns = Windows.along(4, 2.4), Windows.along(6, 2.4)
    banks = [
        bank(memory(30, 5, 5, seed=4), name="x", of="fine", top_patches=4),
        bank(memory(40, 12, 9, seed=5), name="y", of="coarse"),
        bank(memory(9, 12, 12, seed=6), name="z", of="regions", top_patches=1),
    ]
    model = join(
        patch_embedding(LEVELS[:1], input_shape=SHAPE, grid=(8, 12), name="fine", opset=opset),
        patch_embedding(LEVELS, input_shape=SHAPE, grid=(4, 6), name="coarse", opset=opset),
        region_embedding("coarse", rows, columns, name="regions", opset=opset),
        *(patch_head(each, opset=opset) for each in banks),
        combine_scores(banks, units, opset=opset),
        combine_maps(banks[:2], units[:2], (8, 12), opset=opset),
        outputs=["raw_score", "patch_scores", *(each.score for each in banks)],
    )
    return model, banks


UNITS = (Unit(center=2, scale=0.5), Unit(center=3, scale=0.2), Unit(center=1, scale=4))


@pytest.mark.parametrize("opset", [18, 20])
def test_several_banks_in_one_graph_give_what_each_gives_alone(opset: int) -> None:
    model, banks = whole(opset, units=UNITS)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import] == [opset]
    assert {node.domain for node in model.graph.node} == {""}
    values = tap_values(LEVELS, SHAPE, n=3)
    found = evaluate(model, {in_trunk(name): value for name, value in values.items()})
    fine = embed_slowly([values["t"]], (8, 12)).astype(np.float32)
    coarse = embed_slowly(list(values.values()), (4, 6)).astype(np.float32)
    down, across = spans(Windows.along(4, 2.4)), spans(Windows.along(6, 2.4))
    regions = np.stack(
        [
            np.stack([coarse[:, top:bottom, left:right].mean(axis=(1, 2)) for left, right in across], axis=1)
            for top, bottom in down
        ],
        axis=1,
    )
    alone = [head(each, of) for each, of in zip(banks, (fine, coarse, regions), strict=True)]
    for each, expected in zip(banks, alone, strict=True):
        np.testing.assert_allclose(found[each.score], expected["score"], rtol=1e-4)
    in_units = [(part["score"] - unit.center) / unit.scale for part, unit in zip(alone, UNITS, strict=True)]
    two_highest = np.sort(in_units, axis=0)[1:]
    np.testing.assert_allclose(found["raw_score"], two_highest.mean(axis=0), rtol=1e-3, atol=1e-4)
    maps = (alone[0]["patch_scores"] - 2) / 0.5, (resize(alone[1]["patch_scores"], 8, 12) - 3) / 0.2
    np.testing.assert_allclose(found["patch_scores"], np.mean(maps, axis=0), rtol=1e-3, atol=1e-3)


def test_a_whole_detector_gives_an_image_the_same_alone_and_in_a_batch() -> None:
    model, _ = whole(units=UNITS)
    values = {in_trunk(name): value for name, value in tap_values(LEVELS, SHAPE, n=4).items()}
    batch = evaluate(model, values)
    for position in range(4):
        alone = evaluate(model, {name: value[position : position + 1] for name, value in values.items()})
        for name, expected in alone.items():
            np.testing.assert_allclose(batch[name][position], expected[0], rtol=1e-4, atol=1e-5)
