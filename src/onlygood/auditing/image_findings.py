"""Findings about single images: each compares an image with the set that it is in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood._spacing import evenly_spaced
from onlygood.auditing.examination import Examination
from onlygood.auditing.findings import Finding, FindingKind
from onlygood.auditing.outliers import tail_limit
from onlygood.calibration.tail import MOST_ODD

# What is rare may still not matter: these are the least differences that are named, each beside its rule in `findings`.
LEAST_DISTANCE_RATIO = 1.5
MOST_SHARPNESS = 0.5
LEAST_BRIGHTNESS_STEP = 0.1
MOST_CONTRAST = 0.5
LEAST_CLIPPED = 0.02
LEAST_SIZE_FACTOR = 1.25
# How many of the nearest other things must be far, and among how many they are looked for.
NEAREST = 3
_REFERENCES = 4096
_ROWS = 1024


def image_findings(found: Examination) -> list[Finding]:
    """What is to be said of single images, by kind, the most pronounced first."""
    measured = _Measured(found)
    return [
        *_unreadable(found),
        *_other_depth(found),
        *_anomalous(found),
        *_apart(found, measured),
        *_blurred(found, measured),
        *_exposure(found, measured),
        *_sizes(found, measured),
        *_channels(found),
        *_formats(found),
    ]


class _Measured:
    """The images with the weights that their sets give them: all images of one thing weigh as much as one image."""

    def __init__(self, found: Examination) -> None:
        self.names = [source.name for source in found.sources]
        self.weights = 1.0 / np.bincount(found.sets)[found.sets]

    def far(
        self,
        kind: FindingKind,
        values: NDArray[np.float64],
        is_large: NDArray[np.bool_],
        sentence: Callable[[int], str],
    ) -> Iterator[Finding]:
        """A finding of each image whose value is higher than the tail explains, and large."""
        known = ~np.isnan(values)
        if not known.any():
            return
        limit = tail_limit(values[known], self.weights[known])
        places = np.flatnonzero(known & (np.nan_to_num(values, nan=-np.inf) > limit) & is_large)
        for place in places[np.argsort(-values[places], kind="stable")].tolist():
            yield Finding(kind=kind, images=(self.names[place],), sentence=sentence(place), excludes=True)


def _unreadable(found: Examination) -> Iterator[Finding]:
    for name, problem in found.unreadable:
        yield Finding(kind="unreadable", images=(name,), sentence=f"{problem}.", excludes=True)


def _other_depth(found: Examination) -> Iterator[Finding]:
    for name, depth in found.other_depth:
        yield Finding(
            kind="depth",
            images=(name,),
            sentence=f"It has {depth} bits a channel, and most images have {found.depth}.",
            excludes=True,
        )


def _anomalous(found: Examination) -> Iterator[Finding]:
    left_out = found.left_out
    if left_out is None:
        return
    ordinary = float(np.median(left_out.scores))
    highest = float(left_out.scores[~left_out.is_apart].max(initial=-math.inf))
    for place in np.argsort(-left_out.scores, kind="stable").tolist():
        if not left_out.is_apart[place]:
            return
        yield Finding(
            kind="anomalous",
            images=(found.sources[int(left_out.positions[place])].name,),
            sentence=f"A detector that has not seen it gives it a score of {left_out.scores[place]:+.3g} "
            f"(median of all images: {ordinary:+.3g}; the highest that does not stand apart: {highest:+.3g}).",
            excludes=True,
        )


def _apart(found: Examination, measured: _Measured) -> Iterator[Finding]:
    distances = _distances_to_others(found.descriptors, found.sets)
    if distances is None:
        return
    median = float(np.median(distances))
    yield from measured.far(
        "apart",
        distances,
        distances >= LEAST_DISTANCE_RATIO * median,
        lambda place: (
            f"It is {distances[place] / median:.2g} times as far from the other things as images usually are."
            if median > 0
            else "It differs, and all other images are alike."
        ),
    )


def _distances_to_others(descriptors: NDArray[np.float32], sets: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Of each image the distance to the third-nearest image of other things, one each, of some; None if there are few.

    Args:
        descriptors: float32 [n, d].
        sets: int64 [n], equal for images of one thing.
    """
    firsts = np.sort(np.unique(sets, return_index=True)[1])
    references = firsts[evenly_spaced(len(firsts), _REFERENCES)]
    if len(references) <= NEAREST:
        return None
    center = descriptors[references].mean(axis=0)
    others = descriptors[references] - center
    norms = np.einsum("nd,nd->n", others, others)
    nearest = np.empty(len(descriptors))
    for start in range(0, len(descriptors), _ROWS):
        rows = slice(start, start + _ROWS)
        part = descriptors[rows] - center
        squared = np.einsum("nd,nd->n", part, part)[:, None] + norms - 2.0 * (part @ others.T)
        squared[sets[rows, None] == sets[references]] = np.inf
        nearest[rows] = np.partition(squared, NEAREST - 1, axis=1)[:, NEAREST - 1]
    return np.sqrt(np.maximum(nearest, 0.0))


def _blurred(found: Examination, measured: _Measured) -> Iterator[Finding]:
    sharpness = np.array([np.nan if kind.sharpness is None else kind.sharpness for kind in found.kinds])
    if np.isnan(sharpness).all():
        return
    median = float(np.nanmedian(sharpness))
    yield from measured.far(
        "blurred",
        -np.log(np.maximum(sharpness, 1e-12)),
        np.nan_to_num(sharpness, nan=np.inf) <= MOST_SHARPNESS * median,
        lambda place: f"Its sharpness is {sharpness[place]:.2g} (median of all images: {median:.2g}).",
    )


def _exposure(found: Examination, measured: _Measured) -> Iterator[Finding]:
    is_flat = np.array([levels.is_flat for levels in found.levels])
    for place in np.flatnonzero(is_flat).tolist():
        yield Finding(
            kind="exposure",
            images=(measured.names[place],),
            sentence=f"All of its pixels have one level, {found.levels[place].brightness:.0%} of the scale.",
            excludes=True,
        )
    yield from _mean_level(found, measured, is_flat, -1.0, "dark")
    yield from _mean_level(found, measured, is_flat, 1.0, "bright")
    contrast = np.array([levels.contrast for levels in found.levels])
    usual = float(np.median(contrast))
    yield from measured.far(
        "exposure",
        -np.log(np.maximum(contrast, 1e-12)),
        (contrast <= MOST_CONTRAST * usual) & ~is_flat,
        lambda place: (
            f"Its contrast is low: 99% of its pixels lie within {contrast[place]:.1%} of the scale (median of all "
            f"images: {usual:.1%})."
        ),
    )
    white, black = (np.array([getattr(levels, name) for levels in found.levels]) for name in ("white", "black"))
    yield from _clipped(measured, is_flat, white, "at the end of the scale")
    yield from _clipped(measured, is_flat, black, "at 0")


def _mean_level(
    found: Examination, measured: _Measured, is_flat: NDArray[np.bool_], sign: float, word: str
) -> Iterator[Finding]:
    """Images that are dark (sign -1) or bright (sign 1)."""
    brightness = np.array([levels.brightness for levels in found.levels])
    middle = float(np.median(brightness))
    step = sign * (brightness - middle)
    return measured.far(
        "exposure",
        step,
        (step >= LEAST_BRIGHTNESS_STEP) & ~is_flat,
        lambda place: (
            f"It is {word}: its mean level is at {brightness[place]:.0%} of the scale (median of all images: "
            f"{middle:.0%})."
        ),
    )


def _clipped(
    measured: _Measured, is_flat: NDArray[np.bool_], share: NDArray[np.float64], end: str
) -> Iterator[Finding]:
    """Images with many pixels at an end of the scale."""
    typical = float(np.median(share))
    return measured.far(
        "exposure",
        share,
        (share - typical >= LEAST_CLIPPED) & ~is_flat,
        lambda place: (
            f"It is clipped: {share[place]:.1%} of its pixels are {end} (median of all images: {typical:.1%})."
        ),
    )


def _sizes(found: Examination, measured: _Measured) -> Iterator[Finding]:
    sizes = [(kind.width, kind.height) for kind in found.kinds]
    count = Counter(sizes).most_common(1)[0][1]
    if 2 * count > len(sizes):
        yield from _others(found, "size", sizes, lambda size: f"{size[0]} x {size[1]} pixels", may_exclude=True)
        return
    area = np.array([width * height for width, height in sizes], dtype=np.float64)
    ratio = np.array([width / height for width, height in sizes])
    for sign in (-1.0, 1.0):
        yield from _far_size(sizes, measured, area, "area", sign)
        yield from _far_size(sizes, measured, ratio, "aspect ratio", sign)


def _far_size(
    sizes: Sequence[tuple[int, int]], measured: _Measured, values: NDArray[np.float64], word: str, sign: float
) -> Iterator[Finding]:
    """Images of which this is much smaller (sign -1) or larger (sign 1) than of most."""
    median = float(np.median(values))
    far = sign * np.log(values / median)
    return measured.far(
        "size",
        far,
        far >= math.log(LEAST_SIZE_FACTOR),
        lambda place: (
            f"It has {sizes[place][0]} x {sizes[place][1]} pixels, {values[place] / median:.2g} times the median "
            f"{word}."
        ),
    )


def _channels(found: Examination) -> Iterator[Finding]:
    words = {1: "grey", 3: "colour"}
    channels = [kind.channels for kind in found.kinds]
    yield from _others(found, "colour", channels, lambda each: words.get(each, f"{each} channels"), may_exclude=True)


def _formats(found: Examination) -> Iterator[Finding]:
    formats = [kind.file_format for kind in found.kinds]
    yield from _others(found, "format", formats, lambda each: each or "in memory", may_exclude=False)


def _others(
    found: Examination,
    kind: FindingKind,
    values: Sequence[object],
    words: Callable[..., str],
    *,
    may_exclude: bool,
) -> Iterator[Finding]:
    """A finding of the images of each value that is not the most common one.

    Few are named for the list to leave out; many are a kind of their own, of which a person decides.
    """
    counts = Counter(values)
    usual = counts.most_common(1)[0][0]
    others = len(values) - counts[usual]
    for value, count in counts.most_common():
        if value == usual:
            continue
        names = tuple(source.name for source, each in zip(found.sources, values, strict=True) if each == value)
        yield Finding(
            kind=kind,
            images=names,
            sentence=f"{count:,} of {len(values):,} images {'is' if count == 1 else 'are'} {words(value)}, and "
            f"{counts[usual]:,} are {words(usual)}.",
            excludes=may_exclude and others <= MOST_ODD * len(values),
        )
