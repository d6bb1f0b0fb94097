from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onlygood.detectors.patch import (
    LOCAL_SHRINKAGE,
    SAMPLE_ROWS,
    balance,
    fit_patch_memory,
    memories_without,
    patches_per_picture,
)
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening
from onlygood.graph.patch_head import Memory, PatchMemory
from onlygood.splits import FOLDS


def rows(n: int, d: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Correlated, of very different spreads, and away from the origin."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(d, d)) * np.geomspace(0.1, 10, d)
    return (random.normal(size=(n, d)) @ mixing + random.normal(size=d) * 5).astype(np.float32)


def fitted(
    patches: NDArray[np.float32],
    wholes: NDArray[np.float32],
    *,
    bank_size: int = 50,
    top_patches: int = 4,
    seed: int = 0,
) -> PatchMemory:
    return fit_patch_memory(
        patches,
        np.arange(len(patches)) // 10,
        wholes,
        np.arange(len(wholes)),
        bank_size=bank_size,
        top_patches=top_patches,
        seed=seed,
    )


def whiten(part: Memory, values: NDArray[Any]) -> NDArray[np.float64]:
    whitened: NDArray[np.float64] = (values.astype(np.float64) - part.mean) @ part.whitening.astype(np.float64)
    return whitened


@pytest.mark.parametrize(("name", "shrinkage"), [("local", LOCAL_SHRINKAGE), ("overall", WHOLE_SHRINKAGE)])
def test_whitened_coordinates_are_uncorrelated_and_of_the_variance_that_shrinkage_leaves(
    name: str, shrinkage: float
) -> None:
    patches, wholes = rows(3000, 8), rows(400, 8, seed=1)
    part = getattr(fitted(patches, wholes), name)
    source = patches if name == "local" else wholes
    eigenvalues = np.linalg.eigvalsh(np.cov(source.T.astype(np.float64), bias=True))
    covariance = np.cov(whiten(part, source).T, bias=True)
    # variance / (variance + shrinkage * mean variance): 1 but for directions in which next to nothing varies.
    expected = eigenvalues / (eigenvalues + shrinkage * eigenvalues.mean())
    np.testing.assert_allclose(np.sort(np.diag(covariance)), np.sort(expected), rtol=1e-3)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-3)
    np.testing.assert_allclose(whiten(part, source).mean(axis=0), 0, atol=1e-4)


def test_whitening_gives_unit_variance_where_all_directions_vary() -> None:
    patches = np.random.default_rng(0).normal(3, 20, size=(20_000, 6)).astype(np.float32)
    variances = whiten(fitted(patches, patches[:50]).local, patches).var(axis=0)
    np.testing.assert_allclose(variances, 1 / (1 + LOCAL_SHRINKAGE), rtol=1e-3)


def test_distances_are_mahalanobis_with_the_shrunk_covariance() -> None:
    patches = rows(500, 7)
    part = fitted(patches, rows(20, 7)).local
    covariance = np.cov(patches.T.astype(np.float64), bias=True)
    covariance += LOCAL_SHRINKAGE * np.trace(covariance) / 7 * np.eye(7)
    first, second = patches[:100].astype(np.float64), patches[100:200].astype(np.float64)
    expected = np.einsum("nd,de,ne->n", first - second, np.linalg.inv(covariance), first - second)
    found = ((whiten(part, first) - whiten(part, second)) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_banks_hold_whitened_rows_with_the_groups_that_they_come_from() -> None:
    patches, wholes = rows(300, 5), rows(30, 5, seed=1)
    memory = fitted(patches, wholes, bank_size=40)
    assert (len(memory.local.memory_bank), len(memory.overall.memory_bank), memory.top_patches) == (40, 30, 4)
    for part, source, per_group in ((memory.local, patches, 10), (memory.overall, wholes, 1)):
        whitened = whiten(part, source)
        for row, owner in zip(part.memory_bank, part.owners, strict=True):
            distances = np.linalg.norm(whitened - row, axis=1)
            assert distances.min() < 1e-3
            assert owner == distances.argmin() // per_group
        assert len(np.unique(part.memory_bank, axis=0)) == len(part.memory_bank)
        for array in (part.mean, part.whitening, part.memory_bank):
            assert array.dtype == np.float32


def test_the_same_seed_gives_the_same_memory_and_another_seed_another_bank() -> None:
    patches, wholes = rows(300, 5), rows(30, 5, seed=1)
    first, second, third = (fitted(patches, wholes, seed=seed).local for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.memory_bank, second.memory_bank)
    np.testing.assert_array_equal(first.whitening, third.whitening)
    assert not np.array_equal(first.memory_bank, third.memory_bank)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
def test_constant_pictures_make_a_memory_of_one_row_at_distance_0(value: float) -> None:
    constant = np.full((60, 4), value, dtype=np.float32)
    for part in (fitted(constant, constant).local, fitted(constant, constant).overall):
        assert part.memory_bank.tolist() == [[0, 0, 0, 0]]
        assert np.isfinite(part.whitening).all()
        np.testing.assert_array_equal(whiten(part, constant), 0)


def test_a_direction_in_which_nothing_varies_is_shrunk_and_not_blown_up() -> None:
    patches = rows(500, 4)
    patches[:, 2] = 1.0
    part = fitted(patches, rows(10, 4)).local
    mean_variance = float(np.trace(np.cov(patches.T.astype(np.float64), bias=True))) / 4
    step = np.zeros((1, 4))
    step[0, 2] = 1.0
    found = np.linalg.norm(step @ part.whitening)
    assert found == pytest.approx(1 / np.sqrt(LOCAL_SHRINKAGE * mean_variance), rel=1e-3)


@pytest.mark.parametrize(
    ("pictures", "patches", "expected"),
    [(1, 196, 196), (204, 196, 196), (205, 196, 195), (400, 196, 100), (40_000, 196, 1), (1_000_000, 196, 1)],
)
def test_samples_stay_within_their_bound(pictures: int, patches: int, expected: int) -> None:
    assert patches_per_picture(pictures, patches) == expected
    assert pictures * expected <= max(SAMPLE_ROWS, pictures)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_balanced_local_scores_have_unit_spread_and_overall_scores_that_asked_for(weight: float) -> None:
    random = np.random.default_rng(0)
    local, overall = random.normal(40, 3, size=90).astype(np.float32), random.normal(7, 0.2, size=90).astype(np.float32)
    found = balance(local, overall, weight)
    assert np.std(found.local * local.astype(np.float64)) == pytest.approx(1)
    assert np.std(found.overall * overall.astype(np.float64)) == pytest.approx(weight)


@pytest.mark.parametrize("scores", [[5.0], [5.0] * 20, [0.0] * 3, [1e4, 1e4 * (1 + 1e-7)]])
def test_scores_that_do_not_vary_are_left_in_their_own_unit(scores: list[float]) -> None:
    same = np.array(scores, dtype=np.float32)
    found = balance(same, same, 0.5)
    assert (found.local, found.overall) == (1.0, 0.5)


@pytest.mark.parametrize("groups", [2, 7, 10, 33])
def test_memories_for_unseen_groups_are_whitened_without_them(groups: int) -> None:
    # Ten patches and two wholes a group, all of them in the banks.
    patches, wholes = rows(10 * groups, 4), rows(2 * groups, 4, seed=1)
    patch_owners, whole_owners = np.arange(10 * groups) % groups + 100, np.arange(2 * groups) % groups + 100
    memory = fit_patch_memory(patches, patch_owners, wholes, whole_owners, bank_size=10_000, top_patches=3, seed=0)
    came: list[int] = []
    parts = list(memories_without(memory, patches, patch_owners, wholes, whole_owners, seed=0))
    assert len(parts) == min(FOLDS, groups)
    for unseen, without in parts:
        came += unseen
        assert without.top_patches == 3
        sources = ((patches, patch_owners), (wholes, whole_owners))
        for part, whole, (source, owners) in zip(
            (without.local, without.overall), (memory.local, memory.overall), sources, strict=True
        ):
            kept = ~np.isin(owners, list(unseen))
            shrinkage = LOCAL_SHRINKAGE if source is patches else WHOLE_SHRINKAGE
            covariance = np.cov(source[kept].T.astype(np.float64), bias=True)
            covariance += shrinkage * np.trace(covariance) / 4 * np.eye(4)
            np.testing.assert_allclose(part.mean, source[kept].mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-4)
            whitening = part.whitening.astype(np.float64)
            np.testing.assert_allclose(whitening @ whitening.T @ covariance, np.eye(4), atol=1e-2)
            # The same rows of the same owners, as this whitening sees them.
            np.testing.assert_array_equal(part.owners, whole.owners)
            nearest = np.linalg.norm(whiten(whole, source)[None] - whole.memory_bank[:, None], axis=2).argmin(axis=1)
            np.testing.assert_allclose(part.memory_bank, whiten(part, source[nearest]), atol=2e-3)
    assert sorted(came) == sorted(set(whole_owners.tolist()))


def test_which_groups_go_together_is_drawn_by_the_seed() -> None:
    patches, owners = rows(60, 4), np.arange(60) % 30
    memory = fit_patch_memory(patches, owners, patches, owners, bank_size=100, top_patches=3, seed=0)

    def drawn(seed: int) -> list[frozenset[int]]:
        return [part for part, _ in memories_without(memory, patches, owners, patches, owners, seed=seed)]

    assert drawn(0) == drawn(0) != drawn(1)


def test_whitening_from_few_rows_gives_the_distances_of_whitening_from_the_whole_covariance() -> None:
    rows = np.random.default_rng(3).standard_normal((9, 40)).astype(np.float32)
    new = np.random.default_rng(4).standard_normal((30, 40)).astype(np.float32)
    mean, whitening = learn_whitening(rows, shrinkage=0.1)
    covariance = np.cov(rows.T.astype(np.float64), bias=True)
    shrunk = covariance + 0.1 * np.trace(covariance) / 40 * np.eye(40)
    expected = np.einsum("nd,de,ne->n", new - mean, np.linalg.inv(shrunk), new - mean)
    np.testing.assert_allclose(np.square((new - mean) @ whitening).sum(axis=1), expected, rtol=1e-4)
