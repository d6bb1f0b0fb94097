from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.datasets.splits import folds_of_groups, hold_out, merge_groups
from onlygood.errors import FolderError, SettingError

LABELS = st.lists(st.integers(0, 8), min_size=1, max_size=40)


@settings(deadline=None)
@given(groups=LABELS.filter(lambda labels: len(set(labels)) > 1), per_cent=st.integers(1, 99), seed=st.integers(0, 99))
def test_a_share_of_the_groups_is_held_out_whatever_their_sizes(groups: list[int], per_cent: int, seed: int) -> None:
    held = hold_out(groups, per_cent / 100, seed=seed)
    assert held.shape == (len(groups),)
    assert held.dtype == np.bool_
    inside = {group for group, out in zip(groups, held, strict=True) if out}
    outside = {group for group, out in zip(groups, held, strict=True) if not out}
    assert inside
    assert outside
    assert not inside & outside
    # In whole numbers: the share rounded up, unless only one group would be left.
    everyone = len(inside) + len(outside)
    assert len(inside) == min(-(-per_cent * everyone // 100), everyone - 1)


# 0.07 * 100 is a little more than 7 in binary.
@pytest.mark.parametrize(
    ("count", "fraction", "expected"), [(100, 0.07, 7), (100, 0.29, 29), (10, 0.3, 3), (7, 0.3, 3)]
)
def test_images_on_their_own_are_held_out_in_the_exact_number(count: int, fraction: float, expected: int) -> None:
    assert hold_out(range(count), fraction, seed=0).sum() == expected


def test_the_seed_draws_the_groups() -> None:
    first = hold_out(range(50), 0.3, seed=0)
    np.testing.assert_array_equal(first, hold_out(range(50), 0.3, seed=0))
    assert (first != hold_out(range(50), 0.3, seed=1)).any()
    # Every group has its turn, so none is held out or kept by where it stands.
    often = sum(hold_out(range(10), 0.5, seed=seed).astype(int) for seed in range(200))
    assert 60 < np.min(often) <= np.max(often) < 140


def test_one_group_stays_however_much_is_asked_for() -> None:
    held = hold_out(["a", "a", "b"], 0.99, seed=0)
    assert held.tolist() in ([True, True, False], [False, False, True])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, math.nan])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(SettingError, match="between 0 and 1, both excluded, got"):
        hold_out([0, 1], fraction, seed=0)


@pytest.mark.parametrize(("groups", "got"), [([], "got 0 of 0 images"), (["a"] * 4, "got 1 of 4 images")])
def test_fewer_than_two_groups_are_refused(groups: list[str], got: str) -> None:
    with pytest.raises(FolderError, match=f"at least two groups, {got}"):
        hold_out(groups, 0.5, seed=0)


def test_groups_that_overlap_become_one() -> None:
    sessions = ["monday", "monday", "tuesday", "tuesday", "friday"]
    parts = [1, 2, 2, 3, 4]
    assert merge_groups(sessions, parts) == [0, 0, 0, 0, 1]
    assert merge_groups([1, 2, 3], ["a", "b", "c"]) == [0, 1, 2]
    assert merge_groups([], []) == []


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_merged_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    # A component grows until nothing that shares a label with it is left outside.
    expected: list[int | None] = [None] * len(pairs)
    number = 0
    for start in range(len(pairs)):
        if expected[start] is not None:
            continue
        members, grown = {start}, set[int]()
        while members != grown:
            grown = members
            members = {
                position
                for position, pair in enumerate(pairs)
                if any(pair[0] == pairs[member][0] or pair[1] == pairs[member][1] for member in grown)
            }
        for member in members:
            expected[member] = number
        number += 1
    first: list[Hashable] = [f"session {pair[0]}" for pair in pairs]
    second: list[Hashable] = [pair[1] for pair in pairs]
    assert merge_groups(first, second) == expected
    assert merge_groups(second, first) == expected


@settings(deadline=None)
@given(groups=LABELS, folds=st.integers(1, 12), seed=st.integers(0, 99))
def test_every_group_is_in_one_fold_and_folds_hold_about_as_many(groups: list[int], folds: int, seed: int) -> None:
    parts = folds_of_groups(np.array(groups), seed=seed, folds=folds)
    sizes = [len(part) for part in parts]
    assert len(parts) == min(folds, len(set(groups)))
    assert sorted(np.concatenate(parts).tolist()) == sorted(set(groups))
    assert max(sizes) - min(sizes) <= 1
