"""Of a damaged file no other pixels come back than of the whole one, as far as its format lets damage be found."""

import math
import re
from pathlib import Path

import pytest
from mutations import MUTATIONS, files, silent_share

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "images.md"
TRIES = 15
# Percent of damaged files that are read without an error and with other pixels, in the order of MUTATIONS: what
# `python tests/images/mutations.py 100` prints.
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
