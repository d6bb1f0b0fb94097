import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import noise
from onlygood.errors import ImageFormatError, SettingError
from onlygood.images.window import FULL_8_BIT, LevelHistogram, Window


def histogram(*images: Any) -> LevelHistogram:
    levels = LevelHistogram()
    for image in images:
        levels.add(np.atleast_3d(image))
    return levels


def test_counts_are_those_of_all_images() -> None:
    images = [noise(seed, 37, 41, 3, dtype=np.uint16) for seed in range(3)]
    levels = histogram(*images)
    np.testing.assert_array_equal(levels.counts, np.bincount(np.concatenate(images).ravel(), minlength=65_536))
    assert levels.images == 3
    assert levels.counts.shape == (65_536,)


def test_images_larger_than_a_chunk_are_counted_in_full_and_in_bounded_memory() -> None:
    image = np.arange(3_000_000, dtype=np.uint32).astype(np.uint16).reshape(1000, 1000, 3)
    levels = LevelHistogram()
    tracemalloc.start()
    levels.add(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(levels.counts, np.bincount(image.ravel(), minlength=65_536))
    assert peak < 16_000_000  # all at once: 24,000,000


def test_the_window_holds_the_shares_and_a_margin() -> None:
    # 1,000 values, 20,000 to 20,999: one value in a thousand may lie on each side
    levels = histogram(np.arange(20_000, 21_000, dtype=np.uint16).reshape(10, 100))
    assert levels.window(margin=0) == Window(20_001, 20_998)
    assert levels.window(lower=0, upper=1, margin=0) == Window(20_000, 20_999)
    assert levels.window(lower=0.1, upper=0.9, margin=0) == Window(20_100, 20_899)
    assert levels.window(lower=0, upper=1, margin=0.5) == Window(math.floor(20_000 - 499.5), math.ceil(20_999 + 499.5))


def test_a_few_hot_and_dead_pixels_do_not_decide() -> None:
    image = np.arange(20_000, 30_000, dtype=np.uint16)
    image[:5], image[-5:] = 0, 65_535
    assert histogram(image).window(margin=0) == Window(20_010, 29_989)


def test_the_window_is_symmetric_in_black_and_white() -> None:
    values = noise(1, 50, 60, dtype=np.uint16) // 3 + 9_000
    window = histogram(values).window()
    mirrored = histogram((65_535 - values).astype(np.uint16)).window()
    assert (mirrored.black, mirrored.white) == (65_535 - window.white, 65_535 - window.black)


@pytest.mark.parametrize("level", [0, 1, 100, 127, 128, 4_095, 65_407, 65_500, 65_535])
def test_images_of_one_level_get_a_window_of_an_8_bit_width_around_it(level: int) -> None:
    window = histogram(np.full((4, 4), level, np.uint16)).window()
    assert 0 <= window.black <= level <= window.white <= 65_535
    assert 255 <= window.white - window.black <= 256
    if 128 <= level <= 65_407:
        assert (window.black, window.white) == (level - 128, level + 128)


def test_the_width_is_at_least_min_width() -> None:
    levels = histogram(np.arange(1_000, 1_011, dtype=np.uint16))
    assert levels.window(lower=0, upper=1, margin=0, min_width=1) == Window(1_000, 1_010)
    assert levels.window(lower=0, upper=1, margin=0, min_width=20) == Window(995, 1_015)
    assert levels.window(lower=0, upper=1, margin=0.5, min_width=20) == Window(995, 1_015)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 65_535), min_size=1, max_size=30),
    st.floats(0, 0.49),
    st.floats(0.5, 1),
    st.floats(0, 3),
    st.integers(1, 65_535),
)
def test_the_window_is_valid_whatever_the_levels(
    values: list[int], lower: float, upper: float, margin: float, min_width: int
) -> None:
    window = histogram(np.array(values, np.uint16)).window(lower=lower, upper=upper, margin=margin, min_width=min_width)
    assert window.white - window.black >= min_width
    inside = sum(window.black <= value <= window.white for value in values)
    assert inside >= (upper - lower) * len(values) - 1e-9


def test_the_order_of_images_does_not_matter() -> None:
    images = [noise(seed, 9, 9, dtype=np.uint16) // (seed + 1) for seed in range(4)]
    assert histogram(*images).window() == histogram(*images[::-1]).window()


def test_8_bit_images_have_the_whole_range() -> None:
    assert histogram(np.full((4, 4), 7, np.uint8)).window() == FULL_8_BIT == Window(0, 255)


def test_one_histogram_takes_one_depth() -> None:
    levels = histogram(np.zeros((2, 2), np.uint16))
    with pytest.raises(ImageFormatError, match=r"b\.png has 8 bits a channel, the images before it have 16"):
        levels.add(np.zeros((2, 2, 1), np.uint8), "b.png")
    assert levels.images == 1


def test_a_window_needs_images() -> None:
    with pytest.raises(SettingError, match="at least 1 image, got 0"):
        LevelHistogram().window()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lower": -0.1}, "0 <= lower < upper <= 1, got -0.1 and 0.999"),
        ({"upper": 1.1}, "lower < upper"),
        ({"lower": 0.5, "upper": 0.5}, "lower < upper"),
        ({"lower": math.nan}, "lower < upper"),
        ({"margin": -0.1}, "margin must be a share of at least 0, got -0.1"),
        ({"margin": math.inf}, "margin must be"),
        ({"margin": math.nan}, "margin must be"),
        ({"min_width": 0}, "min_width must be from 1 to 65535, got 0"),
        ({"min_width": 65_536}, "min_width must be"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        histogram(np.zeros((2, 2), np.uint16)).window(**options)


@pytest.mark.parametrize(
    ("black", "white"),
    [(5, 5), (6, 5), (-1, 5), (0, 65_536), (math.nan, 5), (0, math.inf), ("0", 5), (None, 5), (False, True)],
)
def test_a_window_is_two_levels_in_order(black: Any, white: Any) -> None:
    with pytest.raises(SettingError, match="a window must be two levels with black < white") as raised:
        Window(black, white)
    assert f"({black!r}, {white!r})" in str(raised.value)


@pytest.mark.parametrize(("black", "white"), [(0, 5e-324), (0, 1e-310), (254.5, 255), (3, 3.999)])
def test_a_window_within_one_level_is_refused(black: float, white: float) -> None:
    with pytest.raises(
        SettingError, match="a window must be at least 1 level wide, since levels are whole numbers, got"
    ):
        Window(black, white)
    Window(black, black + 1)


def test_a_window_is_a_value() -> None:
    assert Window(0, 65_535) == Window(0.0, 65_535.0)
    with pytest.raises(AttributeError):
        Window(0, 1).black = 5  # type: ignore[misc]
