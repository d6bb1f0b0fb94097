"""The golden sample that images are registered to, as the arrays of a graph: its spectra, and how it changes as it moves.

Places are from -1 to 1 along each side of an image; lengths that must not depend on the direction are in halves of its
width. Angles are clockwise as one looks at an image: a point of the golden sample, seen from the centre, lies in an
image where it is turned by the angle and then shifted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.settings import Motion

Floats: TypeAlias = NDArray[np.float32]

# The long side of the small grid on which images are registered.
GRID_SIDE = 128
# Of the short one, which an elongated image leaves few.
LEAST_SIDE = 16
# Levels are smoothed by these, in pixels of the grid: roughly registered first, then finely. What is wider than the last
# one is light, and taken out.
SMOOTHED, LIGHT = (3.0, 1.0), 16.0
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


@dataclass(frozen=True)
class Template:
    """The golden sample on the small grid.

    Attributes:
        motion: by what parts differ from it in where they lie.
        levels: float32 [2, h, w], smoothed and without light, as images are compared with it; the sum of their squares
            under the window is 1.
        aspect: height of the golden sample over its width.
        most_degrees: the largest angle either way.
    """

    motion: Motion
    levels: Floats = field(repr=False)
    aspect: float
    most_degrees: float = 0.0

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the small grid."""
        return self.levels.shape[1], self.levels.shape[2]

    @property
    def angles(self) -> Floats:
        """The angles that are searched for, float32 [k], in radians."""
        if self.motion == "translation":
            return np.zeros(1, np.float32)
        return search_angles(self.most_degrees)

    @property
    def sha256(self) -> str:
        """Of the golden sample on the grid."""
        return template_digest(self.levels)


def make_template(bands: Floats, motion: Motion, *, aspect: float, most_degrees: float = 0.0) -> Template:
    """The template of a golden sample.

    Args:
        bands: float32 [2, h, w], as `onlygood.graph.registration.band_graph` gives them, not 0 everywhere.
        motion: by what parts differ from it in where they lie.
        aspect: height of the golden sample over its width.
        most_degrees: the largest angle either way, for "rigid".
    """
    energy = (bands.astype(np.float64) ** 2 * window(bands.shape[1:])).sum(axis=(1, 2), keepdims=True)
    levels = (bands / np.sqrt(energy)).astype(np.float32)
    return Template(motion, levels, aspect, most_degrees if motion == "rigid" else 0.0)


def scrambled(template: Template) -> Template:
    """Noise with the spectrum of the golden sample: what images correlate with that show nothing of it."""
    noise = np.random.default_rng(0).normal(size=template.grid)
    phases = np.exp(1j * np.angle(np.fft.fft2(noise)))
    levels = np.fft.ifft2(np.fft.fft2(template.levels) * phases).real.astype(np.float32)
    return make_template(levels, template.motion, aspect=template.aspect, most_degrees=template.most_degrees)


def template_digest(levels: Floats) -> str:
    """The sha256 of a golden sample on the grid, float32 [2, h, w]."""
    return hashlib.sha256(repr(levels.shape).encode() + levels.tobytes()).hexdigest()


def search_angles(most_degrees: float) -> Floats:
    """Angles up to so many degrees either way, float32 [k], in radians, evenly spaced; 0 is among them."""
    if most_degrees == MOST_DEGREES:
        count = round(360 / ANGLE_STEP)
        return np.radians(360.0 * np.arange(count) / count - 180.0).astype(np.float32)
    each_way = int(np.ceil(most_degrees / ANGLE_STEP))
    return np.radians(np.linspace(-most_degrees, most_degrees, 2 * each_way + 1)).astype(np.float32)


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the small grid for images of this height and width."""
    height, width = (max(LEAST_SIDE, round(GRID_SIDE * side / max(size))) for side in size)
    return height, width


def smoothing(side: int, sigma: float) -> Floats:
    """The matrix that smooths along a side, float32 [side, side], by straight lines fitted under a Gaussian.

    A straight line, as light that falls off to one side, stays as it is up to the border.
    """
    apart = np.arange(side)[None, :] - np.arange(side)[:, None].astype(np.float64)
    weights = np.exp(-0.5 * (apart / sigma) ** 2)
    mass, first, second = ((weights * apart**power).sum(axis=1, keepdims=True) for power in range(3))
    return (weights * (second - first * apart) / (mass * second - first**2)).astype(np.float32)


def window(grid: tuple[int, ...]) -> Floats:
    """Weights of the places of the grid, float32 [h, w]: 1, falling to 0 at the border (Tukey)."""
    sides = []
    for side in grid:
        from_border = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / side
        sides.append(0.5 - 0.5 * np.cos(np.pi * np.minimum(from_border / RISE, 1.0)))
    return np.outer(*sides).astype(np.float32)


def places(template: Template) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where rows [h] and columns [w] of the grid are, from the centre, in halves of the width."""
    rows, columns = ((2 * np.arange(side) + 1) / side - 1 for side in template.grid)
    return rows * template.aspect, columns


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
    rows, columns = places(template)
    levels = template.levels[-1] * window(template.grid)
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
    """For each smoothness, how an image looks that lies nearly as the golden sample, as a sum of columns.

    Yields:
        Columns, float32 [h * w, p], of unit length and at right angles under the window; and the matrix, float32
        [p, p], from their coefficients to those of the golden sample, of 1, and of its changes as it turns by a radian
        and shifts right and down by half the width and height of the grid; without the turn for "translation".

    Source: Baker and Matthews, Lucas-Kanade 20 years on, IJCV 2004, section 3.2 (inverse compositional), with gain and
    bias as in part 3 of that series.
    """
    height, width = template.grid
    rows, columns = places(template)
    weights = window(template.grid).reshape(-1).astype(np.float64)
    for level in template.levels.astype(np.float64):
        down, right = np.gradient(level)
        changes = [right * width / 2, down * height / 2]
        if template.motion == "rigid":
            changes.insert(0, changes[1] / template.aspect * columns[None, :] - changes[0] * rows[:, None])
        stacked = np.stack([level, np.ones_like(level), *changes], axis=-1).reshape(height * width, -1)
        _, triangle = np.linalg.qr(stacked * np.sqrt(weights)[:, None])
        inverse = np.linalg.inv(triangle)
        yield (stacked @ inverse).astype(np.float32), inverse.astype(np.float32)


def search_arrays(template: Template) -> dict[str, NDArray[Any]]:
    """The initializers of the search among all angles and shifts, by their names."""
    (rows, columns), (vertical, horizontal) = places(template), frequencies(template.aspect)
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
        "align_angles": angles,
        "align_shifts": shifts,
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    if len(angles) > 1:
        # Angles within three steps of one that is a candidate are no further one.
        arrays["align_neighbours"] = np.where(apart < np.radians(3.5 * ANGLE_STEP), -1e9, 0.0).astype(np.float32)
    return arrays
