"""Of a damaged file no other pixels come back than of the whole one, as far as its format lets damage be found."""

import io
import math
import re
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_mutations import MUTATIONS, files, silent_share
from numpy.typing import NDArray

from hostile import encoded, noise
from onlygood.errors import ImageError
from onlygood.images.reading import read_image

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "images.md"
TRIES = 15
# Percent of damaged files that are read without an error and with other pixels, in the order of MUTATIONS: what
# `python tests/images/image_mutations.py 100` prints.
SILENT: dict[str, tuple[float, ...]] = {
    "PNG": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "PNG, 16 bits": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "JPEG XL": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    "JPEG XL without loss": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "TIFF, deflate": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "TIFF, LZMA": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "TIFF, fax (Group 4)": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0),
    "TIFF, fax (Group 3)": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "TIFF, LZW": (0.0, 0.0, 5.0, 0.0, 0.0, 36.0, 87.0),
    "GIF": (0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 65.0),
    "WebP": (0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 5.0),
    "JPEG": (0.0, 0.0, 0.0, 0.0, 1.0, 66.0, 86.0),
    "JPEG, restart markers": (0.0, 0.0, 0.0, 0.0, 0.0, 72.0, 84.0),
    "JPEG, progressive": (0.0, 2.0, 0.0, 5.0, 3.0, 48.0, 75.0),
    "TIFF, JPEG": (0.0, 0.0, 1.0, 0.0, 0.0, 49.0, 73.0),
    "TIFF, PackBits": (0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 48.0),
    "WebP without loss": (0.0, 0.0, 0.0, 0.0, 41.0, 92.0, 98.0),
    "TIFF, ZSTD": (0.0, 0.0, 0.0, 21.0, 94.0, 100.0, 100.0),
    "JPEG 2000": (0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0),
    "AVIF": (0.0, 0.0, 0.0, 0.0, 97.0, 97.0, 98.0),
    "BMP": (0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0),
    "PGM, PPM, PAM": (0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0),
    "DICOM": (0.0, 0.0, 0.0, 99.0, 100.0, 100.0, 100.0),
    "TIFF, uncompressed": (0.0, 0.0, 100.0, 100.0, 100.0, 100.0, 100.0),
}


@pytest.mark.parametrize("kind", SILENT)
def test_damage_is_not_silent_beyond_what_the_format_hides(kind: str) -> None:
    for mutation, percent in zip(MUTATIONS, SILENT[kind], strict=True):
        share = silent_share(files()[kind], mutation, tries=TRIES, seed=1)
        rate = percent / 100
        # other places are hit than in the table: three standard deviations of so few tries, and nothing where it has 0
        allowed = rate + 3 * math.sqrt(rate * (1 - rate) / TRIES)
        assert share <= allowed, f"{mutation.__name__}: {share:.2f} silent, {rate:.2f} known"


def test_what_a_format_finds_is_found_always() -> None:
    """What the table must say, whatever is measured."""
    lengths_and_cuts = {"cut", "removed"}
    for kind, percents in SILENT.items():
        by_name = {mutation.__name__: percent for mutation, percent in zip(MUTATIONS, percents, strict=True)}
        assert by_name["cut"] == 0, kind
        if kind != "JPEG, progressive":
            assert all(by_name[name] == 0 for name in lengths_and_cuts), kind
        if kind in ("PNG", "PNG, 16 bits", "TIFF, deflate", "TIFF, LZMA"):  # they have checksums
            assert not any(percents), kind


def test_the_table_of_the_guide_is_the_one_that_was_measured() -> None:
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in SILENT:
            rows[cells[0]] = tuple(float(re.sub("[^0-9.]", "", cell)) for cell in cells[1:])
    assert rows == {kind: tuple(round(percent) for percent in percents) for kind, percents in SILENT.items()}
    assert set(SILENT) == set(files())


def zstd(image: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image, photometric="rgb", compression="zstd")
    return buffer.getvalue()


ENCODERS = {
    "JPEG": lambda image: encoded(image, "JPEG"),
    "JPEG, optimized": lambda image: encoded(image, "JPEG", optimize=True, quality=10),
    "JPEG, progressive": lambda image: encoded(image, "JPEG", progressive=True),
    "JPEG, grey": lambda image: encoded(image[:, :, 0].copy(), "JPEG", quality=100),
    "JPEG 2000": lambda image: imagecodecs.jpeg2k_encode(image, level=0, reversible=True),
    "JPEG 2000, layers": lambda image: encoded(image, "JPEG2000", quality_layers=[80, 40, 20, 10], irreversible=True),
    "JPEG 2000, tiles": lambda image: encoded(image, "JPEG2000", tile_size=(32, 32)),
    "AVIF": lambda image: encoded(image, "AVIF"),
    "WebP": lambda image: encoded(image, "WEBP"),
    "WebP without loss": lambda image: encoded(image, "WEBP", lossless=True),
    "GIF": lambda image: encoded(image, "GIF", mode="P"),
    "ZSTD": zstd,
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_even_images_are_not_taken_for_damaged_ones(kind: str) -> None:
    """Long runs of equal bytes, and files of few bytes, are what checks could stumble over."""
    y, x = np.mgrid[:400, :600]
    half = noise(1, 400, 600, 3)
    half[:, 200:] = 0
    ramp = np.stack([255 - x // 5, y // 4, (x + y) // 10], axis=2).astype(np.uint8)
    even = [np.full((400, 600, 3), level, np.uint8) for level in (0, 77, 255)]
    for image in (*even, ramp, half, noise(2, 3, 5, 3), noise(3, 1, 1, 3)):
        assert read_image(ENCODERS[kind](image)).shape[:2] == image.shape[:2]


@pytest.mark.parametrize(
    "kind", ["JPEG", "TIFF, JPEG", "JPEG 2000", "AVIF", "TIFF, ZSTD", "WebP", "WebP without loss", "GIF"]
)
@pytest.mark.parametrize("place", [0.25, 0.5, 0.75])
def test_a_lost_sector_of_4_kilobytes_is_found(kind: str, place: float) -> None:
    data = files()[kind]
    start = int(place * (len(data) - 4096))
    with pytest.raises(ImageError):
        read_image(data[:start] + bytes(4096) + data[start + 4096 :])


def test_zeros_over_a_jpeg_are_found_where_as_many_pixels_come_out_as_before() -> None:
    data = files()["TIFF, JPEG"]
    with pytest.raises(ImageError, match=r"a part of its pixels was overwritten with zeros|not whole"):
        read_image(data[:5000] + bytes(300) + data[5300:])
