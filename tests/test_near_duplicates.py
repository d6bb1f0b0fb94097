from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from onlygood import near_duplicates
from onlygood.near_duplicates import CLOSENESS, ORDINARY_RANK, near_duplicate_groups


def different(n: int) -> list[str]:
    return [f"digest {number}" for number in range(n)]


def reference(descriptors: NDArray[np.float32], digests: list[str]) -> list[int]:
    """The definition, pair by pair."""
    firsts = [position for position, digest in enumerate(digests) if digests.index(digest) == position]
    points = descriptors[firsts].astype(np.float64)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    rank = min(ORDINARY_RANK, max(1, len(firsts) // 4))
    ordinary = [sorted(np.delete(distances[row], row))[rank] for row in range(len(firsts))]
    together = {position: {position} for position in range(len(digests))}

    def unite(one: int, other: int) -> None:
        union = together[one] | together[other]
        for member in union:
            together[member] = union

    for position, digest in enumerate(digests):
        unite(position, digests.index(digest))
    for one, other in combinations(range(len(firsts)), 2):
        if distances[one, other] < CLOSENESS * min(ordinary[one], ordinary[other]):
            unite(firsts[one], firsts[other])
    numbers: dict[int, int] = {}
    return [numbers.setdefault(min(together[position]), len(numbers)) for position in range(len(digests))]


def shots(parts: int, *, each: int, noise: float, seed: int) -> tuple[NDArray[np.float32], list[int]]:
    """Descriptors of parts that were photographed several times, shuffled, and which part each is of."""
    random = np.random.default_rng(seed)
    owners = random.permutation(np.repeat(np.arange(parts), each))
    centres = random.normal(size=(parts, 30))
    return (centres[owners] + noise * random.normal(size=(len(owners), 30))).astype(np.float32), owners.tolist()


def same_partition(first: list[int], second: list[int]) -> bool:
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("parts", "each", "noise"), [(60, 1, 0.0), (20, 3, 0.1), (20, 3, 0.6), (3, 1, 0.0), (2, 2, 0.5)]
)
def test_groups_are_those_of_the_definition(parts: int, each: int, noise: float, seed: int) -> None:
    descriptors, _ = shots(parts, each=each, noise=noise, seed=seed)
    digests = [f"digest {number}" for number in np.random.default_rng(seed).integers(0, 500, size=len(descriptors))]
    assert near_duplicate_groups(descriptors, digests) == reference(descriptors, digests)


def test_every_shot_of_a_part_is_found_and_different_parts_stay_apart() -> None:
    descriptors, owners = shots(40, each=3, noise=0.02, seed=0)
    groups = near_duplicate_groups(descriptors, different(120))
    assert same_partition(groups, owners)


def test_parts_photographed_once_are_left_alone() -> None:
    descriptors, _ = shots(150, each=1, noise=0.0, seed=1)
    assert near_duplicate_groups(descriptors, different(150)) == list(range(150))


def test_a_tight_cluster_of_different_parts_is_left_alone() -> None:
    # 40 parts of one kind, a thousandth as different from one another as the other 40 are.
    random = np.random.default_rng(2)
    descriptors = random.normal(size=(80, 30)).astype(np.float32)
    descriptors[:40] *= 1e-3
    assert near_duplicate_groups(descriptors, different(80)) == list(range(80))


def test_chains_join_their_ends() -> None:
    # Six exposures of one part, each near the next; the ends are as far apart as different parts.
    random = np.random.default_rng(3)
    centres = random.normal(size=(60, 30)) * 10
    step = np.zeros(30)
    step[0] = 12.0
    chain = [centres[0] + number * step for number in range(6)]
    descriptors = np.array([*chain, *centres[1:]], dtype=np.float32)
    groups = near_duplicate_groups(descriptors, different(65))
    assert groups[:6] == [0] * 6
    assert groups[6:] == list(range(1, 60))
    only_ends = np.delete(descriptors, [1, 2, 3, 4], axis=0)
    assert near_duplicate_groups(only_ends, different(61)) == list(range(61))


def test_equal_pixels_belong_together_with_and_without_descriptors() -> None:
    digests = ["a", "b", "a", "c", "b", "d"]
    assert near_duplicate_groups(None, digests) == [0, 1, 0, 2, 1, 3]
    descriptors = np.eye(6, dtype=np.float32)
    assert near_duplicate_groups(descriptors, digests) == [0, 1, 0, 2, 1, 3]


def test_copies_do_not_shrink_what_is_ordinary() -> None:
    # With its thirty copies counted, the nearest pictures of every picture would be at distance 0.
    descriptors, owners = shots(20, each=2, noise=0.05, seed=4)
    copied = np.concatenate([descriptors, np.repeat(descriptors[:1], 30, axis=0)])
    groups = near_duplicate_groups(copied, [*different(40), *["digest 0"] * 30])
    assert same_partition(groups, [*owners, *[owners[0]] * 30])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_two_pictures_or_fewer_are_told_apart_by_their_pixels_alone(n: int) -> None:
    assert near_duplicate_groups(np.zeros((n, 4), dtype=np.float32), different(n)) == list(range(n))


def test_the_order_of_the_pictures_does_not_matter() -> None:
    descriptors, _ = shots(30, each=3, noise=0.5, seed=5)
    order = np.random.default_rng(6).permutation(90)
    first = near_duplicate_groups(descriptors, different(90))
    second = near_duplicate_groups(descriptors[order], different(90))
    assert 30 < len(set(first)) < 90
    assert same_partition([first[position] for position in order], second)


def test_labels_are_numbered_in_order_of_first_appearance() -> None:
    descriptors, _ = shots(30, each=2, noise=0.02, seed=7)
    groups = near_duplicate_groups(descriptors, different(60))
    assert list(dict.fromkeys(groups)) == list(range(30))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors, _ = shots(25, each=3, noise=0.5, seed=8)
    whole = near_duplicate_groups(descriptors, different(75))
    for chunk in (1, 7, 75):
        monkeypatch.setattr(near_duplicates, "CHUNK", chunk)
        assert near_duplicate_groups(descriptors, different(75)) == whole
