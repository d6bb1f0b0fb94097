"""What a patch memory keeps of good images, so that others can join them or some be taken out without their pixels.

Of each level: rows in reserve for its bank; the moments of each batch of images (the fit's, then each update's), from
which whitenings follow; and, of a bounded number of images, the patches that decide their scores. Vectors are written
as `onlygood.detectors.vector_codes` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._spacing import evenly_spaced
from onlygood.detectors.patch.scores import LevelScores
from onlygood.detectors.vector_codes import FINE_STEP, STEP, Coordinates
from onlygood.detectors.whitening import Moments

# Most images of which the deciding patches are kept: of more, some of them calibrate after an update.
MOST_IMAGES = 2000
# So few rows of a level are all kept. What is said of few images then needs no approximation.
ALL_ROWS = 4096
# Up to so many images whitenings are computed without each part of the former ones, too, where all rows are kept: so
# few make themselves look ordinary more than what was measured when they were fewer can tell.
EXACT_IMAGES = 100
# The rounding of second moments, in units of the variance of one coordinate.
MOMENT_STEP = 0.005
# The same as a share of what chance makes of the moments of so many rows.
MOMENT_SHARE = 0.25
# Batches that have moments of their own; of more, the smallest share theirs. Taking one of these out again is then as
# exact as the images of both are alike.
MOST_BATCHES = 64
_MOST_CODE = 32_000
# Beyond this leverage an image is unlike all others, and its score is high in any case.
MOST_LEVERAGE = 0.98
_MOST_VALUE, _MOST_STEP = 1e6, 30.0
# Of each image and level: its leverage on the whitening, and of how many images that was when it was measured; its
# score by memories that know the others of its group as a share of the one by memories that know none of it; and of
# its map, where it was looked at, the median, the mean, the deviation, and what is at the peak of the combined map.
NUMBERS = ("leverage", "images", "alone", "median", "mean", "deviation", "peak")


@dataclass(frozen=True, eq=False)
class Batch:
    """The moments of the images that came together.

    Attributes:
        rows: how many patches they are of, at least 1.
        each: how many of them are of one image.
        mean: float32 [d], in the level's coordinates.
        covariance: float32 [d, d], in the level's coordinates.
    """

    rows: int
    each: float
    mean: NDArray[np.float32] = field(repr=False)
    covariance: NDArray[np.float32] = field(repr=False)

    @classmethod
    def of(cls, vectors: NDArray[np.float32], images: int, coordinates: Coordinates) -> Batch:
        """Of patches [n, d] of so many images."""
        points = (vectors - coordinates.origin) @ coordinates.forward.astype(np.float32)
        mean = points.mean(axis=0, dtype=np.float64)
        products = (points.T @ points).astype(np.float64) / len(points)
        covariance = products - np.outer(mean, mean)
        return cls(len(points), len(points) / images, mean.astype(np.float32), covariance.astype(np.float32))

    def with_others(self, other: Batch) -> Batch:
        """The moments of the rows of both."""
        count = self.rows + other.rows
        mine, theirs = self.rows / count, other.rows / count
        apart = (self.mean - other.mean).astype(np.float64)
        images = self.rows / self.each + other.rows / other.each
        return Batch(
            count,
            count / images,
            (mine * self.mean + theirs * other.mean).astype(np.float32),
            (mine * self.covariance + theirs * other.covariance + mine * theirs * np.outer(apart, apart)).astype(
                np.float32
            ),
        )

    def moments(self, rows: float, coordinates: Coordinates) -> Moments:
        """As those of so many rows like these, about the origin of the coordinates."""
        back = coordinates.backward
        mean = self.mean.astype(np.float64) @ back
        products = back.T @ (self.covariance.astype(np.float64) @ back) + np.outer(mean, mean)
        return Moments(count=rows, total=rows * mean, products=rows * products)


def merged(batches: Mapping[int, Batch]) -> dict[int, Batch]:
    """The batches of these numbers, with at most MOST_BATCHES moments among them."""
    found = dict(batches)
    while len(distinct := list(dict.fromkeys(found.values()))) > MOST_BATCHES:
        first, second = sorted(distinct, key=lambda each: each.rows)[:2]
        both = first.with_others(second)
        found = {number: both if each in (first, second) else each for number, each in found.items()}
    return found


@dataclass(frozen=True)
class KeptLevel:
    """What is kept of one level.

    Attributes:
        coordinates: in which it is written.
        batches: by their numbers.
        rows: float32 [c, d], in reserve for the bank.
        row_images: int64 [c], the image that each comes from.
        is_complete: whether they are all that the memory was learned from.
        is_fine: whether vectors are rounded finely.
        deciding: float32 [s, k, d], patches of the images that can be scored again.
    """

    coordinates: Coordinates
    batches: Mapping[int, Batch]
    rows: NDArray[np.float32] = field(repr=False)
    row_images: NDArray[np.int64] = field(repr=False)
    is_complete: bool
    is_fine: bool
    deciding: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class KeptPatches:
    """What is kept of all levels.

    Attributes:
        levels: in the order of the detector's.
        scored: int64 [s], ascending: the images that can be scored again.
        mapped: bool [s], those whose maps were looked at.
        numbers: float32 [s, levels, NUMBERS]: see there.
    """

    levels: Sequence[KeptLevel]
    scored: NDArray[np.int64] = field(repr=False)
    mapped: NDArray[np.bool_] = field(repr=False)
    numbers: NDArray[np.float32] = field(repr=False)

    def number(self, name: str) -> NDArray[np.float32]:
        """One of NUMBERS, float32 [s, levels]."""
        return np.asarray(self.numbers[:, :, NUMBERS.index(name)])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, as `Learned.kept` has it."""
        arrays: dict[str, NDArray[Any]] = {
            "scored": self.scored,
            "mapped": self.mapped.astype(np.uint8),
            "numbers": self.numbers.astype(np.float16 if np.abs(self.numbers).max(initial=0) < 6e4 else np.float32),
        }
        for place, level in enumerate(self.levels):
            prefix, coordinates = f"level{place}_", level.coordinates
            numbers = sorted(level.batches)
            batches = list(dict.fromkeys(level.batches[number] for number in numbers))
            step = FINE_STEP if level.is_fine else STEP
            deviations = np.stack([_triangle(each.covariance - np.eye(len(each.mean))) for each in batches])
            # Of few rows, moments are known the less well.
            steps = np.array([max(MOMENT_STEP, MOMENT_SHARE / math.sqrt(each.rows)) for each in batches])
            steps = np.maximum(steps, np.abs(deviations).max(axis=1) / _MOST_CODE).astype(np.float32)
            codes = np.rint(deviations / steps[:, None]).astype(np.int16)
            flat = level.deciding.reshape(-1, level.deciding.shape[-1])
            arrays |= coordinates.to_arrays(prefix)
            arrays |= {
                f"{prefix}batch_numbers": np.array(numbers, dtype=np.int64),
                f"{prefix}batch_places": np.array([batches.index(level.batches[each]) for each in numbers], np.int32),
                f"{prefix}batch_rows": np.array([each.rows for each in batches], dtype=np.int64),
                f"{prefix}batch_each": np.array([each.each for each in batches], dtype=np.float64),
                f"{prefix}batch_means": np.stack([each.mean for each in batches]),
                f"{prefix}batch_steps": steps,
                f"{prefix}batch_codes": codes.astype(np.int8) if np.abs(codes).max(initial=0) < 128 else codes,
                f"{prefix}rows": coordinates.encode(level.rows, step),
                f"{prefix}row_images": level.row_images.astype(np.int32),
                f"{prefix}complete": np.array([level.is_complete, level.is_fine], dtype=np.uint8),
                f"{prefix}deciding": coordinates.encode(flat, step).reshape(level.deciding.shape),
            }
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], *, widths: Sequence[int], count: int, numbers: Sequence[int]
    ) -> KeptPatches:
        """What was written with `to_arrays`.

        Args:
            arrays: of a file.
            widths: d of each level of the detector.
            count: how many images they are of.
            numbers: of their batches.

        Raises:
            KeyError, ValueError: they do not fit together.
        """
        scored = _integers(arrays["scored"])
        size = len(scored)
        _require(size == 0 or bool(scored[0] >= 0 and scored[-1] < count and (np.diff(scored) > 0).all()), "images")
        mapped, several = arrays["mapped"] != 0, arrays["numbers"].astype(np.float32)
        _require(mapped.shape == (size,) and several.shape == (size, len(widths), len(NUMBERS)), "numbers")
        return cls(
            [_level(arrays, f"level{place}_", width, size, count, numbers) for place, width in enumerate(widths)],
            scored,
            mapped,
            several,
        )


def _level(
    arrays: Mapping[str, NDArray[Any]], prefix: str, width: int, size: int, count: int, numbers: Sequence[int]
) -> KeptLevel:
    coordinates = Coordinates.from_arrays(arrays, prefix)
    _require(coordinates.origin.shape == (width,), "coordinates")
    known = _integers(arrays[f"{prefix}batch_numbers"]).tolist()
    places = _integers(arrays[f"{prefix}batch_places"])
    rows, each, means, steps = (arrays[f"{prefix}batch_{name}"] for name in ("rows", "each", "means", "steps"))
    count_of = len(rows)
    codes = arrays[f"{prefix}batch_codes"]
    _require(set(numbers) <= set(known) and len(set(known)) == len(known), "batches")
    _require(places.shape == (len(known),) and bool(((places >= 0) & (places < count_of)).all()), "batches")
    _require(rows.shape == each.shape == steps.shape == (count_of,) and means.shape == (count_of, width), "batches")
    _require(codes.shape == (count_of, width * (width + 1) // 2), "moments")
    fits = (rows >= 1).all() and (each > 0).all() and (each < _MOST_VALUE).all() and (steps > 0).all()
    _require(bool(fits and (steps < _MOST_STEP).all() and (np.abs(means) < _MOST_VALUE).all()), "moments")
    complete = arrays[f"{prefix}complete"]
    _require(complete.shape == (2,), "rows")
    step = FINE_STEP if complete[1] else STEP
    covariances = [_square(codes[place] * float(steps[place]), width) + np.eye(width) for place in range(count_of)]
    moments = [
        Batch(int(rows[place]), float(each[place]), means[place].astype(np.float32), covariance.astype(np.float32))
        for place, covariance in enumerate(covariances)
    ]
    batches = {number: moments[place] for number, place in zip(known, places.tolist(), strict=True)}
    candidates, row_images = arrays[f"{prefix}rows"], _integers(arrays[f"{prefix}row_images"])
    _require(candidates.shape == (len(row_images), width), "rows")
    _require(bool(((row_images >= 0) & (row_images < count)).all()), "rows")
    deciding = arrays[f"{prefix}deciding"]
    _require(deciding.ndim == 3 and deciding.shape[0] == size and deciding.shape[2] == width, "deciding patches")
    _require(size == 0 or deciding.shape[1] >= 1, "deciding patches")
    return KeptLevel(
        coordinates,
        batches,
        coordinates.decode(candidates, step),
        row_images,
        bool(complete[0]),
        bool(complete[1]),
        coordinates.decode(deciding.reshape(-1, width), step).reshape(deciding.shape),
    )


def chosen_to_keep(calibrating: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the calibrating images, int64 [m], can be scored again later: MOST_IMAGES at most, evenly spaced."""
    return calibrating[evenly_spaced(len(calibrating), MOST_IMAGES)]


def map_numbers(
    patch_scores: Sequence[NDArray[np.float32]], combined: NDArray[np.float32]
) -> list[tuple[float, float, float, float]]:
    """The last four of NUMBERS of an image, for each level.

    Args:
        patch_scores: float32 [h, w], by each level.
        combined: float32 [H, W], what they are combined into.
    """
    peak = np.unravel_index(int(combined.argmax()), combined.shape)
    found = []
    for patches in patch_scores:
        at = tuple(
            int((place + 0.5) * side / whole)
            for place, side, whole in zip(peak, patches.shape, combined.shape, strict=True)
        )
        found.append((float(np.median(patches)), float(patches.mean()), float(patches.std()), float(patches[at])))
    return found


def leverage(scores: LevelScores) -> list[float]:
    """How much an image makes itself look ordinary by each bank's whitening, from 0 to MOST_LEVERAGE.

    A whitening that has seen a vector shortens its squared distance by this share, as a regression that has seen a
    point does with its residual, and the share falls as one over the number of vectors.
    """
    found = []
    for unseen, seen in zip(scores.scores, scores.seen_scores, strict=True):
        ratio = seen / unseen if unseen > 0 else 1.0
        found.append(float(np.clip(1.0 - ratio**2, 0.0, MOST_LEVERAGE)))
    return found


def _triangle(square: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(square[np.triu_indices(len(square))], dtype=np.float64)


def _square(triangle: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    square = np.zeros((width, width))
    square[np.triu_indices(width)] = triangle
    return np.asarray(square + np.triu(square, 1).T)


def _integers(array: NDArray[Any]) -> NDArray[np.int64]:
    _require(array.ndim == 1 and array.dtype.kind in "iu", "whole numbers")
    return array.astype(np.int64)


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} that do not fit together")
