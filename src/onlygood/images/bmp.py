"""BMP: palettes and 24 bits by Pillow, bit fields of 16 and 32 bits by their masks, which Pillow knows a few of."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin

from onlygood.errors import ImageError
from onlygood.images.in_memory import load_by_pillow, pil_pixels
from onlygood.images.limits import RESCALE, ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray, with_alpha

_PLAIN, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 3, 6
_MASKS_WITHOUT_FIELDS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_EMBEDDED = {4: "a JPEG image", 5: "a PNG image"}


def read_bmp(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black; of 16 bits a channel if its bit fields have more than 8, else of 8."""
    claimed, start, header_size = struct.unpack_from("<I4xII", data, 2)
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = _PLAIN
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    check_size(width, abs(height), name, limits)
    if compression in _EMBEDDED:
        raise ImageError(f"{name} is a BMP file that holds {_EMBEDDED[compression]}: take that out, or save it as PNG")
    if compression in (_PLAIN, _BIT_FIELDS, _ALPHA_BIT_FIELDS):
        end = start + (width * bits + 31) // 32 * 4 * abs(height)
        if len(data) < end:
            raise damaged(name, "BMP", f"it has {len(data):,} of {end:,} bytes")
        if claimed < len(data) and end <= claimed < end + 4:
            raise damaged(name, "BMP", f"it says that it has {claimed:,} bytes, and has {len(data):,}")
        if bits in (16, 32):
            return _bit_fields(
                data, start, width, height, bits, _masks(data, header_size, bits, compression), name, limits
            )
    image = load_by_pillow(BmpImagePlugin.BmpImageFile, data, name)
    if image.mode == "1" and bits != 1:
        # Pillow takes the bytes of an image with a palette of black and white for bits
        if compression != _PLAIN or bits not in (4, 8):
            raise ImageError(f"{name} is a BMP of {bits} bits with a palette of two colours: save it as PNG")
        return _black_and_white(data, start, width, height, bits, name)
    return pil_pixels(image, name, limits)


def _black_and_white(data: bytes, start: int, width: int, height: int, bits: int, name: str) -> ImageArray:
    """Grey, of an image whose palette is black and white, in this order."""
    stride = (width * bits + 31) // 32 * 4
    indices = np.frombuffer(data, np.uint8, stride * abs(height), start).reshape(abs(height), stride)
    if bits == 4:
        indices = np.stack([indices >> 4, indices & 15], axis=2).reshape(abs(height), 2 * stride)
    indices = indices[:, :width]
    if indices.max() > 1:
        raise damaged(name, "BMP", f"a pixel has colour {indices.max()} of a palette of two")
    grey: ImageArray = np.ascontiguousarray((indices[::-1] if height > 0 else indices) * np.uint8(255))[:, :, None]
    return grey


def _masks(data: bytes, header_size: int, bits: int, compression: int) -> tuple[int, ...]:
    """Which bits of a pixel are red, green, blue and alpha; 0 if there is no alpha."""
    if compression == _PLAIN:
        return _MASKS_WITHOUT_FIELDS[bits]
    has_alpha = compression == _ALPHA_BIT_FIELDS or header_size >= 56
    masks: tuple[int, ...] = struct.unpack_from("<IIII" if has_alpha else "<III", data, 54)
    return masks if has_alpha else (*masks, 0)


def _bit_fields(
    data: bytes,
    start: int,
    width: int,
    height: int,
    bits: int,
    masks: tuple[int, ...],
    name: str,
    limits: ReadingLimits,
) -> ImageArray:
    kind = np.dtype("<u2" if bits == 16 else "<u4")
    stride = (width * bits + 31) // 32 * 4
    rows = np.frombuffer(data, np.uint8, stride * abs(height), start).reshape(abs(height), stride)
    values = rows[:, : width * kind.itemsize].view(kind)
    if height > 0:
        values = values[::-1]
    depths = [mask.bit_count() for mask in masks]
    for mask, depth in zip(masks, depths, strict=True):
        # a run of ones, within the pixel
        if mask >> bits or (mask and mask >> _shift(mask) != (1 << depth) - 1) or depth > 16:
            raise damaged(name, "BMP", "the bit fields of its colours cannot be read")
    colours = depths[:3]
    deep = max(colours)
    if not min(colours) or (deep > 8 and min(colours) != deep):
        raise ImageError(f"{name} is a BMP with colours of {', '.join(map(str, colours))} bits: {RESCALE}")
    target = deep if deep > 8 else 8
    colour: ImageArray = np.stack([_channel(values, mask, target) for mask in masks[:3]], axis=2)
    if not masks[3]:
        return colour
    return with_alpha(colour, _channel(values, masks[3], target)[:, :, None], (1 << target) - 1, limits)


def _channel(values: NDArray[Any], mask: int, target: int) -> ImageArray:
    """One channel, stretched to `target` bits if it has fewer, rounded down as Pillow does."""
    depth, maximum = mask.bit_count(), (1 << target) - 1
    field = (values & values.dtype.type(mask)) >> values.dtype.type(_shift(mask))
    if depth != target:
        field = field.astype(np.uint32) * maximum // ((1 << depth) - 1)
    channel: ImageArray = field.astype(np.uint8 if target == 8 else np.uint16)
    return channel


def _shift(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
