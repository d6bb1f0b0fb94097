"""Make one image, or a handful, into as many as a fit needs: seeded changes that leave the part what it is.

An image of this kind can stand for what a camera would have taken of the same part on another day, with other light
and a little out of place. It cannot stand for another part: what differs from part to part is not in it.

Which number gives which image depends on the seed and the number alone: how many are made, in which order and on how
many threads changes nothing. Nor do the draws of one kind depend on the ranges of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from onlygood._integers import check_integer, is_integer
from onlygood._plain import plain
from onlygood.augmentation.changes import Change, change_image, check_image
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import FolderError, SettingError
from onlygood.images.reading import ImageArray
from onlygood.images.window import LevelHistogram, Window

_DRAWS = 12


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """One of the images made from few.

    Attributes:
        source: which of the given images it is made from, from 0.
        number: of the draw; 0 for a given image as it is.
        change: what was done to it.
        image: uint8 or uint16 [H, W, C], of its source's shape and depth.
    """

    source: int
    number: int
    change: Change
    image: ImageArray = field(repr=False)


def augmentations(
    images: Sequence[ImageArray],
    count: int,
    settings: AugmentationSettings,
    *,
    seed: int,
    window: tuple[float, float] | None = None,
    start: int = 0,
) -> Iterator[Augmentation]:
    """The images as they are, then augmentations of each in turn, `count` in all.

    Args:
        images: uint8 or uint16 [H, W, C], all of one depth, as `read_image` returns them.
        count: how many come back, at least as many as there are images.
        settings: the ranges.
        seed: of all draws.
        window: the levels of black and white; None for those that a fit on these images would choose: 0 and 255 for
            8-bit images, the levels that are in use for 16-bit ones.
        start: which is the first that comes back; those before it are not made.

    Raises:
        FolderError: no images.
        SettingError: a count below their number, a bad seed or window.
        ImageError: something that is no image; images of two depths.
    """
    plan = plan_augmentations(len(images), count)
    levels = augmentation_window(images, window)
    draw_change(settings, seed=seed, number=0)
    return (
        Augmentation(
            source=source,
            number=number,
            change=draw_change(settings, seed=seed, number=number),
            image=augment(images[source], settings, seed=seed, number=number, window=(levels.black, levels.white)),
        )
        for source, number in plan[start:]
    )


def augment(
    image: ImageArray,
    settings: AugmentationSettings,
    *,
    seed: int,
    number: int,
    window: tuple[float, float] | None = None,
) -> ImageArray:
    """Augmentation `number` of an image, of the same shape and depth; 0 is the image as it is.

    Args:
        image: uint8 or uint16 [H, W, C], C 1 or 3, as `read_image` returns it.
        settings: the ranges.
        seed: of all draws.
        number: which augmentation.
        window: as for `augmentations`.

    Raises:
        SettingError: a seed or a number that is not a whole number of at least 0, or a bad window.
        ImageError: it is no image.
    """
    change = draw_change(settings, seed=seed, number=number)
    levels = augmentation_window([image], window)
    return change_image(
        image,
        change,
        window=levels,
        border=settings.border,
        border_level=settings.border_level,
        noise=noise_of(seed, number),
    )


def draw_change(settings: AugmentationSettings, *, seed: int, number: int) -> Change:
    """What augmentation `number` does: each kind uniform within its range; nothing for number 0.

    Noise and blur are uniform from none to most, JPEG from its lowest quality to 100.

    Raises:
        SettingError: a seed or a number that is not a whole number of at least 0.
    """
    for name, value in (("a seed", seed), ("an augmentation's number", number)):
        check_integer(name, value, 0)
    if number == 0:
        return Change()
    shares = _generator(seed, number, 0).random(_DRAWS).tolist()
    signed = [2.0 * share - 1.0 for share in shares]
    return Change(
        brightness=signed[0] * settings.brightness,
        contrast=1.0 + signed[1] * settings.contrast,
        gamma=1.0 + signed[2] * settings.gamma,
        noise=shares[3] * settings.noise,
        blur=shares[4] * settings.blur,
        jpeg=settings.jpeg + int(shares[5] * (101 - settings.jpeg)) if settings.jpeg else 0,
        shift_x=signed[6] * settings.shift,
        shift_y=signed[7] * settings.shift,
        rotation=signed[8] * settings.rotation,
        scale=1.0 + signed[9] * settings.scale,
        flip_horizontal=settings.flip_horizontal and shares[10] < 0.5,
        flip_vertical=settings.flip_vertical and shares[11] < 0.5,
    )


def plan_augmentations(images: int, count: int) -> list[tuple[int, int]]:
    """Which image (from 0) and which number each of `count` augmentations has: first every image as it is.

    The first of a longer plan are those of a shorter one, and no number but 0 comes twice.

    Raises:
        FolderError: no images.
        SettingError: a count that is not a whole number of at least as many as there are images.
    """
    if images < 1:
        raise FolderError("augmentation needs at least one good image, got none: add one")
    count = plain(count)
    if not is_integer(count, images):
        raise SettingError(
            f"the number of images after augmentation must be a whole number of at least {images}, as many as "
            f"there are, got {count!r}"
        )
    return [(index % images, index if index >= images else 0) for index in range(count)]


def augmentation_window(images: Sequence[ImageArray], window: tuple[float, float] | None) -> Window:
    """The levels of black and white: those given, else those that a fit on these images would choose.

    Raises:
        SettingError: levels that are no window.
        ImageError: something that is no image; images of two depths.
    """
    histogram = LevelHistogram()
    for number, image in enumerate(images, 1):
        check_image(image)
        if window is None:
            histogram.add(image, f"image {number}")
    return histogram.window() if window is None else Window(*window)


def noise_of(seed: int, number: int) -> np.random.Generator:
    """Where the noise of augmentation `number` is drawn from."""
    return _generator(seed, number, 1)


def _generator(seed: int, number: int, purpose: int) -> np.random.Generator:
    """Draws that depend on these three alone."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(seed), spawn_key=(int(number), purpose))))
