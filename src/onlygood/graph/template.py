"""The golden sample that images are registered to, as arrays of a graph: its spectra, and how it changes as it moves.

Places are from -1 to 1 along each side of an image; lengths that must not depend on the direction are in halves of its
width. Angles are clockwise as one looks at an image: a point of the golden sample, seen from the centre, lies in an
image where it is turned by the angle and then shifted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.settings import Motion

Floats: TypeAlias = NDArray[np.float32]

# The initializers that have the golden sample's fine band and the angles that are searched for.
GOLDEN, ANGLES = "align_golden", "align_angles"
# The long side of the small images that are registered.
GRID_SIDE = 128
# Of the short one, which an elongated image leaves few.
LEAST_SIDE = 16
# They are registered roughly first, smoothed by so many of their pixels and with every so manieth of them, then finely.
# What is wider than LIGHT is light, and taken out.
SMOOTHED, REDUCED, LIGHT = (3.0, 1.0), (2, 1), 16.0
# The share of a side over which the window rises from 0 at the border to 1.
RISE = 0.1
# The highest frequency with which parts are searched for, in waves a side, and how far apart frequencies are: so far
# that a shift by half a side is none in the other direction.
HIGHEST, WAVES = 16.0, 1.5
# Shifts that are searched for, as shares of the sides, and how far apart.
MOST_SHIFT, SHIFT_STEP = 0.4, 1 / 64
# Angles that are searched for are so far apart at most, in degrees.
ANGLE_STEP = 5.0
# The largest angle either way: all there are.
MOST_DEGREES = 180.0
# Places where a part may lie, by the angle, that are looked at finely.
CANDIDATES = 4


@dataclass(frozen=True, eq=False)
class Template:
    """The golden sample, small.

    Attributes:
        motion: by what parts differ from it in where they lie.
        bands: the rough and the fine one, float32 [h, w], smoothed and without light, as images are compared with
            them; the sum of the squares of each under its window is 1.
        aspect: height of the golden sample over its width.
        most_degrees: the largest angle either way.
    """

    motion: Motion
    bands: tuple[Floats, Floats] = field(repr=False)
    aspect: float
    most_degrees: float = 0.0

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of small images."""
        height, width = self.bands[-1].shape
        return height, width

    @property
    def angles(self) -> Floats:
        """The angles that are searched for, float32 [k], in radians."""
        if self.motion == "translation":
            return np.zeros(1, np.float32)
        return search_angles(self.most_degrees)

    @property
    def sha256(self) -> str:
        """Of the fine band."""
        return template_digest(self.bands[-1])


def make_template(bands: Sequence[Floats], motion: Motion, *, aspect: float, most_degrees: float = 0.0) -> Template:
    """The template of a golden sample.

    Args:
        bands: float32 [h, w] each, as `onlygood.graph.registration.band_graph` gives them, not 0 everywhere.
        motion: by what parts differ from it in where they lie.
        aspect: height of the golden sample over its width.
        most_degrees: the largest angle either way, for "rigid".
    """
    rough, fine = (
        (band / np.sqrt((band.astype(np.float64) ** 2 * window(band.shape)).sum())).astype(np.float32) for band in bands
    )
    return Template(motion, (rough, fine), aspect, most_degrees if motion == "rigid" else 0.0)


def scrambled(template: Template) -> Template:
    """Noise with the spectrum of the golden sample: what images correlate with that show nothing of it."""
    noise = np.random.default_rng(0).normal(size=template.grid)
    phases = np.exp(1j * np.angle(np.fft.fft2(noise)))
    spectrum = np.fft.fft2(template.bands[-1] * window(template.grid))
    fine = np.fft.ifft2(spectrum * phases).real.astype(np.float32)
    down, across = (smoothing(side, SMOOTHED[0], REDUCED[0]) for side in template.grid)
    bands = (down @ fine @ across.T).astype(np.float32), fine
    return make_template(bands, template.motion, aspect=template.aspect, most_degrees=template.most_degrees)


def template_digest(band: Floats) -> str:
    """The sha256 of a golden sample's fine band, float32."""
    return hashlib.sha256(np.ascontiguousarray(band, dtype="<f4").tobytes()).hexdigest()


def search_angles(most_degrees: float) -> Floats:
    """Angles up to so many degrees either way, float32 [k], in radians, evenly spaced; 0 is among them."""
    if most_degrees == MOST_DEGREES:
        count = round(360 / ANGLE_STEP)
        return np.radians(360.0 * np.arange(count) / count - 180.0).astype(np.float32)
    each_way = int(np.ceil(most_degrees / ANGLE_STEP))
    return np.radians(np.linspace(-most_degrees, most_degrees, 2 * each_way + 1)).astype(np.float32)


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of small images of images of this height and width."""
    height, width = (max(LEAST_SIDE, round(GRID_SIDE * side / max(size))) for side in size)
    return height, width


def reduced(side: int, times: int) -> int:
    """How many pixels are left of a side where every so manieth is."""
    return -(-side // times)


def smoothing(side: int, sigma: float, times: int = 1) -> Floats:
    """The matrix that smooths along a side, float32 [side / times, side], by straight lines fitted under a Gaussian.

    A straight line, as light that falls off to one side, stays as it is up to the border.

    Args:
        side: in pixels.
        sigma: of the Gaussian, in pixels.
        times: one pixel is made of so many.
    """
    left = reduced(side, times)
    at = (np.arange(left) + 0.5) * side / left - 0.5
    apart = np.arange(side)[None, :] - at[:, None]
    weights = np.exp(-0.5 * (apart / sigma) ** 2)
    mass, first, second = ((weights * apart**power).sum(axis=1, keepdims=True) for power in range(3))
    matrix: Floats = (weights * (second - first * apart) / (mass * second - first**2)).astype(np.float32)
    return matrix


def window(grid: tuple[int, ...]) -> Floats:
    """Weights of the pixels of a small image, float32 [h, w]: 1, falling to 0 at the border (Tukey)."""
    sides = []
    for side in grid:
        from_border = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / side
        sides.append(0.5 - 0.5 * np.cos(np.pi * np.minimum(from_border / RISE, 1.0)))
    weights: Floats = np.outer(*sides).astype(np.float32)
    return weights


def places(grid: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where rows [h] and columns [w] of a small image are, from -1 to 1."""
    rows, columns = ((2 * np.arange(side) + 1) / side - 1 for side in grid)
    return rows, columns


def frequencies(aspect: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies that are looked at, in waves in half a width: of rows [ny], both signs, and of columns [nx]."""
    high, wide = WAVES * 2 * aspect, WAVES * 2
    highest = HIGHEST / (2 * max(1.0, aspect))
    rows, columns = int(highest * high), int(highest * wide)
    return np.arange(-rows, rows + 1) / high, np.arange(columns + 1) / wide


def turned_spectra(template: Template) -> NDArray[np.complex64]:
    """The spectrum of the golden sample at each angle, complex64 [k, ny, nx], of one energy each.

    That of an image that is turned is the image's own spectrum, turned: nothing is resampled.
    """
    rows, columns = places(template.grid)
    rows = rows * template.aspect
    levels = template.bands[-1] * window(template.grid)
    vertical, horizontal = frequencies(template.aspect)
    f_y, f_x = (each.reshape(-1) for each in np.meshgrid(vertical, horizontal, indexing="ij"))
    highest = HIGHEST / (2 * max(1.0, template.aspect))
    kept = np.exp(-0.5 * (np.hypot(f_y, f_x) / (0.5 * highest)) ** 2) * (np.hypot(f_y, f_x) <= highest)
    angles = template.angles.astype(np.float64)
    # Half a turn more is the conjugate.
    is_circle = template.most_degrees == MOST_DEGREES
    spectra = []
    for angle in angles[: len(angles) // 2] if is_circle else angles:
        turned_x, turned_y = f_x * np.cos(angle) + f_y * np.sin(angle), f_y * np.cos(angle) - f_x * np.sin(angle)
        across = np.exp(-2j * np.pi * np.outer(turned_x, columns)).astype(np.complex64)
        along = np.exp(-2j * np.pi * np.outer(turned_y, rows)).astype(np.complex64)
        spectrum = ((along @ levels.astype(np.complex64)) * across).sum(axis=1) * kept
        spectra.append(spectrum / max(float(np.linalg.norm(spectrum)), 1e-12))
    spectra += [spectrum.conj() for spectrum in spectra] if is_circle else []
    found = np.stack(spectra).reshape(len(spectra), len(vertical), len(horizontal))
    return found.astype(np.complex64)


def motion_columns(template: Template) -> Iterator[tuple[Floats, Floats]]:
    """For each band, how an image looks that lies nearly as the golden sample, as a sum of columns.

    Yields:
        Columns, float32 [h * w, p], of unit length and at right angles under the window; and the matrix, float32
        [p, p], from their coefficients to those of the golden sample, of 1, and of its changes as it turns by a radian
        and shifts right and down by half the width and height; without the turn for "translation".

    Source: Baker and Matthews, Lucas-Kanade 20 years on, IJCV 2004, section 3.2 (inverse compositional), with gain and
    bias as in part 3 of that series.
    """
    for band in template.bands:
        height, width = band.shape
        rows, columns = places(band.shape)
        weights = window(band.shape).reshape(-1).astype(np.float64)
        level = band.astype(np.float64)
        down, right = np.gradient(level)
        changes = [right * width / 2, down * height / 2]
        if template.motion == "rigid":
            across, along = columns[None, :] / template.aspect, rows[:, None] * template.aspect
            changes.insert(0, changes[1] * across - changes[0] * along)
        stacked = np.stack([level, np.ones_like(level), *changes], axis=-1).reshape(height * width, -1)
        _, triangle = np.linalg.qr(stacked * np.sqrt(weights)[:, None])
        inverse = np.linalg.inv(triangle)
        yield (stacked @ inverse).astype(np.float32), inverse.astype(np.float32)


def search_arrays(template: Template) -> dict[str, NDArray[Any]]:
    """The initializers of the search among all angles and shifts, by their names."""
    (rows, columns), (vertical, horizontal) = places(template.grid), frequencies(template.aspect)
    rows = rows * template.aspect
    spectra = turned_spectra(template)
    steps = int(MOST_SHIFT / SHIFT_STEP)
    shifts = 2 * SHIFT_STEP * np.arange(-steps, steps + 1)
    y_waves, x_waves = 2 * np.pi * np.outer(vertical, rows), 2 * np.pi * np.outer(columns, horizontal)
    y_shifts = 2 * np.pi * np.outer(shifts * template.aspect, vertical)
    x_shifts = 2 * np.pi * np.outer(horizontal, shifts)
    # A wave and its opposite are one another's conjugates: those that are left out count through these.
    twice = np.where(horizontal == 0, 1.0, 2.0)[:, None]
    angles = template.angles.astype(np.float64)
    apart = np.abs(np.angle(np.exp(1j * (angles[:, None] - angles[None, :]))))
    arrays: dict[str, NDArray[Any]] = {
        "align_y_cos": np.cos(y_waves),
        "align_y_sin": -np.sin(y_waves),
        "align_x_cos": np.cos(x_waves),
        "align_x_sin": -np.sin(x_waves),
        "align_spectra_re": spectra.real,
        "align_spectra_im": spectra.imag,
        "align_to_y_cos": np.cos(y_shifts),
        "align_to_y_sin": np.sin(y_shifts),
        "align_to_x_cos": np.cos(x_shifts) * twice,
        "align_to_x_sin": np.sin(x_shifts) * twice,
        ANGLES: angles,
        "align_shifts": shifts,
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    if len(angles) > 1:
        # Angles within three steps of one that is a candidate are no further one.
        arrays["align_neighbours"] = np.where(apart < np.radians(3.5 * ANGLE_STEP), -1e9, 0.0).astype(np.float32)
    return arrays
