from __future__ import annotations

import errno
import json
import math
import os
import tempfile
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import label
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from onlygood.errors import SettingError, WriteError
from onlygood.metrics.pixel import PixelMetrics, PixelTally

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
ImageArray = tuple[Map, Mask | None]


def measure(
    images: Sequence[ImageArray], *, fpr_limit: float = 0.3, most: int = 1_000_000, folder: Path | None = None
) -> PixelMetrics:
    with PixelTally(max_pixels_in_memory=most, folder=folder) as tally:
        for anomaly_map, mask in images:
            tally.add(anomaly_map, mask)
        return tally.result(fpr_limit=fpr_limit)


def regions_of(mask: Mask) -> list[set[tuple[int, int]]]:
    """The 8-connected regions of a mask, each grown from one of its pixels."""
    left = set(zip(*(place.tolist() for place in np.nonzero(mask)), strict=True))
    regions = []
    while left:
        region, edge = set(), {left.pop()}
        while edge:
            region |= edge
            near = {(y + dy, x + dx) for y, x in edge for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
            edge = near & left
            left -= edge
        regions.append(region)
    return regions


def slow_aupro(images: Sequence[ImageArray], limit: Fraction) -> Fraction:
    """AUPRO by its definition, threshold by threshold in rational numbers."""
    regions = [
        [values[place] for place in region]
        for values, mask in images
        if mask is not None
        for region in regions_of(mask)
    ]
    normal = [value for values, mask in images for value in values[~mask if mask is not None else ...].ravel()]
    points = [(Fraction(0), Fraction(0))]
    for threshold in sorted({float(value) for values, _ in images for value in values.ravel()}, reverse=True):
        false_positive_rate = Fraction(sum(float(value) >= threshold for value in normal), len(normal))
        covered = [Fraction(sum(float(value) >= threshold for value in region), len(region)) for region in regions]
        points.append((false_positive_rate, sum(covered, Fraction(0)) / len(covered)))
    area = Fraction(0)
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 < limit and x1 > x0:
            end = min(x1, limit)
            area += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2
    return area / limit


def pixels_of(images: Sequence[ImageArray]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels and values of all pixels; of 64 bits, because scikit-learn takes differences of values."""
    masks = [np.zeros(values.shape, dtype=bool) if mask is None else mask for values, mask in images]
    values = np.concatenate([values.ravel() for values, _ in images])
    return np.concatenate([mask.ravel() for mask in masks]), values.astype(np.float64)


def weighted_aupro(images: Sequence[ImageArray], limit: float) -> float:
    """AUPRO of many pixels: the ROC curve of scikit-learn in which anomalous pixels weigh 1 / size of their region."""
    labels, values = pixels_of(images)
    weights = np.ones(len(labels))
    regions = [label(mask, np.ones((3, 3)))[0] for _, mask in images if mask is not None]
    weights[labels] = np.concatenate([1 / np.bincount(region.ravel())[region[region > 0]] for region in regions])
    x, y, _ = roc_curve(labels, values, sample_weight=weights, drop_intermediate=False)
    within = x < limit
    x, y = np.append(x[within], limit), np.append(y[within], np.interp(limit, x, y))
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]))) / 2 / limit


def has_both_kinds(images: Sequence[ImageArray]) -> bool:
    labels = pixels_of(images)[0]
    return bool(labels.any() and not labels.all())


def check(images: Sequence[ImageArray], *, fpr_limit: float = 0.3, most: int = 1_000_000) -> PixelMetrics:
    """The metrics, after they have been compared with scikit-learn's and the definition of AUPRO."""
    found = measure(images, fpr_limit=fpr_limit, most=most)
    labels, values = pixels_of(images)
    assert found.pixel_auroc == pytest.approx(roc_auc_score(labels, values), abs=1e-9)
    assert found.pixel_average_precision == pytest.approx(average_precision_score(labels, values), abs=1e-9)
    assert found.aupro == pytest.approx(float(slow_aupro(images, Fraction(fpr_limit))), abs=1e-9)
    assert found.fpr_limit == fpr_limit
    assert (found.pixels, found.anomalous_pixels) == (len(labels), int(labels.sum()))
    assert found.regions == sum(len(regions_of(mask)) for _, mask in images if mask is not None)
    return found


def random_images(
    seed: int, *, number: int = 6, height: int = 12, width: int = 9, levels: int | None = None
) -> list[ImageArray]:
    """Maps of normal values, coarser for fewer levels, higher inside masks; every third image has no mask."""
    rng = np.random.default_rng(seed)
    images: list[ImageArray] = []
    for place in range(number):
        mask = rng.random((height, width)) < 0.12
        values = rng.normal(size=(height, width)) + mask
        if levels is not None:
            values = np.round(values * levels) / levels
        images.append((values.astype(np.float32), None if place % 3 == 2 else mask))
    return images


@st.composite
def image_lists(draw: st.DrawFn) -> list[ImageArray]:
    """Up to five small images with few different values, so that ties are frequent: of one bucket or of several."""
    values = draw(
        st.sampled_from(
            [
                [0.0, -0.0, 1.0, 2.0, -1.0],
                [1.0, 1.0 + 2**-23, 1.0 + 2**-22, 1.5],
                [-3e38, -1e-45, 0.0, 1e-45, 1e-20, 3e38],
                [7.0],
            ]
        )
    )
    images: list[ImageArray] = []
    for _ in range(draw(st.integers(1, 5))):
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
        anomaly_map = draw(arrays(np.float32, shape, elements=st.sampled_from(values).map(np.float32)))
        images.append((anomaly_map, draw(st.none() | arrays(np.bool_, shape))))
    return images


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("fpr_limit", [0.01, 0.3, 1.0])
def test_metrics_are_those_of_scikit_learn_and_of_the_definition(
    seed: int, levels: int | None, fpr_limit: float
) -> None:
    check(random_images(seed, levels=levels), fpr_limit=fpr_limit)


@settings(deadline=None, max_examples=40)
@given(
    images=image_lists().filter(has_both_kinds),
    fpr_limit=st.sampled_from([0.05, 0.3, 0.5, 1.0]),
    most=st.integers(1, 60),
)
def test_metrics_hold_with_ties_and_do_not_depend_on_the_temporary_file(
    images: list[ImageArray], fpr_limit: float, most: int
) -> None:
    assert check(images, fpr_limit=fpr_limit) == measure(images, fpr_limit=fpr_limit, most=most)


def test_metrics_of_a_case_worked_by_algebra() -> None:
    # Normal pixels of 0..99, and a region of 4 pixels with 0, 4, 19 and 39 of them above. The limit is 30 normal
    # pixels: of these the four pixels have 30, 26, 11 and 0 under the curve.
    normal = np.arange(100, dtype=np.float32).reshape(10, 10)
    region = np.array([[60.5, 80.5], [95.5, 200]], dtype=np.float32)
    found = measure([(normal, None), (region, np.ones((2, 2), dtype=bool))])
    assert found.pixel_auroc == pytest.approx(1 - (39 + 19 + 4) / 400, abs=1e-15)
    assert found.pixel_average_precision == pytest.approx((1 + 2 / 6 + 3 / 22 + 4 / 43) / 4, abs=1e-15)
    assert found.aupro == pytest.approx((30 + 26 + 11 + 0) / 4 / 30, abs=1e-15)
    assert (found.pixels, found.anomalous_pixels, found.regions, found.fpr_limit) == (104, 4, 1, 0.3)


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    # The large region is above, the small one below all normal pixels.
    values = np.full((20, 20), 5, dtype=np.float32)
    mask = np.zeros((20, 20), dtype=bool)
    values[:10, :10], mask[:10, :10] = 9, True
    values[15, 15], mask[15, 15] = 1, True
    found = measure([(values, mask)])
    assert (found.aupro, found.regions) == (0.5, 2)
    assert found.pixel_auroc == pytest.approx(100 / 101, abs=1e-15)


def test_a_step_at_which_the_curve_crosses_the_limit_is_interpolated() -> None:
    # One value: the curve is the diagonal, and up to l its area is l^2 / 2.
    values, mask = np.zeros((4, 5), dtype=np.float32), np.arange(20).reshape(4, 5) < 7
    for limit in (0.1, 0.3, 1.0):
        found = measure([(values, mask)], fpr_limit=limit)
        assert (found.pixel_auroc, found.pixel_average_precision) == (0.5, pytest.approx(7 / 20))
        assert found.aupro == pytest.approx(limit / 2, abs=1e-15)


def test_perfect_and_inverted_maps_have_1_and_0() -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[2:4, 1:5] = True
    perfect = measure([(mask.astype(np.float32), mask)])
    assert (perfect.pixel_auroc, perfect.pixel_average_precision, perfect.aupro) == (1.0, 1.0, 1.0)
    inverted = measure([(-mask.astype(np.float32), mask)])
    assert (inverted.pixel_auroc, inverted.aupro) == (0.0, 0.0)


def test_minus_zero_equals_zero() -> None:
    mask = np.array([[True, False]])
    found = measure([(np.array([[-0.0, 0.0]], dtype=np.float32), mask)])
    assert (found.pixel_auroc, found.pixel_average_precision) == (0.5, 0.5)
    assert found == measure([(np.array([[0.0, -0.0]], dtype=np.float32), mask)])


def test_neighbouring_floats_are_told_apart() -> None:
    # Around a power of 2, around 0 and at the ends, where the upper half of the bits changes.
    for value in (1.0, -1.0, 0.0, 2.0**16, -(2.0**-126), 3.4028233e38, -3.4028233e38):
        lower = np.float32(value)
        upper = np.nextafter(lower, np.float32(np.inf))
        found = measure([(np.array([[lower, upper]]), np.array([[False, True]]))])
        assert (found.pixel_auroc, found.aupro) == (1.0, 1.0), value


@pytest.mark.parametrize(
    ("drawing", "regions"),
    [
        ("#..|.#.|..#", 1),
        ("..#|.#.|#..", 1),
        ("#.#|...|#.#", 4),
        ("###|#.#|###", 1),
        ("##.|...|.##", 2),
        ("#..#|....|####", 3),
    ],
)
def test_pixels_that_touch_at_a_corner_are_one_region(drawing: str, regions: int) -> None:
    mask = np.array([[mark == "#" for mark in row] for row in drawing.split("|")])
    values = np.random.default_rng(0).random(mask.shape, dtype=np.float32)
    assert check([(values, mask)]).regions == regions


def test_regions_of_different_images_are_different_regions() -> None:
    mask = np.zeros((5, 5), dtype=bool)
    mask[:, 4] = True
    other = np.ascontiguousarray(mask[:, ::-1])
    values = np.random.default_rng(1).random((5, 5), dtype=np.float32)
    assert check([(values, mask), (values, other), (values, mask)]).regions == 3


def test_a_mask_that_shows_nothing_is_no_mask() -> None:
    images = random_images(5)
    empty = [(values, np.zeros(values.shape, dtype=bool) if mask is None else mask) for values, mask in images]
    assert measure(empty) == measure(images)


def test_images_may_differ_in_size_and_lie_in_memory_as_they_like() -> None:
    images = [*random_images(8, number=2), *random_images(9, number=2, height=5, width=30)]
    turned: list[ImageArray] = [
        (np.asfortranarray(values), None if mask is None else np.asfortranarray(mask)) for values, mask in images
    ]
    strided: list[ImageArray] = [
        (np.repeat(values, 2, axis=1)[:, ::2], None if mask is None else np.repeat(mask, 2, axis=0)[::2])
        for values, mask in images
    ]
    assert check(images) == measure(turned) == measure(strided)


def test_maps_and_masks_stay_as_they_are() -> None:
    values, mask = random_images(10, number=1)[0]
    assert mask is not None
    values_before, mask_before = values.copy(), mask.copy()
    values.setflags(write=False)
    mask.setflags(write=False)
    measure([(values, mask)], most=1)
    np.testing.assert_array_equal(values, values_before)
    np.testing.assert_array_equal(mask, mask_before)


@pytest.mark.parametrize("levels", [None, 1])
def test_of_many_pixels_in_one_bucket_all_is_exact_too(levels: int | None) -> None:
    # All values lie in [1, 1 + 2^-8): one bucket, and more pixels of each kind than are looked at together.
    rng = np.random.default_rng(11)
    images: list[ImageArray] = []
    for _ in range(6):
        steps = rng.integers(0, 2**15 if levels is None else 3, (300, 300))
        mask = rng.random((300, 300)) < 0.6
        steps[mask] += 1000 if levels is None else 1
        images.append(((1 + steps * 2.0**-23).astype(np.float32), mask))
    labels, values = pixels_of(images)
    in_memory, in_file = measure(images), measure(images, most=50_000)
    assert in_memory == in_file
    assert in_memory.pixel_auroc == pytest.approx(roc_auc_score(labels, values), abs=1e-9)
    assert in_memory.pixel_average_precision == pytest.approx(average_precision_score(labels, values), abs=1e-9)
    assert in_memory.aupro == pytest.approx(weighted_aupro(images, 0.3), abs=1e-9)


def test_a_map_may_change_after_it_was_added() -> None:
    images = [(np.abs(values), mask) for values, mask in random_images(24)]
    with PixelTally() as tally:
        for values, mask in images:
            values_again, mask_again = values.copy(), None if mask is None else mask.copy()
            tally.add(values_again, mask_again)
            values_again[:] = 7
            if mask_again is not None:
                mask_again[:] = True
        assert tally.result() == measure(images)


def test_the_order_of_images_and_threads_change_nothing() -> None:
    images = random_images(12, number=60, height=20, width=20, levels=50)
    expected = measure(images)
    assert measure(images[::-1]) == expected
    for most in (1_000_000, 3_000):
        with PixelTally(max_pixels_in_memory=most) as tally, ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda image, tally=tally: tally.add(*image), images))
            assert tally.result() == expected


def test_copies_of_all_images_change_no_rate() -> None:
    images = random_images(13)
    once, often = measure(images), measure(images * 7, most=500)
    assert often.pixel_auroc == pytest.approx(once.pixel_auroc, abs=1e-12)
    assert often.pixel_average_precision == pytest.approx(once.pixel_average_precision, abs=1e-12)
    assert often.aupro == pytest.approx(once.aupro, abs=1e-12)
    assert (often.pixels, often.regions) == (7 * once.pixels, 7 * once.regions)


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    def peak(number: int) -> int:
        rng = np.random.default_rng(14)
        mask = np.zeros((200, 200), dtype=bool)
        mask[50:150, 50:150] = True
        maps = [rng.gamma(4, size=(200, 200)).astype(np.float32) + mask for _ in range(10)]
        tracemalloc.start()
        try:
            measure([(maps[place % 10], mask if place % 2 else None) for place in range(number)], most=200_000)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    measure(random_images(0))  # so that what is imported on the way is not pluralize
    few = peak(50)  # enough that pixels of both kinds, which wait for others of their kind, have gone to the file
    assert peak(150) < few + 300_000  # 100 images more are 12 MB more in the file
    assert few < 72 * 240_000 + 4_000_000


def test_only_what_exceeds_the_bound_goes_to_the_file_and_the_file_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    original = tempfile.TemporaryFile

    def watched(*arguments: Any, **keywords: Any) -> Any:
        assert keywords["dir"] == tmp_path
        opened.append(original(*arguments, **keywords))
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", watched)
    images = random_images(15)  # 6 of 108 pixels
    anomalous = sum(int(mask.sum()) for _, mask in images if mask is not None)
    measure(images, most=6 * 108 + 4 * anomalous, folder=tmp_path)
    assert not opened
    measure(images, most=6 * 108 + 4 * anomalous - 1, folder=tmp_path)
    with pytest.raises(RuntimeError, match="stopped"), PixelTally(max_pixels_in_memory=1, folder=tmp_path) as tally:
        tally.add(*images[0])
        assert not opened[1].closed
        raise RuntimeError("stopped")
    tally = PixelTally(max_pixels_in_memory=1, folder=tmp_path)
    tally.add(images[2][0], None)
    with pytest.raises(ValueError, match="at least one anomalous pixel"):
        tally.result()
    assert [file.closed for file in opened] == [True, True, True]
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_that_cannot_be_written_is_said_to_every_thread(tmp_path: Path) -> None:
    values, mask = random_images(16)[0]
    missing = tmp_path / "missing"
    message = (
        f"the temporary file with pixels of anomaly maps cannot be used in {missing} "
        f"({os.strerror(errno.ENOENT)}): free some space there, or choose another folder"
    )
    with PixelTally(max_pixels_in_memory=1, folder=missing) as tally:
        for call in (lambda: tally.add(values, mask), lambda: tally.add(values, mask), tally.result):
            with pytest.raises(WriteError) as caught:
                call()
            assert str(caught.value) == message


def test_a_temporary_file_that_lost_its_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    original = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **keywords: opened.append(original(**keywords)) or opened[-1])
    with PixelTally(max_pixels_in_memory=1, folder=tmp_path) as tally:
        for image in random_images(17):
            tally.add(*image)
        opened[0].truncate(opened[0].tell() // 2)
        with pytest.raises(WriteError, match="has become shorter"):
            tally.result()


def test_after_its_result_or_its_end_a_tally_refuses_more() -> None:
    values, mask = random_images(18)[0]
    given = PixelTally()
    given.add(values, mask)
    given.result()
    closed = PixelTally()
    closed.close()
    closed.close()
    for tally in (given, closed):
        for call in (lambda tally=tally: tally.add(values, mask), tally.result):
            with pytest.raises(ValueError) as caught:
                call()
            assert str(caught.value) == "this tally has given its result or was closed: make a new one"


def test_metrics_go_into_json() -> None:
    found = measure(random_images(19))
    told = found.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert PixelMetrics(**told) == found


VALUES = np.ones((2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("anomaly_map", "mask", "message"),
    [
        (
            VALUES.astype(np.float64),
            None,
            "an anomaly map must be float32 of shape [H, W], got float64 of shape [2, 3]",
        ),
        (VALUES[0], None, "an anomaly map must be float32 of shape [H, W], got float32 of shape [3]"),
        (VALUES[:, :0], None, "an anomaly map must be float32 of shape [H, W], got float32 of shape [2, 0]"),
        (VALUES * np.float32(np.nan), None, "an anomaly map must hold finite values, got some that are not"),
        (VALUES * np.float32(np.inf), None, "an anomaly map must hold finite values, got some that are not"),
        (VALUES * np.float32(-np.inf), None, "an anomaly map must hold finite values, got some that are not"),
        (
            VALUES,
            np.ones((3, 2), dtype=bool),
            "a mask must be bool of the shape of its map, [2, 3], got bool of shape [3, 2]",
        ),
        (
            VALUES,
            np.ones((2, 3), dtype=np.uint8),
            "a mask must be bool of the shape of its map, [2, 3], got uint8 of shape [2, 3]",
        ),
    ],
)
def test_maps_and_masks_that_cannot_be_used_are_refused_and_not_counted(
    anomaly_map: Any, mask: Any, message: str
) -> None:
    images = random_images(20)
    with PixelTally() as tally:
        for image in images:
            tally.add(*image)
        with pytest.raises(ValueError) as caught:
            tally.add(anomaly_map, mask)
        assert str(caught.value) == message
        assert tally.result() == measure(images)


def test_one_value_that_is_not_finite_is_found() -> None:
    values = np.ones((50, 50), dtype=np.float32)
    values[31, 17] = math.nan
    with PixelTally() as tally, pytest.raises(ValueError, match="an anomaly map must hold finite values"):
        tally.add(values, None)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, "pixel metrics need at least one anomalous pixel, got none: give a mask that shows one"),
        (
            np.zeros((2, 3), dtype=bool),
            "pixel metrics need at least one anomalous pixel, got none: give a mask that shows one",
        ),
        (
            np.ones((2, 3), dtype=bool),
            "pixel metrics need at least one normal pixel, got none: add maps of good images",
        ),
    ],
)
def test_both_kinds_of_pixels_are_needed(mask: Mask | None, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        measure([(VALUES, mask)])
    assert str(caught.value) == message
    if mask is None:
        with PixelTally() as tally, pytest.raises(ValueError) as caught:
            tally.result()
        assert str(caught.value) == message


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.0001, math.nan, "0.3"])
def test_a_limit_outside_0_and_1_is_refused_and_another_can_be_given(limit: Any) -> None:
    images = random_images(21)
    with PixelTally() as tally:
        for image in images:
            tally.add(*image)
        with pytest.raises(SettingError) as caught:
            tally.result(fpr_limit=limit)
        assert str(caught.value) == f"fpr_limit must be above 0 and at most 1, got {limit!r}"
        assert tally.result() == measure(images)


@pytest.mark.parametrize("most", [0, -1, 1.5, True, None])
def test_a_bound_that_is_no_number_of_pixels_is_refused(most: Any) -> None:
    with pytest.raises(SettingError) as caught:
        PixelTally(max_pixels_in_memory=most)
    assert str(caught.value) == f"max_pixels_in_memory must be a whole number of at least 1, got {most!r}"
