import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from onlygood.augmentation.changes import Change, change_image
from onlygood.augmentation.drawing import (
    Augmentation,
    augment,
    augmentation_window,
    augmentations,
    draw_change,
    plan_augmentations,
)
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import FolderError, ImageError, ImageFormatError, SettingError
from onlygood.images.window import LevelHistogram, Window
from textures import Array, as_colour, texture, twelve_bit

DEFAULTS = AugmentationSettings()
NONE = AugmentationSettings(brightness=0, contrast=0, gamma=0, noise=0, blur=0, jpeg=0, shift=0, rotation=0, scale=0)
WIDEST = AugmentationSettings(
    brightness=1,
    contrast=0.999,
    gamma=0.999,
    noise=1,
    blur=20,
    jpeg=1,
    shift=0.5,
    rotation=180,
    scale=0.5,
    flip_horizontal=True,
    flip_vertical=True,
)
# Where each kind is drawn from, for DEFAULTS.
RANGES: dict[str, tuple[float, float]] = {
    "brightness": (-0.1, 0.1),
    "contrast": (0.9, 1.1),
    "gamma": (0.9, 1.1),
    "noise": (0, 0.01),
    "blur": (0, 0.7),
    "shift_x": (-0.01, 0.01),
    "shift_y": (-0.01, 0.01),
    "rotation": (-1, 1),
    "scale": (0.99, 1.01),
}


def grey(seed: int = 0) -> Array:
    return texture(seed, (24, 32))[:, :, None]


def only(**ranges: Any) -> AugmentationSettings:
    return NONE.replaced(**ranges)


def equal(a: Augmentation, b: Augmentation) -> bool:
    same = (a.source, a.number, a.change) == (b.source, b.number, b.change)
    return same and np.array_equal(a.image, b.image)


# Draws


def draws(count: int = 2_000, *, seed: int = 0, of: AugmentationSettings = DEFAULTS) -> list[Change]:
    return [draw_change(of, seed=seed, number=number) for number in range(1, count + 1)]


@pytest.mark.parametrize(("name", "ends"), RANGES.items())
@pytest.mark.parametrize("seed", [0, 1])
def test_every_kind_is_uniform_within_its_range(name: str, ends: tuple[float, float], seed: int) -> None:
    low, high = ends
    values = np.array([getattr(change, name) for change in draws(seed=seed)])
    assert low <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.001


def test_jpeg_is_uniform_from_its_lowest_quality_to_100() -> None:
    qualities = [change.jpeg for change in draws(of=only(jpeg=91))]
    counts = np.unique(qualities, return_counts=True)
    assert counts[0].tolist() == list(range(91, 101))
    assert stats.chisquare(counts[1]).pvalue > 0.001
    assert {change.jpeg for change in draws(50, of=only(jpeg=100))} == {100}
    assert {change.jpeg for change in draws(50, of=only(jpeg=0))} == {0}


def test_every_other_one_is_flipped_and_none_where_flips_are_not_allowed() -> None:
    flipped = draws(of=only(flip_horizontal=True, flip_vertical=True))
    kinds = [2 * change.flip_horizontal + change.flip_vertical for change in flipped]
    assert stats.chisquare(np.bincount(kinds, minlength=4)).pvalue > 0.001
    assert not any(change.flip_horizontal or change.flip_vertical for change in draws())


def test_the_kinds_are_drawn_independently_of_each_other_and_of_the_number() -> None:
    values = np.array([[getattr(change, name) for name in RANGES] for change in draws()])
    limit = 4 / np.sqrt(len(values))
    between = np.corrcoef(values.T) - np.eye(len(RANGES))
    assert np.abs(between).max() < limit
    for kind in values.T:
        assert abs(np.corrcoef(kind[1:], kind[:-1])[0, 1]) < limit


def test_a_range_changes_no_draw_but_its_own_which_it_scales() -> None:
    wider = DEFAULTS.replaced(rotation=10.0, noise=0.0, jpeg=0, flip_horizontal=True)
    for before, after in zip(draws(20), draws(20, of=wider), strict=True):
        assert after.rotation == pytest.approx(10 * before.rotation)
        put_back = {name: getattr(before, name) for name in ("rotation", "noise", "jpeg", "flip_horizontal")}
        assert dataclasses.replace(after, **put_back) == before


def test_seeds_and_numbers_of_any_size_give_draws_of_their_own() -> None:
    # In words of 32 bits, seed and number one after the other, some of these would be the same.
    pairs = [(0, 1), (1, 1), (1, 2), (2**32, 1), (1, 2**32 + 1), (1 + 2**32, 1), (2**128, 1), (0, 2**64)]
    changes = [draw_change(DEFAULTS, seed=seed, number=number) for seed, number in pairs]
    assert len({change.brightness for change in changes}) == len(pairs)


def test_a_change_is_plain_json() -> None:
    change = draw_change(WIDEST, seed=0, number=1)
    assert Change(**json.loads(json.dumps(change.to_dict()))) == change


# One image


def test_number_0_is_the_image_as_it_is() -> None:
    image = grey()
    assert draw_change(WIDEST, seed=3, number=0) == Change()
    np.testing.assert_array_equal(augment(image, WIDEST, seed=3, number=0), image)


@pytest.mark.parametrize("image", [grey(), as_colour(grey()), twelve_bit(0)[:, :, None]])
def test_ranges_of_zero_give_the_image_as_it_is(image: Array) -> None:
    for number in range(4):
        np.testing.assert_array_equal(augment(image, NONE, seed=0, number=number), image)


def test_a_seed_and_a_number_are_one_image_and_others_are_others() -> None:
    image = grey()
    made = {
        (seed, number): augment(image, DEFAULTS, seed=seed, number=number).tobytes()
        for seed in range(3)
        for number in range(1, 5)
    }
    assert len(set(made.values())) == len(made)
    for (seed, number), expected in reversed(made.items()):
        assert augment(image, DEFAULTS, seed=seed, number=number).tobytes() == expected


def test_an_augmentation_is_its_change_and_nothing_else() -> None:
    image = grey()
    silent = DEFAULTS.replaced(noise=0.0, border="constant", border_level=9)
    for number in range(1, 5):
        expected = change_image(
            image,
            draw_change(silent, seed=7, number=number),
            window=Window(0, 255),
            border="constant",
            border_level=9,
            noise=np.random.default_rng(),
        )
        np.testing.assert_array_equal(augment(image, silent, seed=7, number=number), expected)


def test_noise_is_another_for_every_augmentation() -> None:
    flat = np.full((40, 40, 1), 30_000, np.uint16)
    noises = []
    for number in range(1, 6):
        sigma = draw_change(only(noise=0.01), seed=0, number=number).noise
        made = augment(flat, only(noise=0.01), seed=0, number=number, window=(0, 65_535))
        noises.append((made.ravel().astype(float) - 30_000) / (65_535 * sigma))
    assert np.abs(np.corrcoef(noises) - np.eye(5)).max() < 4 / 40
    np.testing.assert_allclose(np.std(noises, axis=1), 1, atol=4 / np.sqrt(2 * 1600))


@pytest.mark.parametrize("kind", ["brightness", "contrast", "gamma", "noise"])
def test_sixteen_bit_images_change_by_shares_of_their_window(kind: str) -> None:
    image = twelve_bit(1)[:, :, None]
    ranges = only(**{kind: 0.05})
    made = augment(image, ranges, seed=0, number=2, window=(500, 2_540))
    moved = np.abs(made.astype(int) - image).max()
    share = {"brightness": 0.05, "contrast": 0.05, "gamma": 0.05, "noise": 0.05 * 5}[kind]
    assert 10 < moved <= share * 2_040 + 1


def test_sixteen_bit_images_keep_sixteen_bits() -> None:
    image = np.linspace(2_000, 3_999, 64 * 64).reshape(64, 64, 1).astype(np.uint16)
    for number in range(5):
        made = augment(image, DEFAULTS, seed=0, number=number)
        assert made.dtype == np.uint16
        assert len(np.unique(made)) > 1_000


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from((1, 3))),
    dtype=st.sampled_from((np.uint8, np.uint16)),
    ranges=st.sampled_from((DEFAULTS, WIDEST)),
    border=st.sampled_from(("mirror", "edge", "constant")),
    seed=st.integers(0, 2**70),
    number=st.integers(0, 2**40),
)
def test_any_image_gives_one_of_its_shape_and_depth_and_is_left_alone(
    shape: tuple[int, int, int], dtype: Any, ranges: AugmentationSettings, border: str, seed: int, number: int
) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    before = image.copy()
    image.flags.writeable = False
    ranges = ranges.replaced(border=border)
    made = augment(image, ranges, seed=seed, number=number)
    assert (made.shape, made.dtype) == (shape, dtype)
    np.testing.assert_array_equal(augment(image, ranges, seed=seed, number=number), made)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 400, 1), (400, 1, 3), (2, 2, 1)])
def test_tiny_and_thin_images_can_be_augmented(shape: tuple[int, int, int]) -> None:
    flat = np.full(shape, 100, np.uint8)
    still = WIDEST.replaced(brightness=0, contrast=0, gamma=0, noise=0, jpeg=95)
    for number in range(1, 6):
        made = augment(flat, still, seed=0, number=number)
        assert np.abs(made.astype(int) - 100).max() <= 2, "JPEG alone changes an image of one level, by a level or two"


# Few images into many


def test_one_image_becomes_itself_and_its_augmentations() -> None:
    image = grey()
    made = list(augmentations([image], 6, DEFAULTS, seed=5))
    assert [(each.source, each.number) for each in made] == [(0, number) for number in range(6)]
    np.testing.assert_array_equal(made[0].image, image)
    for each in made:
        np.testing.assert_array_equal(each.image, augment(image, DEFAULTS, seed=5, number=each.number))
        assert each.change == draw_change(DEFAULTS, seed=5, number=each.number)


def test_several_images_come_first_as_they_are_and_are_then_augmented_in_turn() -> None:
    images = [grey(0), grey(1), grey(2)]
    made = list(augmentations(images, 8, DEFAULTS, seed=0))
    assert [(each.source, each.number) for each in made] == [
        (0, 0), (1, 0), (2, 0), (0, 3), (1, 4), (2, 5), (0, 6), (1, 7),
    ]  # fmt: skip
    for each, image in zip(made, images, strict=False):
        np.testing.assert_array_equal(each.image, image)


def test_more_augmentations_begin_with_the_same_ones() -> None:
    images = [grey(0), grey(1)]
    few = list(augmentations(images, 4, DEFAULTS, seed=0))
    many = list(augmentations(images, 9, DEFAULTS, seed=0))
    assert all(equal(a, b) for a, b in zip(few, many, strict=False))
    later = list(augmentations(images, 9, DEFAULTS, seed=0, start=2))
    assert all(equal(a, b) for a, b in zip(later, many[2:], strict=True))
    assert plan_augmentations(7, 20) == plan_augmentations(7, 300)[:20]


def test_as_many_as_there_are_is_none_more() -> None:
    assert plan_augmentations(3, 3) == [(0, 0), (1, 0), (2, 0)]
    assert [each.change for each in augmentations([grey()], 1, WIDEST, seed=0)] == [Change()]


def test_every_image_gets_as_many_augmentations_as_the_others_or_one_fewer() -> None:
    sources = [source for source, _ in plan_augmentations(7, 199)]
    assert sorted(np.bincount(sources).tolist()) == [28, 28, 28, 28, 29, 29, 29]
    numbers = [number for _, number in plan_augmentations(7, 199) if number]
    assert len(set(numbers)) == len(numbers) == 192


def test_the_window_is_the_one_that_a_fit_on_all_images_would_choose() -> None:
    dark, bright = twelve_bit(0)[:, :, None], twelve_bit(1)[:, :, None] + np.uint16(1_000)
    histogram = LevelHistogram()
    histogram.add(dark)
    histogram.add(bright)
    chosen = histogram.window()
    assert augmentation_window([dark, bright], None) == chosen
    given = augmentations([dark, bright], 4, DEFAULTS, seed=0, window=(chosen.black, chosen.white))
    assert all(equal(a, b) for a, b in zip(augmentations([dark, bright], 4, DEFAULTS, seed=0), given, strict=True))
    assert augmentation_window([grey()], None) == Window(0, 255)
    assert augmentation_window([grey()], (3, 99)) == Window(3, 99)


# Hostile


@pytest.mark.parametrize("bad", [-1, 1.0, "3", None, True])
def test_a_seed_and_a_number_must_be_whole(bad: Any) -> None:
    for arguments, subject in (
        ({"seed": bad, "number": 0}, "a seed"),
        ({"seed": 0, "number": bad}, "an augmentation's number"),
    ):
        with pytest.raises(SettingError) as caught:
            augment(grey(), DEFAULTS, **arguments)
        assert str(caught.value) == f"{subject} must be a whole number of at least 0, got {bad!r}"


@pytest.mark.parametrize("count", [2, 0, -1, 5.0, "5", None, True])
def test_a_count_must_be_at_least_the_images(count: Any) -> None:
    with pytest.raises(SettingError) as caught:
        augmentations([grey()] * 3, count, DEFAULTS, seed=0)
    assert str(caught.value) == (
        "the number of images after augmentation must be a whole number of at least 3, as many as there are, "
        f"got {count!r}"
    )


def test_bad_input_is_refused_at_once_and_not_at_the_first_image() -> None:
    with pytest.raises(FolderError, match=r"^augmentation needs at least one good image, got none: add one$"):
        augmentations([], 10, DEFAULTS, seed=0)
    with pytest.raises(SettingError, match=r"^a seed must be a whole number"):
        augmentations([grey()], 10, DEFAULTS, seed=-1)
    with pytest.raises(SettingError, match=r"^a window must be two levels with black < white"):
        augmentations([grey()], 10, DEFAULTS, seed=0, window=(255, 0))
    with pytest.raises(ImageError, match=r"^an image to change must have the shape"):
        augmentations([grey(), grey()[:, :, 0]], 10, DEFAULTS, seed=0, window=(0, 255))
    with pytest.raises(ImageFormatError, match=r"^image 2 has 16 bits a channel"):
        augmentations([grey(), twelve_bit(0)[:, :, None]], 10, DEFAULTS, seed=0)
