"""DICOM: the stored values of one grey frame; what else such files hold is refused by name."""

from typing import Any

import numpy as np
import pytest
from test_reading import same

from hostile import dicom, noise
from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images import dicom as module
from onlygood.images.reading import ReadingLimits, read_image

pydicom = pytest.importorskip("pydicom")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(6, 8), (5, 7)])
def test_stored_values_stay_as_in_pydicom(dtype: Any, shape: tuple[int, int]) -> None:
    import io

    values = noise(1, *shape, dtype=dtype)
    data = dicom(values)
    same(read_image(data), values)
    same(read_image(data), pydicom.dcmread(io.BytesIO(data)).pixel_array)


def test_12_bits_are_raw_and_inverted_where_0_is_white() -> None:
    values = noise(2, 6, 8, dtype=np.uint16) % 4096
    same(read_image(dicom(values, stored=12)), values)
    same(read_image(dicom(values, stored=12, photometric=b"MONOCHROME1")), np.uint16(4095) - values)
    eight = noise(2, 6, 8)
    same(read_image(dicom(eight, photometric=b"MONOCHROME1")), 255 - eight)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"signed": True}, "a DICOM image of signed values, and unsigned ones are read"),
        ({"frames": 3}, "a DICOM file of 3 frames where one is meant: save them as files"),
        ({"samples": 3, "photometric": b"RGB"}, "a DICOM image of the kind RGB, and grey ones are read"),
        ({"photometric": b"PALETTE COLOR"}, "a DICOM image of the kind PALETTE COLOR"),
        ({"syntax": b"1.2.840.10008.1.2.4.70"}, r"a compressed DICOM image \(JPEG Lossless.*\): save it uncompressed"),
        ({"stored": 12}, "values above the 4095 that 12 bits hold"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_else_it_holds_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(dicom(noise(3, 6, 8, dtype=np.uint16), **options))


def test_too_many_or_too_few_pixels_are_damage() -> None:
    data = bytearray(dicom(noise(3, 6, 8)))
    at = data.index(b"\x28\0\x10\0US") + 8
    data[at] = 7
    with pytest.raises(ImageError, match="its pixels must have 56 bytes, and have 48"):
        read_image(bytes(data))


def test_a_file_without_an_image_says_so() -> None:
    data = dicom(noise(3, 6, 8))
    with pytest.raises(ImageError, match="a DICOM file without an image of whole numbers: give one that has pixels"):
        read_image(data[: data.index(b"\xe0\x7f\x10\0OW")])


def test_the_limit_holds() -> None:
    with pytest.raises(ImageTooLargeError, match="raise max_pixels"):
        read_image(dicom(noise(3, 6, 8)), limits=ReadingLimits(max_pixels=47))


def test_without_pydicom_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ImageError, match=r"read with pydicom: run pip install 'onlygood\[dicom\]'"):
        read_image(dicom(noise(3, 6, 8)))
