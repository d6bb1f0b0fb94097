from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.on_backbone import SAMPLE_ROWS, patches_per_image
from onlygood.detectors.patch.head import Memory, Unit
from onlygood.detectors.patch.memory import (
    REGION_SHRINKAGE,
    Fitted,
    Refillable,
    Rows,
    fit_memory,
    unit_of,
)
from onlygood.detectors.whitening import PATCH_SHRINKAGE, Moments, learn_whitening


def vectors(n: int, d: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Correlated, of very different spreads, and away from the origin."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(d, d)) * np.geomspace(0.1, 10, d)
    return (random.normal(size=(n, d)) @ mixing + random.normal(size=d) * 5).astype(np.float32)


def fitted(
    patches: NDArray[np.float32], *, bank_size: int = 50, shrinkage: float = PATCH_SHRINKAGE, seed: int = 0
) -> Memory:
    """A memory of patches, ten of each group."""
    return fit_memory(
        Rows(patches, np.arange(len(patches)) // 10, np.arange(len(patches)) // 5, shrinkage),
        bank_size=bank_size,
        seed=seed,
    ).memory


def whiten(part: Memory, values: NDArray[Any]) -> NDArray[np.float64]:
    whitened: NDArray[np.float64] = (values.astype(np.float64) - part.mean) @ part.whitening.astype(np.float64)
    return whitened


@pytest.mark.parametrize("shrinkage", [PATCH_SHRINKAGE, REGION_SHRINKAGE, 0.5])
def test_whitened_coordinates_are_uncorrelated_and_of_the_variance_that_shrinkage_leaves(shrinkage: float) -> None:
    source = vectors(3000, 8)
    part = fitted(source, shrinkage=shrinkage)
    eigenvalues = np.linalg.eigvalsh(np.cov(source.T.astype(np.float64), bias=True))
    covariance = np.cov(whiten(part, source).T, bias=True)
    # variance / (variance + shrinkage * mean variance): 1 but for directions in which next to nothing varies.
    expected = eigenvalues / (eigenvalues + shrinkage * eigenvalues.mean())
    np.testing.assert_allclose(np.sort(np.diag(covariance)), np.sort(expected), rtol=1e-3)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-3)
    np.testing.assert_allclose(whiten(part, source).mean(axis=0), 0, atol=1e-4)


def test_whitening_gives_unit_variance_where_all_directions_vary() -> None:
    patches = np.random.default_rng(0).normal(3, 20, size=(20_000, 6)).astype(np.float32)
    variances = whiten(fitted(patches), patches).var(axis=0)
    np.testing.assert_allclose(variances, 1 / (1 + PATCH_SHRINKAGE), rtol=1e-3)


def test_distances_are_mahalanobis_with_the_shrunk_covariance() -> None:
    patches = vectors(500, 7)
    part = fitted(patches)
    covariance = np.cov(patches.T.astype(np.float64), bias=True)
    covariance += PATCH_SHRINKAGE * np.trace(covariance) / 7 * np.eye(7)
    first, second = patches[:100].astype(np.float64), patches[100:200].astype(np.float64)
    expected = np.einsum("nd,de,ne->n", first - second, np.linalg.inv(covariance), first - second)
    found = ((whiten(part, first) - whiten(part, second)) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize(("bank_size", "kept"), [(40, 40), (1, 1), (300, 300), (1000, 300)])
def test_a_bank_holds_whitened_rows_and_which_they_are(bank_size: int, kept: int) -> None:
    patches = vectors(300, 5)
    found = fit_memory(
        Rows(patches, np.arange(300) // 10, np.arange(300) // 5, PATCH_SHRINKAGE), bank_size=bank_size, seed=0
    )
    part = found.memory
    assert part.memory_bank.shape == (kept, 5)
    np.testing.assert_allclose(part.memory_bank, whiten(part, patches)[found.kept], atol=1e-3)
    assert len(np.unique(part.memory_bank, axis=0)) == kept
    for array in (part.mean, part.whitening, part.memory_bank):
        assert array.dtype == np.float32


def test_the_same_seed_gives_the_same_memory_and_another_seed_another_bank() -> None:
    patches = vectors(300, 5)
    first, second, third = (fitted(patches, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.memory_bank, second.memory_bank)
    np.testing.assert_array_equal(first.whitening, third.whitening)
    assert not np.array_equal(first.memory_bank, third.memory_bank)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
def test_constant_images_make_a_memory_of_one_row_at_distance_0(value: float) -> None:
    constant = np.full((60, 4), value, dtype=np.float32)
    part = fitted(constant)
    assert part.memory_bank.tolist() == [[0, 0, 0, 0]]
    assert np.isfinite(part.whitening).all()
    np.testing.assert_array_equal(whiten(part, constant), 0)


def test_a_direction_in_which_nothing_varies_is_shrunk_and_not_blown_up() -> None:
    patches = vectors(500, 4)
    patches[:, 2] = 1.0
    part = fitted(patches)
    mean_variance = float(np.trace(np.cov(patches.T.astype(np.float64), bias=True))) / 4
    step = np.zeros((1, 4))
    step[0, 2] = 1.0
    found = np.linalg.norm(step @ part.whitening)
    assert found == pytest.approx(1 / np.sqrt(PATCH_SHRINKAGE * mean_variance), rel=1e-3)


@pytest.mark.parametrize(
    ("images", "patches", "expected"),
    [(1, 196, 196), (102, 196, 196), (103, 196, 194), (200, 196, 100), (20_000, 196, 1), (1_000_000, 196, 1)],
)
def test_samples_stay_within_their_bound(images: int, patches: int, expected: int) -> None:
    assert patches_per_image(images, patches) == expected
    assert images * expected <= max(SAMPLE_ROWS, images)


# The unit of a bank's scores


def of(*scores: float) -> Unit:
    return unit_of(np.array(scores, dtype=np.float32))


@pytest.mark.parametrize(
    ("scores", "center", "scale"),
    [
        # Median 2, upper half (3 + 5) / 2 = 4: sqrt(2 * 2).
        ((1, 1, 3, 5), 2, 2),
        # The median itself belongs to the upper half of an odd number: (4 + 6 + 14) / 3 - 4 = 4: sqrt(4 * 4).
        ((14, 1, 4, 2, 6), 4, 4),
        # Two: median 8, and 8 + 8 above it.
        ((0, 16), 8, 8),
    ],
)
def test_a_unit_is_the_geometric_mean_of_the_median_and_the_excess_of_the_upper_half(
    scores: tuple[float, ...], center: float, scale: float
) -> None:
    assert of(*scores) == Unit(center=center, scale=pytest.approx(scale))
    assert of(*reversed(scores)) == of(*scores)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_scores_in_units_do_not_depend_on_how_distances_are_scaled(factor: float) -> None:
    scores = np.random.default_rng(0).gamma(20, 0.3, size=31).astype(np.float32)
    unit, scaled = unit_of(scores), unit_of(scores * np.float32(factor))
    assert (scaled.center, scaled.scale) == pytest.approx((factor * unit.center, factor * unit.scale), rel=1e-5)


@pytest.mark.parametrize(
    ("scores", "unit"),
    [
        ([5.0], Unit(5.0, 5.0)),
        ([5.0] * 20, Unit(5.0, 5.0)),
        ([1e4] * 19 + [1e4 * (1 + 1e-6)], Unit(1e4, 1e4)),  # an excess of 1e-7 of the median is rounding
        ([0.0], Unit(0.0, 1.0)),
        ([0.0] * 3, Unit(0.0, 1.0)),
        ([0.0, 0.0, 0.0, 4.0], Unit(0.0, 2.0)),  # most images are alike: what there is above them
    ],
)
def test_a_unit_is_above_0_where_scores_do_not_vary_or_are_0(scores: list[float], unit: Unit) -> None:
    assert of(*scores) == unit


def test_a_few_odd_images_change_a_unit_little() -> None:
    scores = np.linspace(4, 6, 100).astype(np.float32)
    odd = scores.copy()
    odd[:3] = 50  # ten times as far as all others
    plain, found = unit_of(scores), unit_of(odd)
    assert found.center == pytest.approx(plain.center, rel=0.02)
    # By algebra: the excess grows from 0.5 by about 3 * 45 / 50 = 2.7, the scale by sqrt(3.2 / 0.5) = 2.5. The
    # standard deviation would grow 13-fold.
    assert found.scale / plain.scale == pytest.approx(2.5, rel=0.05)
    assert np.std(odd) / np.std(scores) > 13


# Memories for groups that they have not seen


def two_levels(groups: int, *, bank_size: int = 10_000) -> tuple[list[Fitted], list[Rows]]:
    """Ten patches and two regions of each group, with embeddings of different sizes."""
    owners = [np.arange(each * groups) % groups + 100 for each in (10, 2)]
    rows = [
        Rows(vectors(10 * groups, 4), owners[0], owners[0], PATCH_SHRINKAGE),
        Rows(vectors(2 * groups, 3, seed=1), owners[1], owners[1], REGION_SHRINKAGE),
    ]
    return [fit_memory(each, bank_size=bank_size, seed=0) for each in rows], rows


def without(
    fitted: list[Fitted], rows: list[Rows], groups: NDArray[np.int64], *, bank_size: int = 10_000, folds: int = 10
) -> list[tuple[frozenset[int], list[Memory]]]:
    """Each part of the groups, and the memories without it."""
    parts = folds_of_groups(groups, seed=0, folds=folds)
    levels = [
        Refillable(each, known, parts, bank_size=bank_size, seed=0) for each, known in zip(fitted, rows, strict=True)
    ]
    return [
        (frozenset(part.tolist()), [level.without(number) for level in levels]) for number, part in enumerate(parts)
    ]


def rows_of(part: Memory, source: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which of the source's rows those of a bank are."""
    distances = np.linalg.norm(whiten(part, source)[:, None] - part.memory_bank[None], axis=2)
    assert distances.min(axis=0).max() < 1e-3
    found: NDArray[np.int64] = distances.argmin(axis=0)
    return found


@pytest.mark.parametrize(("groups", "folds"), [(2, 10), (7, 10), (10, 10), (33, 10), (33, 40)])
def test_memories_for_unseen_groups_are_made_without_them(groups: int, folds: int) -> None:
    fitted, rows = two_levels(groups)
    all_groups = np.arange(groups) + 100
    came: list[int] = []
    parts = without(fitted, rows, all_groups, folds=folds)
    assert len(parts) == min(folds, groups)
    for unseen, memories in parts:
        came += unseen
        for part, source in zip(memories, rows, strict=True):
            others = np.flatnonzero(~np.isin(source.owners, list(unseen)))
            kept = source.vectors[others]
            width = kept.shape[1]
            covariance = np.cov(kept.T.astype(np.float64), bias=True)
            covariance += source.shrinkage * np.trace(covariance) / width * np.eye(width)
            np.testing.assert_allclose(part.mean, kept.mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-4)
            whitening = part.whitening.astype(np.float64)
            np.testing.assert_allclose(whitening @ whitening.T @ covariance, np.eye(width), atol=1e-2)
            # There is room for all rows, and all others are there.
            assert sorted(rows_of(part, source.vectors)) == others.tolist()
    assert sorted(came) == all_groups.tolist()


@pytest.mark.parametrize("bank_size", [1, 3, 40])
def test_banks_without_groups_are_filled_up_with_what_covers_the_others_best(bank_size: int) -> None:
    fitted, rows = two_levels(30, bank_size=bank_size)
    for unseen, memories in without(fitted, rows, np.arange(30) + 100, bank_size=bank_size):
        for part, each, source in zip(memories, fitted, rows, strict=True):
            others = np.flatnonzero(~np.isin(source.owners, list(unseen)))
            found = rows_of(part, source.vectors).tolist()
            assert len(found) == min(bank_size, len(others))
            left = [row for row in each.kept.tolist() if row in others]
            if not left:  # all that the bank held is gone: it begins with any other
                left = found[:1]
                assert found[0] in others
            assert found[: len(left)] == left
            # By the textbook, in the coordinates of the whole memory.
            whitened = whiten(each.memory, source.vectors)
            for number in range(len(left), len(found)):
                distances = np.linalg.norm(whitened[others][:, None] - whitened[found[:number]][None], axis=2)
                assert others[distances.min(axis=1).argmax()] == found[number]


def test_an_unseen_image_lies_as_far_from_a_memory_without_it_as_a_new_one() -> None:
    """The point of it all: scores by leave-one-out are those of new images, and not of images in a hole."""
    generator = np.random.default_rng(0)
    kinds = generator.standard_normal((400, 6))

    def image() -> NDArray[np.float32]:
        drawn = kinds[generator.integers(400, size=25)]
        return (drawn + 0.1 * generator.standard_normal((25, 6))).astype(np.float32)

    images = [image() for _ in range(60)]
    owners = np.repeat(np.arange(60), 25)
    rows = Rows(np.concatenate(images), owners, owners, PATCH_SHRINKAGE)
    fitted = fit_memory(rows, bank_size=300, seed=0)

    def score(part: Memory, patches: NDArray[np.float32]) -> float:
        distances = np.linalg.norm(whiten(part, patches)[:, None] - part.memory_bank[None], axis=2)
        return float(distances.min(axis=1).max())

    left_out = [
        score(part, images[group])
        for unseen, (part,) in without([fitted], [rows], np.arange(60), bank_size=300)
        for group in unseen
    ]
    new = [score(fitted.memory, image()) for _ in range(300)]
    share_above = np.mean([value > np.median(left_out) for value in new])
    # The median's rank has a standard error of 0.5 / sqrt(60) = 0.065; memories of nine tenths put it a little higher.
    assert 0.25 < share_above < 0.65


def test_whitening_from_few_rows_gives_the_distances_of_whitening_from_the_whole_covariance() -> None:
    rows = np.random.default_rng(3).standard_normal((9, 40)).astype(np.float32)
    new = np.random.default_rng(4).standard_normal((30, 40)).astype(np.float32)
    mean, whitening = learn_whitening(rows, shrinkage=0.1)
    covariance = np.cov(rows.T.astype(np.float64), bias=True)
    shrunk = covariance + 0.1 * np.trace(covariance) / 40 * np.eye(40)
    expected = np.einsum("nd,de,ne->n", new - mean, np.linalg.inv(shrunk), new - mean)
    np.testing.assert_allclose(np.square((new - mean) @ whitening).sum(axis=1), expected, rtol=1e-4)


@pytest.mark.parametrize("count", [5, 200])
def test_moments_that_cannot_tell_ask_for_the_rows(count: int) -> None:
    """Too few rows for the directions, or rows that vary by less than is left of their distance from the origin."""
    generator = np.random.default_rng(5)
    alike = (1e-3 * generator.standard_normal((count, 12))).astype(np.float32)
    far = np.full(12, 10.0, np.float32)
    assert Moments.of(alike, far).whitening(far, shrinkage=0.1) is None
    near = Moments.of(alike, np.zeros(12, np.float32)).whitening(np.zeros(12, np.float32), shrinkage=0.1)
    assert (near is None) == (count == 5)


def test_a_memory_whose_other_images_are_all_the_same_is_whitened_by_them() -> None:
    generator = np.random.default_rng(6)
    vectors = np.full((40, 6), 3.0, np.float32)
    vectors[:20] += generator.standard_normal((20, 6)).astype(np.float32)
    owners = np.repeat([100, 101], 20)
    rows = Rows(vectors, owners, owners, PATCH_SHRINKAGE)
    fitted = fit_memory(rows, bank_size=20, seed=0)
    for unseen, (part,) in without([fitted], [rows], np.array([100, 101]), bank_size=20):
        others = vectors[~np.isin(owners, list(unseen))]
        _, expected = learn_whitening(others, shrinkage=PATCH_SHRINKAGE)
        new = generator.standard_normal((5, 6))
        np.testing.assert_allclose(
            np.linalg.norm(new @ part.whitening, axis=1), np.linalg.norm(new @ expected, axis=1), rtol=1e-3
        )
