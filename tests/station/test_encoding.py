from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from onlygood.errors import ImageError
from onlygood.images.reading import ReadingLimits, read_image
from onlygood.station.encoding import encode_frame, encode_pixels
from onlygood.station.frames.frame import Frame
from textures import texture

LIMITS = ReadingLimits()


def frame(**given: Any) -> Frame:
    return Frame(**{"number": 1, "at": datetime(2026, 1, 1, tzinfo=UTC), "name": "a.png", **given})


def pixels(channels: int, dtype: type[np.generic]) -> Any:
    levels = np.stack([texture(number) for number in range(channels)], axis=-1)
    return levels if dtype is np.uint8 else levels.astype(np.uint16) * 251 + 7


@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_of_8_bits_becomes_a_jpeg_with_full_colour(channels: int) -> None:
    image = pixels(channels, np.uint8)
    encoded = encode_frame(frame(pixels=image), LIMITS)
    assert (encoded.suffix, encoded.width, encoded.height) == (".jpg", 96, 96)
    opened = Image.open(io.BytesIO(encoded.content))
    assert (opened.format, opened.mode) == ("JPEG", "L" if channels == 1 else "RGB")
    if channels == 3:
        assert [part[1:3] for part in opened.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]  # no subsampling
    difference = np.abs(read_image(encoded.content).astype(int) - image)
    assert difference.mean() < 3


@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_of_16_bits_becomes_a_png_without_loss(channels: int) -> None:
    image = pixels(channels, np.uint16)
    encoded = encode_frame(frame(pixels=image), LIMITS)
    assert encoded.suffix == ".png"
    assert np.array_equal(read_image(encoded.content), image)


def test_a_frame_with_more_channels_keeps_them() -> None:
    image = pixels(5, np.uint16)
    encoded = encode_pixels(image)
    assert encoded.suffix == ".tif"
    assert np.array_equal(read_image(encoded.content, limits=ReadingLimits(channels=5)), image)


def test_a_frame_need_not_lie_in_one_piece_in_memory() -> None:
    image = pixels(3, np.uint8)
    assert encode_pixels(image[:, ::-1]).content == encode_pixels(np.ascontiguousarray(image[:, ::-1])).content


def test_a_file_stays_as_it_is() -> None:
    content = encode_pixels(pixels(3, np.uint16)).content
    encoded = encode_frame(frame(name="lot/A.JPG", content=content), LIMITS)
    assert (encoded.content, encoded.suffix) == (content, ".png")  # whatever its name says
    assert encode_frame(frame(content=b"anything"), LIMITS).suffix == ".bin"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_page_becomes_a_file_without_loss(dtype: type[np.generic]) -> None:
    pages = [pixels(1, dtype)[:, :, 0] + number for number in range(3)]
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.stack(pages), photometric="minisblack", metadata=None)
    encoded = encode_frame(frame(name="a.tif", content=stream.getvalue(), page=2), LIMITS)
    assert np.array_equal(read_image(encoded.content)[:, :, 0], pages[2])


def test_a_frame_with_nothing_in_it_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"a\.png must be an image"):
        encode_frame(frame(), LIMITS)
    with pytest.raises(ImageError):
        encode_frame(frame(content=b"no image", page=1), LIMITS)
