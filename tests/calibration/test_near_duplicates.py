from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onlygood.calibration import near_duplicates
from onlygood.calibration.near_duplicates import (
    FEW,
    FEW_SCALES,
    FRAME_EDGES,
    FRAME_SCALES,
    LEAST_FRAMES,
    LEAST_ROUND,
    MANY_SCALES,
    MEDIAN_RATIO,
    SINGLE_LINK_RATIO,
    near_duplicate_groups,
)

D = 64
Points = NDArray[np.float32]


def different(n: int) -> list[str]:
    return [f"digest {number}" for number in range(n)]


def shots(parts: int, *, each: int, noise: float, seed: int) -> tuple[Points, list[int]]:
    """Descriptors of parts that were photographed several times, shuffled, and which part each is of.

    Two parts are about 1 apart, and two shots of one part about `noise`.
    """
    random = np.random.default_rng(seed)
    owners = random.permutation(np.repeat(np.arange(parts), each))
    centres = random.normal(size=(parts, D))
    points = centres[owners] + noise * random.normal(size=(len(owners), D))
    return (points / np.sqrt(2 * D)).astype(np.float32), owners.tolist()


def groups_of(points: Points, noise_scale: float, **more: Any) -> list[int]:
    return near_duplicate_groups(points, different(len(points)), noise_scale=noise_scale, **more)[0]


def same_partition(first: list[int], second: list[int]) -> bool:
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def reference(points: Points, noise_scale: float, ranks: list[int]) -> list[int]:
    """The definition, set by set: every connected component at every distance."""
    count = len(points)
    distances = np.linalg.norm(points[:, None].astype(np.float64) - points[None], axis=2)
    sets: dict[frozenset[int], tuple[float, float, int]] = {}
    components = [frozenset([position]) for position in range(count)]
    edges: dict[frozenset[int], int] = dict.fromkeys(components, 0)
    for flat in np.argsort(distances, axis=None):
        one, other = (int(end) for end in np.unravel_index(flat, distances.shape))
        first, second = (next(part for part in components if end in part) for end in (one, other))
        if first == second:
            continue
        union = first | second
        edges[union] = edges[first] + edges[second] + (abs(ranks[one] - ranks[other]) == 1)
        outside = [position for position in range(count) if position not in union]
        around = distances[np.ix_(sorted(union), outside)].min() if outside else np.inf
        sets[union] = (float(distances[one, other]), float(around), edges[union])
        components = [part for part in components if part not in (first, second)] + [union]

    def ratio(members: frozenset[int]) -> float:
        inside, around, follow = sets[members]
        size = len(members)
        if 2 * size > count:
            return np.inf
        linked = inside <= SINGLE_LINK_RATIO * around
        inner = distances[np.ix_(sorted(members), sorted(members))][np.triu_indices(size, 1)]
        round_ = (
            LEAST_ROUND <= size <= count / 3
            and np.median(inner) <= MEDIAN_RATIO * around
            and inside <= MEDIAN_RATIO * around
        )
        tight = inside <= (FEW_SCALES if size <= FEW else MANY_SCALES) * noise_scale
        frames = size >= LEAST_FRAMES and inside <= FRAME_SCALES * noise_scale and follow >= FRAME_EDGES * (size - 1)
        return inside / around if (tight and (linked or round_)) or (frames and linked) else np.inf

    def best(members: frozenset[int]) -> list[frozenset[int]]:
        """The things within: the set itself, or those of its two halves if they explain all of it better."""
        if len(members) == 1:
            return []
        inner = [part for part in sets if part < members]
        top = [part for part in inner if not any(part < other for other in inner)]
        found = [thing for part in top for thing in best(part)]
        if np.isfinite(ratio(members)):
            covers = sum(map(len, found)) == len(members)
            split = covers and (min(map(len, found)) >= LEAST_ROUND or max(map(ratio, found)) < ratio(members))
            return found if split else [members]
        return found

    labels = list(range(count))
    for thing in best(frozenset(range(count))):
        for member in thing:
            labels[member] = min(thing)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("parts", "each", "noise"),
    [(40, 1, 0.0), (12, 3, 0.1), (12, 3, 0.5), (5, 9, 0.6), (5, 9, 0.9), (3, 14, 0.3), (3, 1, 0.0), (2, 2, 0.5)],
)
def test_groups_are_those_of_the_definition(parts: int, each: int, noise: float, seed: int) -> None:
    points, _ = shots(parts, each=each, noise=noise, seed=seed)
    ranks = np.random.default_rng(seed).permutation(len(points)).tolist()
    for scale in (0.05, 0.3, 0.6, 1.0):
        assert groups_of(points, scale, file_order=ranks) == reference(points, scale, ranks)


# However many copies there are


@pytest.mark.parametrize(
    ("parts", "each", "noise"),
    [
        *((parts, each, noise) for parts, each in ((40, 3), (100, 2), (300, 2), (2, 100)) for noise in (0.02, 0.3)),
        *(
            (parts, each, noise)
            for parts, each in ((3, 100), (12, 21), (12, 22), (12, 60), (30, 6))
            for noise in (0.02, 0.3, 0.6)
        ),
    ],
)
def test_every_shot_of_a_part_is_found_and_different_parts_stay_apart(parts: int, each: int, noise: float) -> None:
    points, owners = shots(parts, each=each, noise=noise, seed=0)
    assert same_partition(groups_of(points, noise), owners)


def test_pairs_are_the_same_among_few_images_and_among_many() -> None:
    pairs, _ = shots(20, each=2, noise=0.3, seed=1)
    others, _ = shots(2800, each=1, noise=0.0, seed=2)
    few = groups_of(np.concatenate([pairs, others[:20]]), 0.3)
    many = groups_of(np.concatenate([pairs, others]), 0.3)
    assert len(set(few[:40])) == 20
    assert few[:40] == many[:40]


def test_only_the_ratio_to_the_noise_scale_counts() -> None:
    points, _ = shots(30, each=3, noise=0.55, seed=3)
    first = groups_of(points, 0.5)
    assert 30 <= len(set(first)) < 90
    assert groups_of(1000 * points, 500.0) == first


def test_parts_photographed_once_are_left_alone() -> None:
    points, _ = shots(150, each=1, noise=0.0, seed=4)
    for scale in (0.01, 0.5, 1.0, 5.0):
        groups, note = near_duplicate_groups(points, different(150), noise_scale=scale)
        assert len(set(groups)) > 140
        assert note is None


# Variants of a part


def variants(sizes: list[int], *, seed: int) -> Points:
    """Different parts, about 1 apart, in variants that are 10 apart."""
    random = np.random.default_rng(seed)
    parts = random.normal(size=(sum(sizes), D)) / np.sqrt(2 * D)
    which = np.repeat(np.arange(len(sizes)), sizes)
    return (parts + 10 * random.normal(size=(len(sizes), D))[which] / np.sqrt(2 * D)).astype(np.float32)


@pytest.mark.parametrize("sizes", [[20] * 4, [7] * 12, [40, 40], [60, 10], [60, 7, 7], [100, 20, 5]])
def test_variants_whose_parts_differ_by_more_than_noise_are_left_alone(sizes: list[int]) -> None:
    points = variants(sizes, seed=5)
    groups, note = near_duplicate_groups(points, different(len(points)), noise_scale=0.3)
    assert groups == list(range(len(points)))
    assert note == (
        f"{len(points)} of {len(points)} good images fall into {len(sizes)} clusters of similar images that differ by "
        "more than camera noise: each counts as an independent image; if a cluster is one part in several images, say "
        "so with --group-by."
    )


def test_the_same_clusters_are_grouped_where_noise_is_as_wide_as_they_are() -> None:
    groups, note = near_duplicate_groups(variants([20] * 4, seed=5), different(80), noise_scale=1.0)
    assert (len(set(groups)), note) == (4, None)


def test_parts_are_found_within_variants() -> None:
    points, owners = shots(16, each=6, noise=0.3, seed=6)
    points[:, 0] += 20 * (np.array(owners) % 4)
    assert same_partition(groups_of(points, 1.0), owners)


def test_one_set_never_holds_more_than_half_of_the_images() -> None:
    # Ninety parts that noise alone tells apart, and ten odd images: nothing shows how far apart different parts are.
    points, _ = shots(100, each=1, noise=0.0, seed=7)
    points[90:] *= 20
    groups, note = near_duplicate_groups(points, different(100), noise_scale=1.0)
    assert len(set(groups)) > 85
    assert note is None


def test_two_halves_that_lie_hardly_apart_are_not_two_things() -> None:
    # Images of nothing but noise, in two file formats.
    points, _ = shots(12, each=1, noise=0.0, seed=18)
    points[::2, 0] += 0.8
    assert groups_of(points, 1.5) == list(range(12))


# The order of the files


def tracks(parts: int, frames: int, *, step: float, seed: int) -> tuple[Points, list[int]]:
    """Parts about 1 apart that move away from where they began, 3 scales of noise (0.05) a frame if step is 0.15."""
    random = np.random.default_rng(seed)
    starts = random.normal(size=(parts, 1, D)) / np.sqrt(2 * D)
    directions = random.normal(size=(parts, 1, D))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    points = starts + step * np.arange(frames)[None, :, None] * directions
    return points.reshape(-1, D).astype(np.float32), np.repeat(np.arange(parts), frames).tolist()


def test_frames_that_follow_one_another_are_one_thing_and_the_same_in_disorder_are_not() -> None:
    points, owners = tracks(8, 20, step=0.15, seed=8)
    assert same_partition(groups_of(points, 0.05, file_order=range(160)), owners)
    disorder = np.random.default_rng(9).permutation(160).tolist()
    assert groups_of(points, 0.05, file_order=disorder) == list(range(160))
    assert groups_of(points, 0.05) == list(range(160))


def test_chains_join_their_ends_without_any_order() -> None:
    points, owners = tracks(8, 6, step=0.15, seed=10)
    disorder = np.random.default_rng(11).permutation(48)
    assert same_partition(groups_of(points[disorder], 0.1), np.array(owners)[disorder].tolist())


def test_files_sorted_by_variant_are_no_video() -> None:
    points = variants([20] * 4, seed=12)
    assert groups_of(points, 0.3, file_order=range(80)) == list(range(80))


# Equal pixels, order, numbering, memory


def test_equal_pixels_belong_together_with_and_without_descriptors() -> None:
    digests = ["a", "b", "a", "c", "b", "d"]
    points = np.eye(6, dtype=np.float32)
    points[[2, 4]] = points[[0, 1]]
    for descriptors, scale in ((None, 0.0), (points, 0.0), (points, 0.1)):
        groups, note = near_duplicate_groups(descriptors, digests, noise_scale=scale)
        assert (groups, note) == ([0, 1, 0, 2, 1, 3], None)


def test_copies_count_once_in_what_is_half_of_the_images() -> None:
    points, owners = shots(20, each=2, noise=0.1, seed=13)
    copied = np.concatenate([points, np.repeat(points[:1], 100, axis=0)])
    groups, _ = near_duplicate_groups(copied, [*different(40), *["digest 0"] * 100], noise_scale=0.1)
    assert same_partition(groups, [*owners, *[owners[0]] * 100])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_two_images_or_fewer_are_told_apart_by_their_pixels_alone(n: int) -> None:
    assert groups_of(np.zeros((n, 4), dtype=np.float32), 1.0) == list(range(n))


def test_equal_descriptors_of_different_images_do_no_harm() -> None:
    groups, _ = near_duplicate_groups(np.zeros((30, 4), dtype=np.float32), different(30), noise_scale=1.0)
    assert len(groups) == 30


def test_the_order_of_the_images_does_not_matter() -> None:
    points, _ = shots(30, each=3, noise=0.55, seed=14)
    order = np.random.default_rng(15).permutation(90)
    first, second = groups_of(points, 0.5), groups_of(points[order], 0.5)
    assert 30 <= len(set(first)) < 90
    assert same_partition([first[position] for position in order], second)


def test_labels_are_numbered_in_order_of_first_appearance() -> None:
    points, _ = shots(30, each=2, noise=0.02, seed=16)
    assert list(dict.fromkeys(groups_of(points, 0.02))) == list(range(30))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = shots(25, each=3, noise=0.55, seed=17)
    whole = groups_of(points, 0.5)
    for chunk in (1, 7, 75):
        monkeypatch.setattr(near_duplicates, "CHUNK", chunk)
        assert groups_of(points, 0.5) == whole
    for kept in (1, 2, 75):
        monkeypatch.setattr(near_duplicates, "KEPT_NEAREST", kept)
        assert groups_of(points, 0.5) == whole
