"""Change an image by exactly this much: its light, its place, its sharpness, its noise, its compression.

In the order in which a camera does it:

    light       a curve over the levels: contrast, then brightness, then gamma
    place       mirrored, turned, scaled and shifted, all in one bilinear resampling
    lens        Gaussian blur
    sensor      Gaussian noise, of its own for every pixel and channel
    file        rounded and clipped at what the depth can hold, then JPEG

Nothing is clipped before the file: what the light takes above white is there again where blur brings it back. Nothing
is clipped at the window either, which only says how large one per cent is. Bilinear resampling softens an image a
little, between pixels the most.

JPEG has 8 bits. Of a 16-bit image an 8-bit rendition is made through the window, and what JPEG does to that, its
blocks and its ringing, is added to the 16-bit image, which keeps its fine levels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.errors import ImageError
from onlygood.images.reading import ImageArray
from onlygood.images.window import Window

Floats = NDArray[np.float32]

_CHUNK = 32_768  # values worked on at once, so that they stay in the processor's cache
# JPEG holds at most 65,500 pixels a side, and Pillow warns above 89 million in all. Larger images go in parts, which
# ends in the same, as JPEG's blocks of 16 hardly see each other.
_JPEG_SIDE = 8_192


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to an image; by default nothing.

    Attributes:
        brightness: what is added, as a share of the levels from black to white.
        contrast: factor of the distance from the image's mean level.
        gamma: exponent of the levels from black (0) to white (1); above 1 is darker. Levels beyond go on in parallel.
        noise: standard deviation, as a share of the levels from black to white.
        blur: standard deviation in pixels.
        jpeg: quality, 1 to 100; 0 for no compression.
        shift_x: to the right, as a share of the width.
        shift_y: down, as a share of the height.
        rotation: clockwise about the centre, in degrees.
        scale: factor about the centre; above 1 is larger.
        flip_horizontal: whether left and right change places; before it is turned.
        flip_vertical: whether top and bottom do.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0
    noise: float = 0.0
    blur: float = 0.0
    jpeg: int = 0
    shift_x: float = 0.0
    shift_y: float = 0.0
    rotation: float = 0.0
    scale: float = 1.0
    flip_horizontal: bool = False
    flip_vertical: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The change as plain JSON values."""
        return asdict(self)


def change_image(
    image: ImageArray,
    change: Change,
    *,
    window: Window,
    border: str,
    border_level: float | None = None,
    noise: np.random.Generator,
) -> ImageArray:
    """The changed image, of the same shape and depth; equal to the image if the change is none.

    Args:
        image: uint8 or uint16 [H, W, C], C 1 or 3.
        change: what to do.
        window: the levels of black and white.
        border: what comes into view: "mirror" for the image mirrored at its outermost pixels, "edge" for these
            repeated, "constant" for one level.
        border_level: with "constant", a level of the image; None for the median of its outermost pixels, for each
            channel its own.
        noise: where the noise is drawn from.

    Raises:
        ImageError: if it is not an array as above, or has no pixels.
    """
    check_image(image)
    if change == Change():
        return image.copy()
    pixels = _light(image, change, window, fill=None)
    if change.flip_horizontal:
        pixels = pixels[:, ::-1]
    if change.flip_vertical:
        pixels = pixels[::-1]
    if (change.shift_x, change.shift_y, change.rotation, change.scale) != (0.0, 0.0, 0.0, 1.0):
        fill = None
        if border == "constant":
            level = _border_median(image) if border_level is None else np.full(image.shape[2], border_level)
            fill = _light(image, change, window, fill=level)
        pixels = _place(pixels, change, fill, mirrored=border == "mirror")
    if change.blur > 0:
        pixels = _blur(pixels, change.blur)
    if change.noise > 0:
        drawn = noise.standard_normal(pixels.shape, dtype=np.float32)
        drawn *= np.float32(change.noise * (window.white - window.black))
        pixels = np.add(pixels, drawn, out=drawn)
    stored = _store(pixels, image.dtype)
    return _compress(stored, change.jpeg, window) if change.jpeg else stored


def turn_image(image: ImageArray, degrees: float, *, border: str) -> ImageArray:
    """The image turned clockwise about its centre within its own frame, of the same shape and depth.

    Where every pixel has one to come from, which is where a square is turned by a multiple of 90 degrees or any image
    by one of 180, pixels are moved and not resampled.

    Args:
        image: uint8 or uint16 [H, W, C], C 1 or 3.
        degrees: clockwise.
        border: as for `change_image`.

    Raises:
        ImageError: if it is not an array as above, or has no pixels.
    """
    check_image(image)
    quarters, rest = divmod(degrees, 90.0)
    if rest == 0.0 and (image.shape[0] == image.shape[1] or quarters % 2 == 0):
        return np.ascontiguousarray(np.rot90(image, -int(quarters)))
    return change_image(
        image,
        Change(rotation=degrees),
        window=Window(0, np.iinfo(image.dtype).max),  # says how strong light and noise are, which stay as they are
        border=border,
        noise=np.random.default_rng(0),
    )


def check_image(image: ImageArray) -> None:
    """Refuse what is no image as `read_image` returns it.

    Raises:
        ImageError: if it is not an array uint8 or uint16 [H, W, C] with 1 or 3 channels, or has no pixels.
    """
    if not (isinstance(image, np.ndarray) and image.dtype in (np.uint8, np.uint16)):
        got = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image to change must be an array of uint8 or uint16, got {got}: read it first")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise ImageError(
            f"an image to change must have the shape [H, W, 1] or [H, W, 3], got {list(image.shape)}: read it first"
        )


# Light


def _light(image: ImageArray, change: Change, window: Window, fill: NDArray[np.float64] | None) -> Floats:
    """The image's levels, or those of `fill` in its place, under the changed light."""
    if (change.brightness, change.contrast, change.gamma) == (0.0, 1.0, 1.0):
        return (image if fill is None else fill).astype(np.float32)
    width = window.white - window.black
    # Summed in whole numbers, so that it is the same on every machine.
    mean = (int(image.sum(dtype=np.uint64)) / image.size - window.black) / width
    depth = np.iinfo(image.dtype).max + 1
    by_level = fill is None and image.size > depth
    levels = np.arange(depth) if by_level else image if fill is None else fill
    shares = mean + change.contrast * ((levels.astype(np.float64) - window.black) / width - mean) + change.brightness
    within = np.clip(shares, 0.0, 1.0)
    # The last digits of a power differ between machines: a 64th of a level is where they end.
    changed = np.rint((within**change.gamma + (shares - within)) * (64 * width)) / 64 + window.black
    curve: Floats = changed.astype(np.float32)
    return curve[image] if by_level else curve


# Place


def _place(pixels: Floats, change: Change, fill: Floats | None, *, mirrored: bool) -> Floats:
    """Turned, scaled and shifted: each pixel is taken from where it comes from, between the four pixels around it.

    Args:
        pixels: [H, W, C].
        change: what to do.
        fill: [C], what lies around the image; None for its own pixels.
        mirrored: which of its own pixels, if `fill` is None.
    """
    H, W, C = pixels.shape
    frame = 0 if fill is None else 1
    # A row and a column more at the end: a pixel's neighbours to the right and below are then always there.
    padded = np.empty((H + 2 * frame + 1, W + 2 * frame + 1, C), np.float32)
    if fill is not None:
        padded[:] = fill
    padded[frame : H + frame, frame : W + frame] = pixels
    padded[-1], padded[:, -1] = padded[-2], padded[:, -2]
    stride = padded.shape[1]
    flat = padded.reshape(-1) if C == 1 else padded.reshape(-1, C)

    # x' = s (cos x - sin y) + t and y' = s (sin x + cos y) + t about the centre, solved for x and y.
    cos = math.cos(math.radians(change.rotation)) / change.scale
    sin = math.sin(math.radians(change.rotation)) / change.scale
    x = np.arange(W) - ((W - 1) / 2 + change.shift_x * W)
    y = np.arange(H) - ((H - 1) / 2 + change.shift_y * H)
    placed = np.empty((H, W, C), np.float32)
    rows = max(1, _CHUNK // W)
    for start in range(0, H, rows):
        part = y[start : start + rows, None]
        column, right = _between(cos * x + sin * part + (W - 1) / 2, W, frame, mirrored)
        row, below = _between(cos * part - sin * x + (H - 1) / 2, H, frame, mirrored)
        at = row
        at *= stride
        at += column
        if C == 3:
            right, below = right[:, :, None], below[:, :, None]
        upper = _mix(flat, at, right)
        at += stride
        lower = _mix(flat, at, right)
        lower -= upper
        lower *= below
        lower += upper
        placed[start : start + rows] = lower.reshape(*lower.shape[:2], C)
    return placed


def _between(at: NDArray[np.float64], size: int, frame: int, mirrored: bool) -> tuple[NDArray[np.intp], Floats]:
    """The pixel before each coordinate, and how far beyond it the coordinate lies, 0 to 1."""
    if mirrored and frame == 0:
        at = _mirror(at, size)
    at += frame
    np.clip(at, 0, size - 1 + 2 * frame, out=at)
    before = at.astype(np.intp)
    at -= before
    return before, at.astype(np.float32)


def _mirror(at: NDArray[Any], size: int) -> NDArray[Any]:
    """Coordinates within the image, of those that lie anywhere: mirrored at the centres of the outermost pixels."""
    last = size - 1
    if last == 0:
        return np.zeros_like(at)
    if at.min() < -last or at.max() > 2 * last:
        at = at % (2 * last)
    inside: NDArray[Any] = last - np.abs(last - np.abs(at))
    return inside


def _mix(flat: Floats, at: NDArray[np.intp], share: Floats) -> Floats:
    """Between the pixels at these places and those that follow them."""
    first = flat.take(at, axis=0)
    second = flat[1:].take(at, axis=0)
    second -= first
    second *= share
    second += first
    return second


def _border_median(image: ImageArray) -> NDArray[np.float64]:
    """The median level of the outermost pixels [C]."""
    sides = (image[0], image[-1], image[:, 0], image[:, -1])
    median: NDArray[np.float64] = np.median(np.concatenate(sides), axis=0)
    return median


# Lens


def _blur(pixels: Floats, sigma: float) -> Floats:
    """Convolved along both axes with the discrete Gaussian, whose variance is sigma squared however small that is.

    Beyond its border the image is mirrored. Source: Lindeberg, "Scale-space for discrete signals", 1990, equation
    for T(n; t), t = sigma squared; here through its Fourier transform exp(t (cos w - 1)).
    """
    radius = math.ceil(4 * sigma) + 1
    frequencies = np.arange(2 * radius + 33) * (2 * math.pi / (4 * radius + 64))
    kernel = np.fft.irfft(np.exp(sigma**2 * (np.cos(frequencies) - 1)))[: radius + 1]
    kernel = (kernel / (kernel[0] + 2 * kernel[1:].sum())).astype(np.float32)
    H, W, C = pixels.shape
    columns = _mirror(np.arange(-radius, W + radius), W)
    rows_above_and_below = _mirror(np.arange(-radius, H + radius), H)
    blurred = np.empty((H, W, C), np.float32)
    rows = max(1, _CHUNK // (W * C))
    for start in range(0, H, rows):
        stop = min(start + rows, H)
        part = pixels[rows_above_and_below[start : stop + 2 * radius]]
        part = _convolve(part, kernel, 0)[:, columns]
        blurred[start:stop] = _convolve(part, kernel, 1)
    return blurred


def _convolve(padded: Floats, kernel: Floats, axis: int) -> Floats:
    """Convolved along an axis, which becomes shorter by the kernel's radius at both ends."""
    radius = len(kernel) - 1
    size = padded.shape[axis] - 2 * radius

    def moved(by: int) -> Floats:
        return padded[radius + by : radius + by + size] if axis == 0 else padded[:, radius + by : radius + by + size]

    total: Floats = moved(0) * kernel[0]
    pair = np.empty_like(total)
    for by in range(1, radius + 1):
        np.add(moved(-by), moved(by), out=pair)
        pair *= kernel[by]
        total += pair
    return total


# File


def _store(pixels: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> ImageArray:
    """Rounded, and clipped at what the depth can hold."""
    rounded = np.rint(pixels)
    np.clip(rounded, 0, np.iinfo(dtype).max, out=rounded)
    stored: ImageArray = rounded.astype(dtype)
    return stored


def _compress(image: ImageArray, quality: int, window: Window) -> ImageArray:
    """The image as JPEG brings it back; with 16 bits, the image plus what JPEG adds to its 8-bit rendition."""
    compressed = np.empty_like(image)
    for part in _parts(image.shape[0], image.shape[1]):
        pixels = image[part]
        if image.dtype == np.uint8:
            compressed[part] = _through_jpeg(pixels, quality)
            continue
        level = np.float32((window.white - window.black) / 255)
        rendition = _store((pixels - np.float32(window.black)) / level, np.dtype(np.uint8))
        added = np.subtract(_through_jpeg(rendition, quality), rendition, dtype=np.float32)
        compressed[part] = _store(pixels + level * added, image.dtype)
    return compressed


def _parts(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, height, _JPEG_SIDE):
        for left in range(0, width, _JPEG_SIDE):
            yield slice(top, top + _JPEG_SIDE), slice(left, left + _JPEG_SIDE)


def _through_jpeg(pixels: ImageArray, quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    grey = pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer)).reshape(pixels.shape)
