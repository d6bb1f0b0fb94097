"""Augmentations as good images of a fit: of a golden sample, which are all there is, or beside a few images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onlygood._plurals import pluralize
from onlygood.augmentation.channels import change_channels, turn_channels, windows_of
from onlygood.augmentation.drawing import draw_change, noise_of, plan_augmentations
from onlygood.datasets.sources import Source
from onlygood.errors import SettingError
from onlygood.images.reading import ImageArray
from onlygood.images.window import Window
from onlygood.settings import FitSettings

# Golden images are kept in memory, and each is augmented many times: a golden sample is one image or a handful.
MOST_GOLDEN = 50
# What comes into view at the corners of a turned copy.
TURNED_BORDER = "mirror"
# Numbers of angles that are those of parts in as many positions, not samples of any angle.
EXACT_ROTATIONS = (2, 4)
# Keeps the draws of angles apart from others with the same seed.
TURNING = 360


def golden_sources(golden: Sequence[Source], settings: FitSettings) -> list[Source]:
    """`settings.augment` images: the golden ones, then augmentations of each in turn, made when they are read.

    Every one is a group of its own: given the golden images, augmentations are independent draws. What is guaranteed
    of them is therefore about augmentations, and `Guarantee` says so.

    Args:
        golden: the golden images.
        settings: of the fit; `augment`, `augmentation`, `seed` and `window` matter here.

    Raises:
        SettingError: fewer images asked for than there are, or too many golden ones.
        ImageError: an image that cannot be read.
    """
    images = read_golden(golden)
    assert settings.augment is not None  # a golden fit has it
    windows = windows_of(images, settings.window, has_mask=settings.alpha == "mask")
    return [
        Source(
            name=_name(golden[source], number) if number else golden[source].name,
            label=f"{source} {number}",
            read=_reader(_kept(images[source]), settings, number, windows),
        )
        for source, number in plan_augmentations(len(images), settings.augment)
    ]


def fill_up(
    images: Sequence[Source], count: int, settings: FitSettings, windows: Sequence[Window]
) -> list[tuple[int, Source]]:
    """`count` augmentations of each image in turn, and the position of the image that each is made of.

    An augmentation has its image's label, as it shows the same thing. It is made when it is read, from the image,
    which is then read again: none is kept in memory, however many there are.

    Args:
        images: those that can be read.
        count: how many augmentations, at least 0.
        settings: of the fit; `augmentation` and `seed` matter here.
        windows: the levels of black and white of each group of channels, those of the fit.
    """
    plan = plan_augmentations(len(images), len(images) + count)[len(images) :]
    return [
        (
            position,
            Source(
                name=_name(images[position], number),
                label=images[position].label,
                read=_reader(images[position].read, settings, number, windows),
            ),
        )
        for position, number in plan
    ]


def turned_sources(
    images: Sequence[Source], rotations: int, fitted: Sequence[int], *, seed: int, has_mask: bool = False
) -> list[Source]:
    """A copy of every image at its first angle, then copies of those that are fitted at each further angle.

    The angles of an image are 360 / rotations degrees apart and begin at one of its own, drawn between 0 and that. So
    the copies of all images together lie at every angle alike, and a good image as it was taken is as far from the
    copies of the others as a new part at any other angle will be. Were copies made from 0 on, images that show all
    parts at one angle would find that angle alone remembered exactly, and a threshold from their scores would call
    parts at most other angles anomalous. Two and four copies do begin at 0: they are for parts that lie in as many
    positions, and a quarter turn of a square image moves pixels and changes none.

    A copy has its image's label, as it shows the same thing. It is made when it is read, as augmentations are.

    Args:
        images: those that can be read.
        rotations: angles of each.
        fitted: the positions of those that are learned from.
        seed: of the first angles; each depends on it and on the image's position alone.
        has_mask: whether the last channel of the images is a mask.
    """
    step = 360.0 / rotations

    def copy(position: int, number: int) -> Source:
        first = 0.0
        if rotations not in EXACT_ROTATIONS:
            first = float(np.random.default_rng([seed, position, TURNING]).uniform(0.0, step))
        degrees, source = first + number * step, images[position]
        return Source(
            name=f"{source.name} turned {degrees:.1f}°",
            label=source.label,
            read=lambda: turn_channels(source.read(), degrees, border=TURNED_BORDER, has_mask=has_mask),
        )

    return [
        *(copy(position, 0) for position in range(len(images))),
        *(copy(position, number) for number in range(1, rotations) for position in fitted),
    ]


def turning_notes(images: int, rotations: int) -> list[str]:
    """At which angles each of so many images was learned, as a sentence; none where that is at one."""
    if rotations == 1:
        return []
    begin = "the first its own" if rotations in EXACT_ROTATIONS else "the first drawn for each image"
    return [
        f"Learned each of {pluralize(images, 'good image')} at {rotations} angles, "
        f"{360 / rotations:.3g} degrees apart, {begin}; the threshold comes from the images as they were taken."
    ]


def check_target(images: int, settings: FitSettings) -> None:
    """Refuse to fill up to fewer images than there are.

    Raises:
        SettingError: `settings.augment` is below their number.
    """
    if settings.augment is not None and settings.augment < images:
        raise SettingError(
            f"augment must be at least {images}, as many as there are good images, got {settings.augment}: raise "
            "it, or leave it out"
        )


def read_golden(golden: Sequence[Source]) -> list[ImageArray]:
    """The images of a golden sample.

    Raises:
        SettingError: more than MOST_GOLDEN.
        ImageError: an image that cannot be read.
    """
    if len(golden) > MOST_GOLDEN:
        raise SettingError(
            f"a golden sample must be at most {MOST_GOLDEN} images, got {len(golden)}: so many show by themselves "
            "how good parts vary, so leave --golden out"
        )
    return [source.read() for source in golden]


def _name(source: Source, number: int) -> str:
    return f"{source.name} augmented {number}"


def _kept(image: ImageArray) -> Callable[[], ImageArray]:
    return lambda: image


def _reader(
    read: Callable[[], ImageArray], settings: FitSettings, number: int, windows: Sequence[Window]
) -> Callable[[], ImageArray]:
    assert settings.augmentation is not None  # a fit that augments has it
    ranges = settings.augmentation
    return lambda: change_channels(
        read(),
        draw_change(ranges, seed=settings.seed, number=number),
        windows=windows,
        border=ranges.border,
        border_level=ranges.border_level,
        noise=noise_of(settings.seed, number),
        has_mask=settings.alpha == "mask",
    )
