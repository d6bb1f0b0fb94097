"""Damage to image files, and how often it is read without an error although pixels have changed.

As a program it prints the rows of the table in docs/guides/images.md, in some minutes:

    PYTHONPATH=src:tests:tests/images python tests/images/image_mutations.py 400
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from hostile import dicom, encoded, png
from onlygood.errors import ImageError
from onlygood.images.reading import read_image

Mutation = Callable[[bytes, np.random.Generator], bytes]


def _place(data: bytes, random: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    """Where a run of `low` to `high` bytes begins and ends, anywhere in the file."""
    size = min(int(random.integers(low, high + 1)), len(data) // 4)
    start = int(random.integers(0, len(data) - size))
    return start, start + size


def cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: int(random.integers(0, len(data)))]


def removed(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _place(data, random, 256, 1024)
    return data[:start] + data[end:]


def twice(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _place(data, random, 256, 1024)
    return data[:end] + data[start:]


def zeros(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _place(data, random, 256, 1024)
    return data[:start] + bytes(end - start) + data[end:]


def other_bytes(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _place(data, random, 256, 1024)
    return data[:start] + random.bytes(end - start) + data[end:]


def few_bytes(data: bytes, random: np.random.Generator) -> bytes:
    start, end = _place(data, random, 1, 16)
    return data[:start] + random.bytes(end - start) + data[end:]


def one_bit(data: bytes, random: np.random.Generator) -> bytes:
    at, bit = int(random.integers(len(data))), int(random.integers(8))
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


MUTATIONS: tuple[Mutation, ...] = (cut, removed, twice, zeros, other_bytes, few_bytes, one_bit)


def texture(height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """Waves with some noise, as surfaces have it."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 17) + np.cos(y / 23), 2 * np.sin((x + y) / 31), 2 * np.cos(x / 9)], axis=2)
    noisy = 128 + 40 * waves + np.random.default_rng(0).normal(0, 4, waves.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@cache
def files() -> dict[str, bytes]:
    """A file of each kind."""
    rgb = texture()
    grey = np.ascontiguousarray(rgb[:, :, 0])
    deep = rgb.astype(np.uint16) * np.uint16(256)
    deep += np.random.default_rng(1).integers(0, 64, rgb.shape, np.uint16)
    bits = grey > 128
    flat = grey // 32 * 32

    def by_tifffile(array: NDArray[Any], **options: Any) -> bytes:
        buffer = io.BytesIO()
        photometric = "minisblack" if array.ndim == 2 else "rgb"
        tifffile.imwrite(buffer, array, photometric=photometric, rowsperstrip=60, **options)
        return buffer.getvalue()

    return {
        "PNG": encoded(rgb, "PNG"),
        "PNG, 16 bits": png(deep, "rgb", 16),
        "JPEG XL": imagecodecs.jpegxl_encode(rgb, distance=1.0),
        "JPEG XL without loss": imagecodecs.jpegxl_encode(rgb, lossless=True),
        "TIFF, deflate": by_tifffile(rgb, compression="zlib", predictor=True),
        "TIFF, LZMA": by_tifffile(deep, compression="lzma"),
        "TIFF, fax (Group 4)": encoded(bits, "TIFF", compression="group4"),
        "TIFF, fax (Group 3)": encoded(bits, "TIFF", compression="group3"),
        "TIFF, LZW": by_tifffile(rgb, compression="lzw", predictor=True),
        "GIF": encoded(rgb, "GIF", mode="P"),
        "WebP": encoded(rgb, "WEBP", quality=90),
        "JPEG": encoded(rgb, "JPEG", quality=90),
        "JPEG, restart markers": encoded(rgb, "JPEG", quality=90, restart_marker_rows=1),
        "JPEG, progressive": encoded(rgb, "JPEG", quality=90, progressive=True),
        "TIFF, JPEG": by_tifffile(rgb, compression="jpeg"),
        "TIFF, PackBits": by_tifffile(flat, compression="packbits"),
        "WebP without loss": encoded(rgb, "WEBP", lossless=True),
        "TIFF, ZSTD": by_tifffile(rgb, compression="zstd", predictor=True),
        "JPEG 2000": imagecodecs.jpeg2k_encode(rgb, level=0, reversible=True),
        "AVIF": encoded(rgb, "AVIF", quality=90),
        "BMP": encoded(rgb, "BMP"),
        "PGM, PPM, PAM": encoded(rgb, "PPM"),
        "DICOM": dicom(grey),
        "TIFF, uncompressed": by_tifffile(rgb),
    }


def silent_share(data: bytes, mutation: Mutation, *, tries: int, seed: int = 0) -> float:
    """How often other pixels than those of the whole file come back, of all files that the mutation changed."""
    whole = read_image(data)
    random = np.random.default_rng(seed)
    changed = silent = 0
    for _ in range(tries):
        hurt = mutation(data, random)
        if hurt == data:
            continue
        changed += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pydicom
                got = read_image(hurt)
        except ImageError:
            continue
        silent += got.shape != whole.shape or not np.array_equal(got, whole)
    return silent / changed


def main(tries: int) -> None:
    for kind, data in files().items():
        shares = (silent_share(data, mutation, tries=tries) for mutation in MUTATIONS)
        print(f'    "{kind}": ({", ".join(f"{100 * share:.1f}" for share in shares)}),', flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
