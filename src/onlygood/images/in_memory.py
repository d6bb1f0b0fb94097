"""An image that is in memory already: an array, or a PIL image, whether the caller's or one that Pillow decoded."""

import io
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from onlygood.errors import ImageError
from onlygood.images.limits import DEFAULT_LIMITS, MOST_CHANNELS, RESCALE, ReadingLimits, check_size, decoding
from onlygood.images.pixels import ImageArray, blacken, cmyk_to_rgb, look_up, opaque, split_alpha, turn, with_alpha


def from_array(array: NDArray[Any], name: str, limits: ReadingLimits, *, is_bgr: bool = False) -> ImageArray:
    """The array as `[H, W, C]` in native byte order; `is_bgr` says that it has B, G, R.

    Of two and of four channels the last is alpha, unless the limits ask for so many channels.

    Raises:
        ImageTooLargeError: if it has more pixels than the limit.
        ImageError: if it is not uint8 or uint16 of a shape that `read_image` names.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise ImageError(f"{name} must be a plain array, got a masked one: fill the masked pixels")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ImageError(f"{name} must be of type uint8 or uint16, got {array.dtype}: {RESCALE}")
    channels = 1 if array.ndim == 2 else array.shape[-1]
    has_alpha = _has_alpha(channels, limits)
    # What is no higher than it has channels is more likely one channel after another, unless so many are asked for.
    is_first = array.ndim == 3 and channels > 4 and array.shape[0] <= channels and limits.channels is None
    if array.ndim not in (2, 3) or not 1 <= channels - has_alpha <= MOST_CHANNELS or is_first:
        raise ImageError(
            f"{name} must have the shape [H, W] or [H, W, C] with at most {MOST_CHANNELS} channels C, got "
            f"{list(array.shape)}: put the channels last, one image at a time"
        )
    if channels == 2 and limits.channels is None and not has_alpha:
        raise ImageError(
            f"{name} must have the shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], or channels of which fit was told, "
            f"got {list(array.shape)}: fit with channels=2, or with alpha='mask' where the second is transparency"
        )
    check_size(array.shape[1], array.shape[0], name, limits)
    pixels = np.asarray(array, dtype=array.dtype.newbyteorder("="))
    if pixels.ndim == 2:
        return opaque(pixels[:, :, None], limits)
    if is_bgr and channels - has_alpha not in (1, 3):
        raise ImageError(
            f"{name} must have blue, green and red with channel_order 'bgr', got {channels - has_alpha} channels: "
            "leave channel_order out, and give the channels in the order that the good images have"
        )
    if is_bgr and channels >= 3:
        pixels = pixels[:, :, [2, 1, 0, 3][:channels]]
    return split_alpha(pixels, int(np.iinfo(pixels.dtype).max), limits) if has_alpha else opaque(pixels, limits)


def _has_alpha(channels: int, limits: ReadingLimits) -> bool:
    """Whether the last of an array's channels is alpha."""
    if limits.channels == channels:
        return False
    if limits.alpha == "mask" and limits.channels is not None:
        return channels == limits.channels + 1 or channels in (2, 4)
    return channels == 4 or (limits.alpha == "mask" and channels == 2)


def from_pil(image: Image.Image, name: str, limits: ReadingLimits) -> ImageArray:
    """The current frame of the caller's image, upright and over black.

    Raises:
        ImageTooLargeError: if it has more pixels than the limit.
        ImageError: if Pillow cannot decode it in full, would reduce it, or its mode has no one meaning.
    """
    check_size(image.width, image.height, name, limits)
    for tile in getattr(image, "tile", ()):
        raw_mode = tile.args if isinstance(tile.args, str) else next(iter(tile.args or ()), "")
        if not image.mode.startswith("I;16") and re.search(r"(?<!^BGR);16[BLNS]?$", str(raw_mode)):
            raise ImageError(
                f"{name} has 16-bit colour, which Pillow reduces to 8 bits: give its path or bytes, not a PIL image"
            )
    with decoding("an image", name):
        image.load()
        pixels = pil_pixels(image, name, limits)
        key = image.info.get("transparency")
        if key is not None and image.mode in ("1", "L", "I;16", "RGB"):
            pixels = blacken(pixels, key * 255 if image.mode == "1" and key == 1 else key, limits)
    try:
        orientation = image.getexif().get(274, 1)
    except Exception:
        orientation = 1  # as for files: an EXIF block that cannot be read asks for nothing
    return turn(pixels, orientation if orientation in range(1, 9) else 1)


def load_by_pillow(plugin: Callable[[BinaryIO], ImageFile.ImageFile], data: bytes, name: str) -> Image.Image:
    """The decoded image; Pillow raises on files cut short, unless the process has told it not to.

    Args:
        plugin: the class of the format, called directly: `Image.open` brings a pixel limit of the process and warnings.
        data: a file whose size has been checked.
        name: what errors call the image.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError(
            f"{name} is not read while PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, because of a file cut short Pillow "
            "would give half an image: turn it off"
        )
    image = plugin(io.BytesIO(data))
    image.load()
    return image


def pil_pixels(image: Image.Image, name: str, limits: ReadingLimits = DEFAULT_LIMITS) -> ImageArray:
    """Grey or RGB of a loaded image; a transparent colour that `info` names is left as it is, save in a palette."""
    mode = image.mode
    pixels: NDArray[Any] = np.asarray(image)
    if mode == "L":
        return pixels[:, :, None]
    if mode == "RGB":
        return pixels
    if mode == "1":
        return pixels[:, :, None].astype(np.uint8) * np.uint8(255)
    if mode.startswith("I;16"):
        return pixels[:, :, None].astype(np.uint16, copy=False)
    if mode in ("LA", "RGBA"):
        return split_alpha(pixels, 255, limits)
    if mode == "CMYK":
        return cmyk_to_rgb(pixels, 255)
    if mode in ("P", "PA") and image.palette is not None:
        entry = "RGBA" if image.palette.mode == "RGBA" else "RGB"
        table = np.asarray(image.getpalette(entry), np.uint8).reshape(-1, len(entry))
        alpha = table[:, 3] if entry == "RGBA" else _palette_alpha(image.info.get("transparency"))
        if mode == "P":
            return look_up(pixels, table[:, :3], alpha, name, limits)
        return with_alpha(look_up(pixels[:, :, 0], table[:, :3], None, name), pixels[:, :, 1:], 255, limits)
    raise ImageError(f"{name} has the PIL mode {mode}, which is neither 8- nor 16-bit grey or colour: {RESCALE}")


def _palette_alpha(transparency: bytes | int | None) -> NDArray[np.uint8] | None:
    if isinstance(transparency, int):
        transparency = b"\xff" * transparency + b"\0"
    return None if transparency is None else np.frombuffer(transparency, np.uint8)
