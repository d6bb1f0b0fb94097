"""The golden sample of a fit that aligns its images: which it is, and whether images can be registered to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._plurals import name_some, pluralize
from onlygood._spacing import evenly_spaced
from onlygood.datasets.sources import Source, reading_limits
from onlygood.errors import SettingError
from onlygood.features.input_kind import InputKind, try_read
from onlygood.graph.alignment import small_image
from onlygood.graph.registration import (
    ANGLE,
    BANDS,
    CORRELATION,
    DOWN,
    RIGHT,
    SMALL,
    band_graph,
    registration,
    shown_graph,
)
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.template import MOST_DEGREES, MOST_SHIFT, Template, grid_of, make_template, scrambled
from onlygood.images.reading import ChannelOrder, ImageArray, ImageSource, read_image
from onlygood.metadata import AlignmentFacts
from onlygood.settings import FitSettings

# Good images that are compared with one another.
COMPARED = 25
# How often another image may take the golden sample's place.
ROUNDS = 3
# Height over width of golden sample and images may differ by so much.
MOST_SKEWED = 1.02
# A golden sample whose levels differ by less than this share of black to white, without noise and light, shows nothing.
LEAST_CONTRAST = 0.002
# A shift within this share of the largest is no shift that was found, but the end of the search.
AT_BOUND = 0.98
SHOWN_NAMES = 3


@dataclass(frozen=True)
class Aligned:
    """What a fit that aligns its images has found before it learns.

    Attributes:
        template: the golden sample, as the graph has it.
        facts: what the metadata say of it.
        notes: sentences that a person should read.
    """

    template: Template
    facts: AlignmentFacts
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Small:
    """A small image: float32 [1, h, w]."""

    name: str
    levels: NDArray[np.float32]


def align_to_golden_sample(
    sources: Sequence[Source],
    kind: InputKind,
    settings: FitSettings,
    *,
    align_to: ImageSource | None,
    channel_order: ChannelOrder = "rgb",
    golden: int = 0,
) -> Aligned | None:
    """How images of a kind are aligned; None where that was not asked for.

    Args:
        sources: the good images.
        kind: of these.
        settings: of the fit; `align`, `align_degrees`, those of how images are read, and `threads` matter here.
        align_to: the golden sample; None for the good image that correlates best with the others.
        channel_order: of an array as golden sample.
        golden: how many of the images are golden samples that all others are made of; the first is what images are
            aligned to then.

    Raises:
        SettingError: a golden sample of another kind than the images, or images that cannot be registered to it.
        ImageError: a golden sample that cannot be read.
    """
    if settings.align is None:
        return None
    grid = grid_of(kind.size)
    small = open_session(join(small_image(grid, dtype=kind.dtype), outputs=[SMALL]).SerializeToString(), threads=1)

    def shrink(source: Source) -> _Small | None:
        image = try_read(source)
        # One of another depth is reported with its name when its features are extracted.
        return None if image is None or image.dtype != kind.dtype else _Small(source.name, _shrunk(small, image))

    chosen = [sources[position] for position in evenly_spaced(len(sources), COMPARED).tolist()]
    images = [each for each in map_in_order(shrink, chosen, threads=settings.threads) if each is not None]
    task = _Registering(settings, kind, grid)
    if align_to is not None:
        pixels, name = _read(align_to, kind, settings, channel_order)
        sample = _Small(name, _shrunk(small, pixels))
        found = task.registered(sample, [each for each in images if not np.array_equal(each.levels, sample.levels)])
    elif golden:
        found = task.registered(images[0], images[1:])
    else:
        found = task.most_typical(images)
    chance = task.chance(found)
    _require_structure(found, chance, settings)
    facts = AlignmentFacts(
        motion=settings.align,
        golden_sample=found.sample.name,
        sha256=found.template.sha256,
        grid=grid,
        most_degrees=found.template.most_degrees,
        most_shift=MOST_SHIFT,
        correlation=round(found.correlation, 4),
        chance=round(chance, 4),
    )
    return Aligned(found.template, facts, tuple(_notes(found, facts, is_given=align_to is not None or golden > 0)))


@dataclass(frozen=True)
class _Registered:
    """Good images as they are registered to a golden sample.

    Attributes:
        sample: the golden sample.
        template: the same as the graph has it.
        others: the images.
        places: float32 [n, 3], radians, and shifts to the right and down in half sides.
        correlations: float32 [n].
    """

    sample: _Small
    template: Template
    others: Sequence[_Small]
    places: NDArray[np.float32]
    correlations: NDArray[np.float32]

    @property
    def correlation(self) -> float:
        """The median of the correlations; 1 where there are no other images."""
        return float(np.median(self.correlations)) if len(self.correlations) else 1.0


class _Registering:
    """Registers small images to one of them.

    Args:
        settings: of the fit.
        kind: of the images.
        grid: height and width of the small images.
    """

    def __init__(self, settings: FitSettings, kind: InputKind, grid: tuple[int, int]) -> None:
        assert settings.align is not None  # or nothing is registered
        self.motion, self.threads = settings.align, settings.threads
        self.most_degrees = MOST_DEGREES if settings.align_degrees is None else settings.align_degrees
        self.kind = kind
        self._to_bands = open_session(join(band_graph(grid), outputs=list(BANDS)).SerializeToString(), threads=1)

    def _bands(self, sample: _Small) -> list[NDArray[np.float32]]:
        return [band[0] for band in run(self._to_bands, BANDS, {SMALL: sample.levels[None]})]

    def contrast(self, sample: _Small) -> float:
        """How far the levels of an image differ, without light and noise, as a share of black to white."""
        window = self.kind.window
        return float(min(band.std() for band in self._bands(sample))) / (window.white - window.black)

    def template(self, sample: _Small) -> Template:
        """The template of a golden sample.

        Raises:
            SettingError: it shows nothing.
        """
        contrast = self.contrast(sample)
        if not contrast >= LEAST_CONTRAST:
            raise SettingError(
                f"a golden sample must show something that images can be registered by, got {sample.name}, whose "
                f"levels differ by {contrast:.2%} of the range from black to white: choose another one with align_to, "
                "or leave align out"
            )
        height, width = self.kind.size
        return make_template(self._bands(sample), self.motion, aspect=height / width, most_degrees=self.most_degrees)

    def registered(self, sample: _Small, others: Sequence[_Small]) -> _Registered:
        """Images registered to a golden sample."""
        template = self.template(sample)
        places, correlations = self.compared(template, others)
        return _Registered(sample, template, others, places, correlations)

    def compared(self, template: Template, others: Sequence[_Small]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where the parts lie, float32 [n, 3], and how images correlate with the golden sample then, float32 [n]."""
        names = [ANGLE, RIGHT, DOWN, CORRELATION]
        session = open_session(join(registration(template), outputs=names).SerializeToString(), threads=1)

        def compare(image: _Small) -> NDArray[np.float32]:
            return np.array([value[0, 0] for value in run(session, names, {SMALL: image.levels[None]})], np.float32)

        found = np.array(list(map_in_order(compare, others, threads=self.threads)), np.float32).reshape(-1, 4)
        return found[:, :3], found[:, 3]

    def chance(self, found: _Registered) -> float:
        """The highest correlation of the images with noise that has the golden sample's spectrum."""
        _, correlations = self.compared(scrambled(found.template), found.others)
        return float(correlations.max(initial=0.0))

    def most_typical(self, images: Sequence[_Small]) -> _Registered:
        """Images registered to the one of them that correlates best with the others.

        Which that is is looked for among images as they lie once they are registered to one of them, and again where
        it is another one.
        """
        showing = [position for position, image in enumerate(images) if self.contrast(image) >= LEAST_CONTRAST]
        position = showing[len(showing) // 2] if showing else 0
        tried: dict[int, _Registered] = {}
        while position not in tried and len(tried) < ROUNDS:
            others = [image for number, image in enumerate(images) if number != position]
            tried[position] = self.registered(images[position], others)
            position = self._typical(images, position, tried[position], showing)
        return max(tried.values(), key=lambda found: found.correlation)

    def _typical(self, images: Sequence[_Small], golden: int, found: _Registered, showing: Sequence[int]) -> int:
        """The position of the image that correlates best with the others as all lie in the golden sample."""
        names = ["align_shown", "align_shown_weights"]
        session = open_session(join(shown_graph(found.template), outputs=names).SerializeToString(), threads=1)
        shown, weights = [], []
        for image, place in zip(images, np.insert(found.places, golden, 0.0, axis=0), strict=True):
            angle, right, down = (np.reshape(value, (1, 1)) for value in place)
            feeds = {SMALL: image.levels[None], ANGLE: angle, RIGHT: right, DOWN: down}
            levels, weight = run(session, names, feeds)
            shown.append(levels[0, 0].astype(np.float64))
            weights.append(weight[0, 0].astype(np.float64))

        def typical(one: int) -> float:
            others = [other for other in range(len(images)) if other != one]
            return float(
                np.median([_correlation(shown[one], shown[other], weights[one] * weights[other]) for other in others])
            )

        return golden if len(images) == 1 else max(showing, key=typical)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    mass = weights.sum()
    one, other = one - (one * weights).sum() / mass, other - (other * weights).sum() / mass
    power = float((weights * one**2).sum() * (weights * other**2).sum())
    return float((weights * one * other).sum() / np.sqrt(power)) if power > 0 else 0.0


def _shrunk(session: Any, image: ImageArray) -> NDArray[np.float32]:
    """float32 [1, h, w]."""
    small: NDArray[np.float32] = run(session, [SMALL], {"image": image[None]})[0][0]
    return small


def _read(
    align_to: ImageSource, kind: InputKind, settings: FitSettings, channel_order: ChannelOrder
) -> tuple[ImageArray, str]:
    """The pixels of a golden sample that was given, [H, W, C], and its name."""
    limits = reading_limits(settings)
    is_file = isinstance(align_to, str) or hasattr(align_to, "__fspath__")
    name = str(align_to) if is_file else "the golden sample"
    order: ChannelOrder = channel_order if isinstance(align_to, np.ndarray) else "rgb"
    image = read_image(align_to, name=name, channel_order=order, limits=limits)
    if image.dtype != kind.dtype:
        raise SettingError(
            f"the golden sample must have the depth of the good images, {8 * kind.dtype.itemsize} bits a channel, got "
            f"{name} with {8 * image.dtype.itemsize}: choose one of these images"
        )
    skew = (image.shape[0] * kind.size[1]) / (image.shape[1] * kind.size[0])
    if not 1 / MOST_SKEWED <= skew <= MOST_SKEWED:
        raise SettingError(
            f"the golden sample must have the shape of the good images, {kind.size[1]} x {kind.size[0]} pixels, at any "
            f"scale, got {name} of {image.shape[1]} x {image.shape[0]}: choose one of these images"
        )
    return image, name


def _require_structure(found: _Registered, chance: float, settings: FitSettings) -> None:
    """Refuse images that look no more like the golden sample than noise does."""
    if found.correlation > chance:
        return
    remedy = (
        "leave align out where images show a surface or other things each time, give align='rigid' where parts lie "
        "turned, or choose another golden sample with align_to"
        if settings.align == "translation"
        else "leave align out where images show a surface or other things each time, or choose another golden sample "
        "with align_to"
    )
    raise SettingError(
        f"alignment must have good images that show the same thing as the golden sample, {found.sample.name}, got "
        f"images that correlate with it by {found.correlation:.2f}, where noise of the same spectrum reaches "
        f"{chance:.2f}: {remedy}"
    )


def _notes(found: _Registered, facts: AlignmentFacts, *, is_given: bool) -> list[str]:
    why = "" if is_given else ", the good image that correlates best with the others"
    notes = [
        f"Images are aligned to {found.sample.name}{why}; the good images correlate with it by "
        f"{facts.correlation:.2f} in the median (noise of the same spectrum: {facts.chance:.2f})."
    ]
    names = [each.name for each in found.others]
    looked_at = pluralize(len(names), "good image")
    poor = [name for name, value in zip(names, found.correlations, strict=True) if value <= facts.chance]
    if poor:
        notes.append(
            f"{len(poor):,} of {looked_at} looked at cannot be aligned, as they look no more like the golden sample "
            f"than noise does: {name_some(poor, SHOWN_NAMES)}. Leave them out with exclude if they show something else."
        )
    far = np.abs(found.places[:, 1:]).max(axis=1, initial=0.0) >= 2 * MOST_SHIFT * AT_BOUND
    at_end = [name for name, is_far in zip(names, far.tolist(), strict=True) if is_far and name not in poor]
    if at_end:
        notes.append(
            f"{len(at_end):,} of {looked_at} looked at lie as far from the golden sample as can be undone, "
            f"{MOST_SHIFT:.0%} of a side, or further: {name_some(at_end, SHOWN_NAMES)}."
        )
    return notes
