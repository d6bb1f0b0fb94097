"""From the bytes of a machine-vision camera to pixels, by the names of the Pixel Format Naming Convention (PFNC)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onlygood.errors import SourceError
from onlygood.images.reading import ImageArray
from onlygood.station.frames.opencv import prepare_opencv


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of an image lie in memory.

    Attributes:
        name: in the convention, as the camera's feature PixelFormat has it.
        code: of the convention.
        channels: values for each pixel.
        byte_count: bytes for each value; of two the lower one comes first.
        order: of red, green and blue among the values, where there are three or more.
        mosaic: of the color filter, the first four pixels row by row: "RGGB".
    """

    name: str
    code: int
    channels: int = 1
    byte_count: int = 1
    order: tuple[int, ...] = ()
    mosaic: str = ""


_RGB, _BGR = (0, 1, 2), (2, 1, 0)
_MOSAICS = {"GR": "GRBG", "RG": "RGGB", "GB": "GBRG", "BG": "BGGR"}
# The codes of the four orders of a mosaic follow one another.
_FIRST_MOSAIC = {8: 0x01080008, 10: 0x0110000C, 12: 0x01100010, 16: 0x0110002E}

FORMATS: dict[int, PixelFormat] = {
    found.code: found
    for found in (
        PixelFormat("Mono8", 0x01080001),
        PixelFormat("Mono10", 0x01100003, byte_count=2),
        PixelFormat("Mono12", 0x01100005, byte_count=2),
        PixelFormat("Mono14", 0x01100025, byte_count=2),
        PixelFormat("Mono16", 0x01100007, byte_count=2),
        PixelFormat("RGB8", 0x02180014, 3, order=_RGB),
        PixelFormat("BGR8", 0x02180015, 3, order=_BGR),
        PixelFormat("RGBa8", 0x02200016, 4, order=_RGB),
        PixelFormat("BGRa8", 0x02200017, 4, order=_BGR),
        PixelFormat("RGB10", 0x02300018, 3, 2, _RGB),
        PixelFormat("BGR10", 0x02300019, 3, 2, _BGR),
        PixelFormat("RGB12", 0x0230001A, 3, 2, _RGB),
        PixelFormat("BGR12", 0x0230001B, 3, 2, _BGR),
        PixelFormat("RGB16", 0x02300033, 3, 2, _RGB),
        *(
            PixelFormat(f"Bayer{letters}{bits}", first + index, byte_count=1 if bits == 8 else 2, mosaic=mosaic)
            for bits, first in _FIRST_MOSAIC.items()
            for index, (letters, mosaic) in enumerate(_MOSAICS.items())
        ),
    )
}
"""The formats that are read, by their codes. Of more than 8 bits the values stay as the camera gives them."""


def to_pixels(data: bytes | memoryview, code: int, height: int, width: int, row_padding_bytes: int = 0) -> ImageArray:
    """The pixels, uint8 or uint16 [H, W, C], red, green, blue; a copy.

    Args:
        data: begins with the first pixel.
        code: of the format.
        height: in pixels.
        width: in pixels.
        row_padding_bytes: that follow each row.

    Raises:
        SourceError: the format is not read, or there are fewer bytes than it needs.
    """
    found = FORMATS.get(code)
    if found is None:
        raise SourceError(
            f"a camera must give a pixel format that is read, got one with the code {code:#010x}: set its node "
            "PixelFormat to Mono8, Mono12, RGB8 or BayerRG8"
        )
    row_bytes = width * found.channels * found.byte_count + row_padding_bytes
    needed = row_bytes * height - row_padding_bytes
    if len(data) < needed:
        raise SourceError(
            f"an image of {width} x {height} pixels in {found.name} must have {needed:,} bytes, got {len(data):,}: "
            "check the cable and the packet size of the camera"
        )
    flat = np.frombuffer(data, np.uint8, count=needed)
    if row_padding_bytes:
        flat = np.concatenate([flat, np.zeros(row_padding_bytes, np.uint8)])
    rows = np.ascontiguousarray(flat.reshape(height, row_bytes)[:, : row_bytes - row_padding_bytes])
    values = rows.view("<u2").astype(np.uint16) if found.byte_count == 2 else rows
    image = values.reshape(height, width, found.channels)
    if found.mosaic:
        return _without_mosaic(image[:, :, 0], found.mosaic)
    return np.ascontiguousarray(image[:, :, list(found.order)]) if found.order else image.copy()


def _without_mosaic(values: ImageArray, mosaic: str) -> ImageArray:
    prepare_opencv()
    import cv2

    conversions = {
        "RGGB": cv2.COLOR_BayerRGGB2RGB,
        "GRBG": cv2.COLOR_BayerGRBG2RGB,
        "GBRG": cv2.COLOR_BayerGBRG2RGB,
        "BGGR": cv2.COLOR_BayerBGGR2RGB,
    }
    image = cv2.cvtColor(np.ascontiguousarray(values), conversions[mosaic])
    return image.astype(values.dtype, copy=False)
