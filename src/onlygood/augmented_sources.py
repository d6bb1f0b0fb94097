"""A golden sample as the good pictures of a fit: the pictures as they are, and augmentations of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image

from onlygood.augmentation import augment, augmentation_window, plan_augmentations
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.contact_sheet import contact_sheet
from onlygood.errors import SettingError
from onlygood.reading import Picture
from onlygood.settings import FitSettings
from onlygood.sources import Source

# Golden pictures are kept in memory, and each is augmented many times: a golden sample is one picture or a handful.
MOST_GOLDEN = 50


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
    pictures = _read(golden)
    assert settings.augment is not None and settings.augmentation is not None  # a golden fit has them
    window = augmentation_window(pictures, settings.window)
    levels = (window.black, window.white)
    return [
        Source(
            name=golden[source].name if number == 0 else f"{golden[source].name} augmented {number}",
            label=f"{source} {number}",
            read=_reader(pictures[source], settings.augmentation, settings.seed, number, levels),
        )
        for source, number in plan_augmentations(len(pictures), settings.augment)
    ]


def augmentation_sheet(golden: Sequence[Source], settings: FitSettings) -> Image.Image:
    """A sheet on which a person sees what they are calling good: RGB, the golden picture, its ranges, examples.

    Raises:
        SettingError: fewer pictures asked for than there are, or too many golden ones.
        PictureError: a picture that cannot be read.
    """
    assert settings.augment is not None and settings.augmentation is not None  # a golden fit has them
    return contact_sheet(
        _read(golden),
        settings.augment,
        settings.augmentation,
        seed=settings.seed,
        window=settings.window,
        name=golden[0].name,
    )


def _read(golden: Sequence[Source]) -> list[Picture]:
    if len(golden) > MOST_GOLDEN:
        raise SettingError(
            f"a golden sample must be at most {MOST_GOLDEN} pictures, got {len(golden)}: so many show by themselves "
            "how good parts vary, so leave --golden out"
        )
    return [source.read() for source in golden]


def _reader(
    picture: Picture, settings: AugmentationSettings, seed: int, number: int, levels: tuple[float, float]
) -> Callable[[], Picture]:
    return lambda: augment(picture, settings, seed=seed, number=number, window=levels)
