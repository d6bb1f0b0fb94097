"""PBM, PGM, PPM and PAM, whose numbers say how bright a value is."""

import io

import numpy as np
import pytest
from PIL import Image
from test_reading import over_black, same

from hostile import encoded, noise
from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images.reading import ReadingLimits, read_image


@pytest.mark.parametrize("kind", ["grey", "rgb"])
def test_values_of_8_bits_stay(kind: str) -> None:
    values = noise(1, 7, 5) if kind == "grey" else noise(1, 7, 5, 3)
    same(read_image(encoded(values, "PPM")), values)
    text = f"P{2 if kind == 'grey' else 3}\n# a comment\n5 7 # another\n255\n" + " ".join(map(str, values.ravel()))
    same(read_image(text.encode()), values)


@pytest.mark.parametrize("maximum", [256, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_of_more_than_8_bits_are_raw(maximum: int, channels: int) -> None:
    values = noise(2, 7, 5, channels, dtype=np.uint16) % np.uint16(maximum + 1 if maximum < 65535 else 65535)
    magic = {1: 5, 3: 6}[channels]
    same(read_image(f"P{magic} 5 7 {maximum}\n".encode() + values.astype(">u2").tobytes()), values)
    text = f"P{magic - 3} 5 7 {maximum}\n" + " ".join(map(str, values.ravel()))
    same(read_image(text.encode()), values)


@pytest.mark.parametrize("maximum", [1, 3, 15, 100, 254])
def test_a_largest_value_below_255_becomes_255_as_in_pillow(maximum: int) -> None:
    values = noise(3, 7, 5) % np.uint8(maximum + 1)
    values[0, 0] = maximum
    data = f"P5 5 7 {maximum}\n".encode() + values.tobytes()
    got = read_image(data)
    same(got, np.asarray(Image.open(io.BytesIO(data))))
    assert got.max() == 255


def test_bits_are_black_where_they_are_1() -> None:
    black = noise(4, 7, 13) > 127
    expected = np.where(black, 0, 255).astype(np.uint8)
    same(read_image(b"P4\n13 7\n" + np.packbits(black, axis=1).tobytes()), expected)
    digits = "\n".join("".join(str(int(bit)) for bit in row) for row in black)
    same(read_image(f"P1\n13 7\n{digits}\n".encode()), expected)
    same(read_image(f"P1\n13 7\n{' '.join(digits)}\n".encode()), expected)


@pytest.mark.parametrize(
    ("kind", "channels"),
    [("GRAYSCALE", 1), ("RGB", 3), ("GRAYSCALE_ALPHA", 2), ("RGB_ALPHA", 4), ("BLACKANDWHITE", 1)],
)
def test_pam_says_what_its_channels_are(kind: str, channels: int) -> None:
    maximum = 1 if kind == "BLACKANDWHITE" else 255
    values = noise(5, 7, 5, channels) % np.uint8(maximum + 1 if maximum < 255 else 255)
    header = f"P7\n# a comment\nWIDTH 5\nHEIGHT 7\nDEPTH {channels}\nMAXVAL {maximum}\nTUPLTYPE {kind}\nENDHDR\n"
    scaled = values * np.uint8(255 // maximum)
    expected = over_black(scaled[:, :, :-1], scaled[:, :, -1]) if "_ALPHA" in kind else scaled
    same(read_image(header.encode() + values.tobytes()), expected)


def test_pam_of_16_bits_with_alpha_is_laid_over_black() -> None:
    values = noise(5, 7, 5, 4, dtype=np.uint16)
    header = b"P7\nWIDTH 5\nHEIGHT 7\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    same(read_image(header + values.astype(">u2").tobytes()), over_black(values[:, :, :3], values[:, :, 3]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P5 4 4 255\n" + bytes(15), "must have 27 bytes, and has 26"),
        (b"P5 4 4 255\n" + bytes(range(17)), "must have 27 bytes, and has 28"),
        (b"P5 4 4 99\n" + bytes([100] * 16), "values above its largest, 99"),
        (b"P5 4 4 0\n" + bytes(16), "its largest value is 0"),
        (b"P5 4 4 70000\n" + bytes(32), "its largest value is 70000"),
        (b"P5 4 x 255\n" + bytes(16), "its header cannot be read"),
        (b"P5 4 0 255\n", "at least one pixel, got 4 x 0"),
        (b"P2 2 2 9\n1 2 3", "must have 4 values, and has 3"),
        (b"P2 2 2 9\n1 2 3 -4", "or some that are none"),
        (b"P2 2 2 9\n1 2 3 10", "values above its largest"),
        (b"P1 2 2\n0 1 2 0", "values above its largest"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 5\nMAXVAL 255\nTUPLTYPE CMYKA\nENDHDR\n" + bytes(20), "5 channels .*'CMYKA'"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nMAXVAL 255\nENDHDR\n" + bytes(4), "its header cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(data)


def test_the_size_is_checked_before_anything_is_read() -> None:
    for magic in (b"P2", b"P5"):
        with pytest.raises(ImageTooLargeError, match="60000 x 60000"):
            read_image(magic + b" 60000 60000 255\n0")
    with pytest.raises(ImageTooLargeError, match="raise max_pixels"):
        read_image(b"P5 4 4 255\n" + bytes(16), limits=ReadingLimits(max_pixels=15))
