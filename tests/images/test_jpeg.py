"""JPEG files and parts of TIFF files: the pixels of Pillow if they are whole, an error if they are not."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from test_reading import same

from hostile import encoded, noise
from onlygood.errors import ImageError
from onlygood.images.reading import read_image

END = b"\xff\xd9"
# 40 x 24 pixels with arithmetic coding, which Pillow reads and does not write: made by cjpeg of libjpeg-turbo 2.1.5
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0o"
    "MCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/yQARCAAY"
    "ACgDASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANjNqn2/oz0rly4zAJTzTHq4kHsEIhddPNGMf6tUyGbNjcPi7ZAT0ywpot6r"
    "htkOmerFFlZS4WsYPjNU7S+cRFryl6/XTw2LcHhYEIJN5orN7HZlH2zoVh2eUFASR+JLZ1euJFxjkndsH9qguv/Z"
)
ARITHMETIC_PROGRESSIVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0o"
    "MCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/ygARCAAY"
    "ACgDASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAf8AsWTEmaNgLxcX2sNxMTIfNs6ajXUTKbuRV/xWAwSQ/8wABBAF/9oACAEBAAEFAh6N"
    "0kDeJc7wl0fwfIKg/8wABBEF/9oACAEDAQE/ARVN7qoXgno1+5dtlyKdQP/MAAQRBf/aAAgBAgEBPwEP0ojCOHD/zAAEEAX/2gAIAQEABj8CsP/M"
    "AAQQBf/aAAgBAQABPyGmMd3PGmDI/9oADAMBAAIAAwAAABBVGPccMP/MAAQRBf/aAAgBAwEBPxAjDQcpwajA/8wABBEF/9oACAECAQE/EB3mCe7/"
    "zAAEEAX/2gAIAQEAAT8QJ1qWWNWrQP/Z"
)


def texture(height: int = 480, width: int = 640) -> NDArray[np.uint8]:
    """Waves with some noise, as surfaces have it."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 17) + np.cos(y / 23), 2 * np.sin((x + y) / 31), 2 * np.cos(x / 9)], axis=2)
    noisy = 128 + 40 * waves + np.random.default_rng(0).normal(0, 8, waves.shape)
    return noisy.clip(0, 255).astype(np.uint8)


TEXTURE = texture()
WHOLE: dict[str, bytes] = {
    "4:2:0": encoded(TEXTURE, "JPEG"),
    "4:2:2": encoded(TEXTURE, "JPEG", subsampling="4:2:2"),
    "4:4:4": encoded(TEXTURE, "JPEG", subsampling="4:4:4", quality=95),
    "4:1:1": encoded(TEXTURE, "JPEG", subsampling="4:1:1"),
    "optimized": encoded(TEXTURE, "JPEG", optimize=True),
    "grey": encoded(TEXTURE[:, :, 0].copy(), "JPEG"),
    "rgb": encoded(TEXTURE, "JPEG", keep_rgb=True),
    "restart-rows": encoded(TEXTURE, "JPEG", restart_marker_rows=1),
    "restart-blocks": encoded(TEXTURE, "JPEG", restart_marker_blocks=3),
    "progressive": encoded(TEXTURE, "JPEG", progressive=True),
    "progressive-grey": encoded(TEXTURE[:, :, 0].copy(), "JPEG", progressive=True),
    "odd-size": encoded(TEXTURE[:477, :635].copy(), "JPEG"),
}


def by_pillow(data: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files_have_the_pixels_of_pillow(kind: str) -> None:
    same(read_image(WHOLE[kind]), by_pillow(WHOLE[kind]))


@pytest.mark.parametrize("data", [ARITHMETIC, ARITHMETIC_PROGRESSIVE], ids=["sequential", "progressive"])
def test_arithmetic_coding_has_the_pixels_of_pillow_and_its_damage_is_found(data: bytes) -> None:
    same(read_image(data), by_pillow(data))
    for hurt in (data[:-40] + END, data[:-60] + bytes(20) + data[-40:], data[:-60] + data[-40:]):
        with pytest.raises(ImageError):
            read_image(hurt)


def test_arithmetic_coding_without_its_last_bytes_is_not_called_damaged_since_zeros_may_be_left_out() -> None:
    with pytest.raises(ImageError, match="arithmetic coding whose end is cut off, or left out as its last zeros"):
        read_image(ARITHMETIC[:-40] + END)


@pytest.mark.parametrize("quality", [50, 90])
@pytest.mark.parametrize("progressive", [False, True])
def test_cmyk_has_the_pixels_of_pillow(quality: int, progressive: bool) -> None:
    data = encoded(TEXTURE, "JPEG", mode="CMYK", quality=quality, progressive=progressive)
    ink = by_pillow(data).astype(int)
    paper = 255 - ink[:, :, :3]
    expected = (2 * paper * (255 - ink[:, :, 3:]) + 255) // 510
    same(read_image(data), expected.astype(np.uint8))


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("damage", ["cut in half, with an end marker", "4 kB of zeros", "4 kB taken out", "4 kB twice"])
def test_damage_inside_is_found(kind: str, damage: str) -> None:
    data = WHOLE[kind]
    # the last scan of a progressive JPEG is half of it, and there not all damage is found: see test_mutations
    half = int(len(data) * (0.2 if kind == "progressive" else 0.5))
    hurt = {
        "cut in half, with an end marker": data[: len(data) // 2] + END,
        "4 kB of zeros": data[:half] + bytes(4096) + data[half + 4096 :],
        "4 kB taken out": data[:half] + data[half + 4096 :],
        "4 kB twice": data[: half + 4096] + data[half:],
    }[damage]
    with pytest.raises(ImageError, match=r"part\.jpg is a damaged JPEG file: .*; copy or save the image again"):
        read_image(hurt, name="part.jpg")


@pytest.mark.parametrize("damage", ["cut", "zeros", "removed"])
def test_damage_inside_a_jpeg_of_a_tiff_is_found(damage: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, TEXTURE, photometric="rgb", compression="jpeg", rowsperstrip=160)
    data = buffer.getvalue()
    assert np.abs(read_image(data).astype(int) - TEXTURE).mean() < 8
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        start, size = page.dataoffsets[1], page.databytecounts[1]
    part, half = data[start : start + size], size // 2
    hurt = {
        "cut": part[:half] + END + bytes(size - half - 2),
        "zeros": part[:half] + bytes(2048) + part[half + 2048 :],
        "removed": part[:half] + part[half + 1024 :] + bytes(1024),
    }[damage]
    with pytest.raises(ImageError, match=r"part\.tif is a damaged TIFF file: its pixels are not whole"):
        read_image(data[:start] + hurt + data[start + size :], name="part.tif")


def test_tiff_with_tables_of_its_own_for_all_parts_has_the_pixels_of_pillow() -> None:
    data = encoded(TEXTURE, "TIFF", compression="jpeg")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages.first.jpegtables is not None
    same(read_image(data), by_pillow(data))


def test_jpeg_of_12_bits_in_a_tiff_is_refused() -> None:
    deep = noise(1, 32, 32, dtype=np.uint16) % 4096
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        deep,
        photometric="minisblack",
        compression="jpeg",
        compressionargs={"bitspersample": 12},
        bitspersample=12,
    )
    with pytest.raises(ImageError, match="JPEG of 12 bits, in which damage is not found: save it with LZW"):
        read_image(buffer.getvalue())


def scan_starts(data: bytes) -> list[int]:
    starts = []
    at = data.find(b"\xff\xda")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\xff\xda", at + 1)
    return starts


@pytest.mark.parametrize("missing", range(1, 10))
def test_a_scan_of_a_progressive_jpeg_that_is_missing_is_found(missing: int) -> None:
    data = WHOLE["progressive"]
    starts = [*scan_starts(data), len(data) - 2]
    assert len(starts) == 11
    with pytest.raises(ImageError, match="damaged JPEG"):
        read_image(data[: starts[missing]] + data[starts[missing + 1] :])


def test_the_last_scans_of_a_progressive_jpeg_that_are_missing_are_found() -> None:
    data = WHOLE["progressive"]
    for start in scan_starts(data)[1:]:
        with pytest.raises(ImageError, match="a scan that its pixels need is missing"):
            read_image(data[:start] + END)


def test_zeros_between_the_pixels_and_the_end_are_no_damage() -> None:
    data = WHOLE["4:2:0"]
    same(read_image(data[:-2] + bytes(64) + END), by_pillow(data))
    with pytest.raises(ImageError, match="extraneous bytes before marker 0xd9"):
        read_image(data[:-2] + b"\x12" * 64 + END)
    # zeros in place of pixels
    with pytest.raises(ImageError, match="not whole"):
        read_image(data[: len(data) // 2] + bytes(len(data) // 2) + END)


def test_what_follows_the_end_does_not_matter() -> None:
    data = WHOLE["progressive"]
    same(read_image(data + WHOLE["grey"]), by_pillow(data))


@pytest.mark.parametrize("marker", [b"\xff\xdb", b"\xff\xc4"], ids=["quantization", "huffman"])
def test_tables_of_zeros_are_damage(marker: bytes) -> None:
    data = bytearray(WHOLE["4:2:0"])
    at = data.index(marker) + 5 + (16 if marker == b"\xff\xc4" else 0)
    data[at + 4 : at + 10] = bytes(6)
    with pytest.raises(ImageError, match="a table that its pixels depend on cannot be read"):
        read_image(bytes(data))


def test_sizes_of_channels_that_no_camera_writes_are_refused() -> None:
    data = bytearray(WHOLE["4:2:0"])
    at = data.index(b"\xff\xc0")
    data[at + 11] = 0x31
    with pytest.raises(ImageError, match="a JPEG with channels of unusual sizes"):
        read_image(bytes(data))


def test_a_jpeg_of_more_scans_than_are_needed_is_refused() -> None:
    data = encoded(noise(1, 16, 16), "JPEG", progressive=True)
    starts = scan_starts(data)
    first = data[starts[0] : starts[1]]
    with pytest.raises(ImageError, match="more than 500 scans"):
        read_image(data[: starts[0]] + first * 501 + data[starts[0] :])
