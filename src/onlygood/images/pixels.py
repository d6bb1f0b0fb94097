"""From pixels as a file stores them to grey or RGB over black, upright."""

import struct
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError
from onlygood.images.limits import DEFAULT_LIMITS, ReadingLimits

ImageArray: TypeAlias = NDArray[np.uint8 | np.uint16]


def over_black(colour: ImageArray, alpha: ImageArray, maximum: int) -> ImageArray:
    """round(colour * alpha / maximum), exact in integers; `colour` itself if alpha is `maximum` everywhere."""
    if int(alpha.min()) == maximum:
        return colour
    # maximum squared + maximum / 2 fits: 65,152 in uint16, 4,294,868,992 in uint32
    wide = np.uint16 if maximum <= 255 else np.uint32
    product = np.multiply(colour, alpha, dtype=wide)
    product += wide(maximum // 2)
    product //= wide(maximum)
    return product.astype(colour.dtype)


def with_alpha(
    colour: ImageArray, alpha: ImageArray, maximum: int, limits: ReadingLimits, *, is_multiplied: bool = False
) -> ImageArray:
    """What an image with transparency becomes: over black, with its mask, or with its alpha as a channel like others.

    Args:
        colour: [H, W, C].
        alpha: [H, W, 1], `maximum` where the image is opaque.
        maximum: of alpha.
        limits: whose `alpha` and `channels` say which.
        is_multiplied: whether the colours lie over black already.
    """
    if limits.alpha == "mask":
        return with_mask(colour, alpha > maximum // 2)
    if limits.channels == colour.shape[2] + 1:
        return np.concatenate([colour, alpha.astype(colour.dtype, copy=False)], axis=2)
    return colour if is_multiplied else over_black(colour, alpha, maximum)


def with_mask(colour: ImageArray, mask: NDArray[np.bool_]) -> ImageArray:
    """The image with its mask, bool [H, W, 1], as one channel more: the highest level of its type, or 0.

    Where it is 0 the others are, too: what transparent pixels hide depends on the program that saved them.
    """
    plane = np.where(mask, colour.dtype.type(np.iinfo(colour.dtype).max), colour.dtype.type(0))
    return np.concatenate([np.where(mask, colour, colour.dtype.type(0)), plane], axis=2)


def opaque(colour: ImageArray, limits: ReadingLimits) -> ImageArray:
    """An image without transparency, with a mask that leaves nothing out where the limits ask for masks."""
    if limits.alpha != "mask":
        return colour
    return with_mask(colour, np.ones((*colour.shape[:2], 1), dtype=np.bool_))


def split_alpha(pixels: ImageArray, maximum: int, limits: ReadingLimits = DEFAULT_LIMITS) -> ImageArray:
    """As `with_alpha`, of pixels whose last channel is alpha."""
    return with_alpha(pixels[:, :, :-1], pixels[:, :, -1:], maximum, limits)


def cmyk_to_rgb(ink: ImageArray, maximum: int) -> ImageArray:
    """R = (1 - C)(1 - K) and so on, of inks `[H, W, 4]`, without colour profiles."""
    paper = (ink.dtype.type(maximum) - ink).astype(ink.dtype, copy=False)
    return over_black(paper[:, :, :-1], paper[:, :, -1:], maximum)


def look_up(
    indices: NDArray[np.uint8],
    palette: ImageArray,
    alpha: NDArray[np.uint8] | None,
    name: str,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> ImageArray:
    """Colours `[H, W, 3]`, or `[H, W, 1]` if the palette is all grey, of palette indices `[H, W]`; see `with_alpha`.

    Alpha has 8 bits, and is for palettes of 8 bits.
    """
    last = int(indices.max())
    if last >= len(palette):
        raise ImageError(f"{name} is damaged, it uses colour {last} of a palette of {len(palette)}: save it again")
    colours: ImageArray = palette[:, :1] if (palette == palette[:, :1]).all() else palette
    if alpha is not None:
        opacity = np.full((len(palette), 1), 255, np.uint8)
        opacity[: len(alpha), 0] = alpha[: len(palette)]
        colours = with_alpha(colours[None], opacity[None], 255, limits)[0]
    return np.asarray(colours[indices])


def stretch(values: ImageArray, maximum: int) -> ImageArray:
    """Values from 0 to `maximum` as values from 0 to 255, to the nearest, if `maximum` is less; else as they are."""
    if maximum >= 255:
        return values
    table = ((np.arange(maximum + 1) * 510 + maximum) // (2 * maximum)).astype(np.uint8)
    return np.asarray(table[values])


def blacken(pixels: ImageArray, key: int | tuple[int, ...], limits: ReadingLimits = DEFAULT_LIMITS) -> ImageArray:
    """The image with its transparent colour over black, or with a mask."""
    transparent = (pixels == np.asarray(key)).all(axis=2)
    if limits.alpha == "mask":
        return with_mask(pixels, ~transparent[:, :, None])
    return np.where(transparent[:, :, None], pixels.dtype.type(0), pixels) if transparent.any() else pixels


def turn(pixels: ImageArray, orientation: int) -> ImageArray:
    """The image upright, for an EXIF orientation of 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def exif_orientation(exif: bytes) -> int:
    """1 to 8; 1 (upright) if the EXIF block asks for nothing or cannot be read, as every viewer takes it.

    Not `PIL.Image.Exif`, which warns about damaged blocks: warnings cannot be silenced for one thread. tifffile gives
    the same, and takes 50 times as long.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, field_type = struct.unpack_from(order + "HH", block, at)
            if tag == 274 and field_type in (3, 4):
                (value,) = struct.unpack_from(order + ("H" if field_type == 3 else "I"), block, at + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
