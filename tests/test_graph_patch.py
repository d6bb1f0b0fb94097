from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from onlygood.backbone import Tap
from onlygood.graph.fragments import in_trunk, join
from onlygood.graph.patch_head import SHORTEST, Balance, Memory, PatchMemory, combine, patch_embedding, patch_head
from reference import evaluate, local_mean, resize

HEAD_OUTPUTS = ["patch_scores", "local_score", "overall_score"]
RANDOM_SEED = 0


def memory(m: int, d: int, q: int, *, seed: int = RANDOM_SEED, groups: int = 5) -> Memory:
    random = np.random.default_rng(seed)
    return Memory(
        mean=random.normal(size=d).astype(np.float32),
        whitening=random.normal(size=(d, q)).astype(np.float32),
        memory_bank=(3 * random.normal(size=(m, q))).astype(np.float32),
        owners=random.integers(0, groups, size=m),
    )


def patch_memory(*, d: int = 12, top_patches: int = 3) -> PatchMemory:
    return PatchMemory(local=memory(70, d, d), overall=memory(9, d, d - 2, seed=1), top_patches=top_patches)


def plain(rows: NDArray[np.float32]) -> Memory:
    """A memory of these rows, without whitening."""
    d = rows.shape[1]
    return Memory(
        mean=np.zeros(d, dtype=np.float32),
        whitening=np.eye(d, dtype=np.float32),
        memory_bank=rows,
        owners=np.zeros(len(rows), dtype=np.int64),
    )


def head(fitted: PatchMemory, embedding: NDArray[np.float32], **norms: Any) -> dict[str, Any]:
    model = join(patch_head(fitted, excludable=bool(norms)), outputs=HEAD_OUTPUTS)
    return evaluate(model, {"embedding": embedding, **norms})


def embeddings(*shape: int, seed: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def nearest_distances(part: Memory, vectors: NDArray[Any]) -> NDArray[np.float64]:
    """By scikit-learn, on vectors whitened in float64."""
    whitened = (vectors.astype(np.float64) - part.mean) @ part.whitening.astype(np.float64)
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="kd_tree").fit(part.memory_bank.astype(np.float64))
    distances: NDArray[np.float64] = neighbours.kneighbors(whitened)[0][:, 0]
    return distances


TAPS = (Tap(name="fine", channels=5, reduction=4), Tap(name="coarse", channels=7, reduction=8))


def embed(taps: tuple[Tap, ...], values: dict[str, NDArray[np.float32]], *, size: int, grid: int) -> NDArray[Any]:
    model = join(patch_embedding(taps, input_size=size, grid=grid), outputs=["embedding"])
    feeds = {in_trunk(name): value for name, value in values.items()}
    return np.asarray(evaluate(model, feeds)["embedding"])


def embed_slowly(maps: list[NDArray[np.float32]], grid: int) -> NDArray[np.float64]:
    units = []
    for values in maps:
        pooled = resize(local_mean(values), grid, grid)
        lengths = np.sqrt((pooled**2).sum(axis=1, keepdims=True))
        units.append(pooled / np.maximum(lengths, SHORTEST))
    return np.concatenate(units, axis=1).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("size", [64, 60, 8])
def test_an_embedding_is_local_means_of_unit_length_side_by_side(size: int) -> None:
    grid = -(-size // 8)
    values = {
        "fine": embeddings(2, 5, -(-size // 4), -(-size // 4)),
        "coarse": embeddings(2, 7, grid, grid, seed=3),
    }
    found = embed(TAPS, values, size=size, grid=grid)
    assert found.shape == (2, grid, grid, 12)
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), grid), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found[..., :5], axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found[..., 5:], axis=-1), 1, rtol=1e-6)


def test_three_taps_and_the_order_asked_for() -> None:
    taps = (Tap(name="c", channels=3, reduction=32), *TAPS)
    values = {"c": embeddings(1, 3, 2, 2), "fine": embeddings(1, 5, 16, 16), "coarse": embeddings(1, 7, 8, 8)}
    found = embed(taps, values, size=64, grid=2)
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), 2), atol=2e-6)


def test_taps_may_have_any_name() -> None:
    names = ("/layer1/Relu_output_0", "image", "embedding", "12", "joined")
    taps = tuple(Tap(name=name, channels=2, reduction=8) for name in names)
    values = {name: embeddings(1, 2, 4, 4, seed=seed) for seed, name in enumerate(names)}
    found = embed(taps, values, size=32, grid=4)
    np.testing.assert_allclose(found, embed_slowly(list(values.values()), 4), atol=2e-6)


def test_silence_stays_silent_instead_of_being_stretched_to_unit_length() -> None:
    values = {"fine": np.zeros((1, 5, 16, 16), np.float32), "coarse": np.full((1, 7, 8, 8), 1e-9, np.float32)}
    found = embed(TAPS, values, size=64, grid=8)
    np.testing.assert_array_equal(found[..., :5], 0)
    np.testing.assert_allclose(found[..., 5:], 1e-9 / SHORTEST, rtol=1e-5)


@pytest.mark.parametrize("top_patches", [1, 3, 20])
def test_scores_are_distances_to_the_nearest_row_after_whitening(top_patches: int) -> None:
    fitted = patch_memory(top_patches=top_patches)
    embedding = embeddings(3, 4, 5, 12)
    found = head(fitted, embedding)
    distances = nearest_distances(fitted.local, embedding.reshape(-1, 12)).reshape(3, 20)
    np.testing.assert_allclose(found["patch_scores"], distances.reshape(3, 4, 5), rtol=1e-5)
    np.testing.assert_allclose(found["local_score"], np.sort(distances)[:, -top_patches:].mean(axis=1), rtol=1e-5)
    overall = nearest_distances(fitted.overall, embedding.astype(np.float64).mean(axis=(1, 2)))
    np.testing.assert_allclose(found["overall_score"], overall, rtol=1e-5)


def test_a_copy_of_a_row_has_distance_exactly_0() -> None:
    rows = embeddings(200, 16)
    found = head(PatchMemory(local=plain(rows), overall=plain(rows), top_patches=2), rows[:12].reshape(1, 3, 4, 16))
    np.testing.assert_array_equal(found["patch_scores"], 0)
    assert found["local_score"].tolist() == [0]
    alone = head(PatchMemory(local=plain(rows), overall=plain(rows), top_patches=1), rows[:5].reshape(5, 1, 1, 16))
    np.testing.assert_array_equal(alone["overall_score"], 0)


def test_the_distance_to_a_near_copy_is_not_drowned_by_rounding() -> None:
    # In |x|^2 - 2 x.b + |b|^2 with |b|^2 of 160,000, float32 knows nothing below about 0.1.
    rows = (100 * embeddings(50, 16)).round()
    near = rows[:9].copy()
    near[:, 3] += np.float32(2**-6)
    found = head(PatchMemory(local=plain(rows), overall=plain(rows), top_patches=1), near.reshape(1, 3, 3, 16))
    np.testing.assert_array_equal(found["patch_scores"], 2**-6)


@pytest.mark.parametrize("without", range(5))
def test_infinite_norms_are_a_memory_without_those_rows(without: int) -> None:
    fitted = patch_memory()
    embedding = embeddings(2, 4, 4, 12)
    found = head(
        fitted,
        embedding,
        local_norms=fitted.local.row_norms(without=without),
        overall_norms=fitted.overall.row_norms(without=without),
    )

    def reduced(part: Memory) -> Memory:
        kept = part.owners != without
        assert kept.any()
        return replace(part, memory_bank=part.memory_bank[kept], owners=part.owners[kept])

    expected = head(replace(fitted, local=reduced(fitted.local), overall=reduced(fitted.overall)), embedding)
    for name in HEAD_OUTPUTS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_ordinary_norms_are_the_head_that_goes_into_the_file() -> None:
    fitted = patch_memory()
    embedding = embeddings(2, 4, 4, 12)
    norms = {"local_norms": fitted.local.row_norms(), "overall_norms": fitted.overall.row_norms()}
    found, expected = head(fitted, embedding, **norms), head(fitted, embedding)
    for name in HEAD_OUTPUTS:
        np.testing.assert_array_equal(found[name], expected[name])


def test_row_norms_are_squared_lengths_and_infinite_for_one_owner() -> None:
    part = Memory(
        mean=np.zeros(2, np.float32),
        whitening=np.eye(2, dtype=np.float32),
        memory_bank=np.float32([[3, 4], [1, 0], [0, -2]]),
        owners=np.array([7, 8, 7]),
    )
    assert part.row_norms().tolist() == [25, 1, 4]
    assert part.row_norms(without=7).tolist() == [np.inf, 1, np.inf]
    assert part.row_norms(without=99).tolist() == [25, 1, 4]


def test_a_picture_has_the_same_scores_alone_and_in_a_batch() -> None:
    fitted = patch_memory()
    embedding = embeddings(4, 5, 3, 12)
    batch = head(fitted, embedding)
    for position in range(4):
        alone = head(fitted, embedding[position : position + 1])
        for name in HEAD_OUTPUTS:
            np.testing.assert_allclose(batch[name][position], alone[name][0], rtol=1e-5)


def test_memories_may_hold_a_single_row() -> None:
    row = np.float32([[1, 2, 2]])
    found = head(
        PatchMemory(local=plain(row), overall=plain(row), top_patches=1), np.zeros((2, 1, 1, 3), dtype=np.float32)
    )
    assert found["patch_scores"].tolist() == [[[3]], [[3]]]
    assert found["overall_score"].tolist() == [3, 3]


def test_the_raw_score_is_the_weighted_sum() -> None:
    model = join(combine(Balance(local=0.5, overall=4.0)), outputs=["raw_score"])
    feeds = {"local_score": np.float32([1, 2, 3]), "overall_score": np.float32([10, 0, -1])}
    assert evaluate(model, feeds)["raw_score"].tolist() == [40.5, 1.0, -2.5]


@pytest.mark.parametrize("opset", [18, 20])
def test_all_pieces_can_be_had_at_a_newer_opset(opset: int) -> None:
    taps = (Tap(name="t", channels=12, reduction=8),)
    model = join(
        patch_embedding(taps, input_size=32, grid=4, opset=opset),
        patch_head(patch_memory(), opset=opset),
        combine(Balance(local=1.0, overall=1.0), opset=opset),
        outputs=["raw_score"],
    )
    assert [entry.version for entry in model.opset_import] == [opset]
    found = evaluate(model, {in_trunk("t"): embeddings(1, 12, 4, 4)})["raw_score"]
    embedding = embed(taps, {"t": embeddings(1, 12, 4, 4)}, size=32, grid=4)
    parts = head(patch_memory(), embedding)
    np.testing.assert_allclose(found, parts["local_score"] + parts["overall_score"], rtol=1e-5)
