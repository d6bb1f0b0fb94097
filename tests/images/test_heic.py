"""HEIC, by files that were encoded without loss, so that their pixels are known: 37 y + 11 x + 53 c, modulo levels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images import extensions, heic
from onlygood.images.reading import ReadingLimits, read_image

FILES = Path(__file__).with_name("heic")


def ramp(channels: int, levels: int = 256) -> Any:
    y, x, channel = np.mgrid[:16, :24, :channels]
    return (37 * y + 11 * x + 53 * channel) % levels


def read(name: str) -> Any:
    return read_image(FILES / f"{name}.heic")


def test_pixels_are_those_that_were_encoded() -> None:
    for name, channels in (("rgb", 3), ("grey", 1)):
        found = read(name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, ramp(channels))


def test_ten_bits_stay_ten_bits() -> None:
    found = read("rgb-10-bit")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, ramp(3, 1024))


def test_alpha_is_laid_over_black() -> None:
    pixels = ramp(4)
    np.testing.assert_array_equal(read("rgba"), np.floor(pixels[:, :, :3] * pixels[:, :, 3:] / 255 + 0.5))


def test_an_image_is_upright() -> None:
    np.testing.assert_array_equal(read("turned"), np.rot90(ramp(3), -1))


def test_several_images_and_animations_are_refused() -> None:
    with pytest.raises(ImageError, match=r"two\.heic holds 2 images where one is meant: save each as a file"):
        read("two")
    data = (FILES / "rgb.heic").read_bytes()
    with pytest.raises(ImageError, match="x is an animation, and one still image is required"):
        read_image(data[:8] + b"hevc" + data[12:], name="x")


def test_limits_hold_before_anything_is_decoded() -> None:
    with pytest.raises(ImageTooLargeError, match="has 24 x 16 = 384 pixels, and at most 383 are read"):
        read_image(FILES / "rgb.heic", limits=ReadingLimits(max_pixels=383))


@pytest.mark.parametrize("name", ["rgb", "grey", "rgb-10-bit"])
def test_a_file_that_is_cut_or_has_lost_a_part_is_refused(name: str) -> None:
    data = (FILES / f"{name}.heic").read_bytes()
    for end in np.linspace(12, len(data) - 1, 40).astype(int):
        with pytest.raises(ImageError):
            read_image(data[:end])
    middle = len(data) // 2
    with pytest.raises(ImageError, match="damaged HEIC"):
        read_image(data[:middle] + bytes(512) + data[middle + 512 :])


def test_without_a_decoder_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heic, "find_spec", lambda _: None)
    monkeypatch.setattr(extensions, "find_spec", lambda _: None)
    said = (
        "is a HEIC image, which is read with pi-heif: run pip install pi-heif, which holds libraries under the LGPL, "
        "or save it as JPEG or PNG"
    )
    with pytest.raises(ImageError) as raised:
        read("rgb")
    assert str(raised.value) == f"{FILES / 'rgb.heic'} {said}"
    assert extensions.why_not_taken("a/b.HEIC") == f"a/b.HEIC {said}"
    assert ".heic" not in extensions.readable_extensions()


def test_results_do_not_change_when_the_decoder_is_gone() -> None:
    found = [read("rgb") for _ in range(20)]
    io.BytesIO(bytes(10_000_000)).getvalue()  # memory that was given back is used again
    for each in found:
        np.testing.assert_array_equal(each, ramp(3))
