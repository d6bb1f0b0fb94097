"""What is said where a build of imagecodecs lacks a decoder."""

from types import SimpleNamespace

import imagecodecs
import pytest
from test_reading import SMALL

from onlygood.errors import ImageError
from onlygood.images.reading import read_image


@pytest.mark.parametrize(
    ("codec", "kind", "words"),
    [
        ("AVIF", "avif", "an AVIF image"),
        ("JPEG2K", "jpeg-2000", "a JPEG 2000 image"),
        ("JPEGXL", "jpeg-xl", "a JPEG XL image"),
    ],
)
def test_a_missing_decoder_is_no_damage(codec: str, kind: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagecodecs, codec, SimpleNamespace(available=False))
    with pytest.raises(ImageError, match=f"is {words}, and this build of imagecodecs has no decoder of it"):
        read_image(SMALL[kind])
