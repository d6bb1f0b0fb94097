"""Augmentations as good pictures of a fit: of a golden sample, which are all there is, or beside a few pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onlygood.augmentation.changes import turn_picture
from onlygood.augmentation.drawing import augment, augmentation_window, plan_augmentations
from onlygood.datasets.sources import Source
from onlygood.errors import SettingError
from onlygood.images.reading import Picture
from onlygood.images.window import Window
from onlygood.settings import FitSettings

# Golden pictures are kept in memory, and each is augmented many times: a golden sample is one picture or a handful.
MOST_GOLDEN = 50
# What comes into view at the corners of a turned copy.
TURNED_BORDER = "mirror"
# Numbers of angles that are those of parts in as many positions, not samples of any angle.
EXACT_ROTATIONS = (2, 4)
# Keeps the draws of angles apart from others with the same seed.
TURNING = 360


def golden_sources(golden: Sequence[Source], settings: FitSettings) -> list[Source]:
    """`settings.augment` pictures: the golden ones, then augmentations of each in turn, made when they are read.

    Every one is a group of its own: given the golden pictures, augmentations are independent draws. What is promised
    of them is therefore about augmentations, and `Promise` says so.

    Args:
        golden: the golden pictures.
        settings: of the fit; `augment`, `augmentation`, `seed` and `window` matter here.

    Raises:
        SettingError: fewer pictures asked for than there are, or too many golden ones.
        PictureError: a picture that cannot be read.
    """
    pictures = read_golden(golden)
    assert settings.augment is not None  # a golden fit has it
    window = augmentation_window(pictures, settings.window)
    return [
        Source(
            name=_name(golden[source], number) if number else golden[source].name,
            label=f"{source} {number}",
            read=_reader(_kept(pictures[source]), settings, number, window),
        )
        for source, number in plan_augmentations(len(pictures), settings.augment)
    ]


def fill_up(pictures: Sequence[Source], count: int, settings: FitSettings, window: Window) -> list[tuple[int, Source]]:
    """`count` augmentations of each picture in turn, and the position of the picture that each is made of.

    An augmentation has its picture's label, as it shows the same thing. It is made when it is read, from the picture,
    which is then read again: none is kept in memory, however many there are.

    Args:
        pictures: those that can be read.
        count: how many augmentations, at least 0.
        settings: of the fit; `augmentation` and `seed` matter here.
        window: the levels of black and white, those of the fit.
    """
    plan = plan_augmentations(len(pictures), len(pictures) + count)[len(pictures) :]
    return [
        (
            position,
            Source(
                name=_name(pictures[position], number),
                label=pictures[position].label,
                read=_reader(pictures[position].read, settings, number, window),
            ),
        )
        for position, number in plan
    ]


def turned_sources(pictures: Sequence[Source], rotations: int, fitted: Sequence[int], *, seed: int) -> list[Source]:
    """A copy of every picture at its first angle, then copies of those that are fitted at each further angle.

    The angles of a picture are 360 / rotations degrees apart and begin at one of its own, drawn between 0 and that. So
    the copies of all pictures together lie at every angle alike, and a good picture as it was taken is as far from the
    copies of the others as a new part at any other angle will be. Were copies made from 0 on, pictures that show all
    parts at one angle would find that angle alone remembered exactly, and a threshold from their scores would call
    parts at most other angles anomalous. Two and four copies do begin at 0: they are for parts that lie in as many
    positions, and a quarter turn of a square picture moves pixels and changes none.

    A copy has its picture's label, as it shows the same thing. It is made when it is read, as augmentations are.

    Args:
        pictures: those that can be read.
        rotations: angles of each.
        fitted: the positions of those that are learned from.
        seed: of the first angles; each depends on it and on the picture's position alone.
    """
    step = 360.0 / rotations

    def copy(position: int, number: int) -> Source:
        first = 0.0
        if rotations not in EXACT_ROTATIONS:
            first = float(np.random.default_rng([seed, position, TURNING]).uniform(0.0, step))
        degrees, source = first + number * step, pictures[position]
        return Source(
            name=f"{source.name} turned {degrees:.1f}°",
            label=source.label,
            read=lambda: turn_picture(source.read(), degrees, border=TURNED_BORDER),
        )

    return [
        *(copy(position, 0) for position in range(len(pictures))),
        *(copy(position, number) for number in range(1, rotations) for position in fitted),
    ]


def check_target(pictures: int, settings: FitSettings) -> None:
    """Refuse to fill up to fewer pictures than there are.

    Raises:
        SettingError: `settings.augment` is below their number.
    """
    if settings.augment is not None and settings.augment < pictures:
        raise SettingError(
            f"augment must be at least {pictures}, as many as there are good pictures, got {settings.augment}: raise "
            "it, or leave it out"
        )


def read_golden(golden: Sequence[Source]) -> list[Picture]:
    """The pictures of a golden sample.

    Raises:
        SettingError: more than MOST_GOLDEN.
        PictureError: a picture that cannot be read.
    """
    if len(golden) > MOST_GOLDEN:
        raise SettingError(
            f"a golden sample must be at most {MOST_GOLDEN} pictures, got {len(golden)}: so many show by themselves "
            "how good parts vary, so leave --golden out"
        )
    return [source.read() for source in golden]


def _name(source: Source, number: int) -> str:
    return f"{source.name} augmented {number}"


def _kept(picture: Picture) -> Callable[[], Picture]:
    return lambda: picture


def _reader(read: Callable[[], Picture], settings: FitSettings, number: int, window: Window) -> Callable[[], Picture]:
    assert settings.augmentation is not None  # a fit that augments has it
    ranges, levels = settings.augmentation, (window.black, window.white)
    return lambda: augment(read(), ranges, seed=settings.seed, number=number, window=levels)
