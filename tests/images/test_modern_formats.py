"""GIF, JPEG 2000, AVIF and JPEG XL: every value that the encoder was given, or what a second decoder makes of it."""

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from test_reading import over_black, same

from hostile import encoded, exif, noise
from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images.reading import ReadingLimits, read_image


def by_pillow(data: bytes) -> NDArray[Any]:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


# GIF


@pytest.mark.parametrize("interlace", [0, 1])
def test_gif_gives_the_colours_of_its_palette(interlace: int) -> None:
    palette, indices = noise(6, 256, 3), noise(7, 19, 23)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "GIF", interlace=interlace, optimize=False)
    same(read_image(buffer.getvalue()), palette[indices])


def test_gif_of_greys_has_one_channel() -> None:
    grey = noise(7, 19, 23)
    same(read_image(encoded(grey, "GIF")), grey)


def test_gif_pixels_that_are_transparent_are_black() -> None:
    palette, indices = noise(6, 256, 3), noise(7, 19, 23)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "GIF", transparency=int(indices[3, 4]), optimize=False)
    expected = np.where((indices == indices[3, 4])[:, :, None], 0, palette[indices])
    same(read_image(buffer.getvalue()), expected.astype(np.uint8))


def test_gif_of_greys_with_a_transparent_one() -> None:
    grey = noise(7, 19, 23)
    data = encoded(grey, "GIF", transparency=int(grey[3, 4]))
    expected = np.where(grey == grey[3, 4], 0, grey)
    assert (read_image(data)[:, :, 0] == expected).all()


def test_gif_animation_is_refused_and_a_still_with_comments_is_not() -> None:
    frames = [Image.fromarray(noise(seed, 8, 8)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    with pytest.raises(ImageError, match="is an animation, and one still image is required: save its frames as files"):
        read_image(buffer.getvalue())
    same(read_image(encoded(noise(1, 8, 8), "GIF", comment=b"of a camera")), noise(1, 8, 8))


def test_gif_whose_image_does_not_fill_it_is_refused() -> None:
    data = bytearray(encoded(noise(1, 8, 8), "GIF"))
    data[6] = 9
    with pytest.raises(ImageError, match="an image of 8 x 8 pixels on a canvas of 9 x 8: save it as PNG"):
        read_image(bytes(data))


# JPEG 2000


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_2000_keeps_every_value(codec: str, kind: str, dtype: Any) -> None:
    values = noise(1, 35, 41, dtype=dtype) if kind == "grey" else noise(1, 35, 41, 3, dtype=dtype)
    same(read_image(imagecodecs.jpeg2k_encode(values, level=0, reversible=True, codecformat=codec)), values)
    if dtype == np.uint8:
        same(read_image(encoded(values, "JPEG2000", tile_size=(16, 16), no_jp2=codec == "j2k")), values)


def test_jpeg_2000_with_loss_has_the_pixels_of_pillow() -> None:
    smooth = np.kron(noise(2, 5, 6, 3), np.ones((8, 8, 1), np.uint8))
    data = encoded(smooth, "JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[38])
    same(read_image(data), by_pillow(data))


def test_jpeg_2000_of_12_bits_is_raw_and_of_4_bits_has_white_at_255() -> None:
    values = noise(3, 16, 16, 3, dtype=np.uint16) % 4096
    same(read_image(imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=12)), values)
    few = noise(3, 16, 16) % 16
    same(read_image(imagecodecs.jpeg2k_encode(few, level=0, reversible=True, bitspersample=4)), few * np.uint8(17))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_jpeg_2000_with_alpha_is_laid_over_black(mode: str) -> None:
    values = noise(4, 16, 16, len(mode))
    got = read_image(encoded(values, "JPEG2000"))
    same(got, over_black(values[:, :, :-1], values[:, :, -1]))


def patched(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


def test_jpeg_2000_of_other_kinds_is_refused() -> None:
    values = noise(5, 16, 16, 3)
    data = imagecodecs.jpeg2k_encode(values, level=0, reversible=True, codecformat="j2k")
    components = 42  # of the codestream's size: bits, then steps across and down, of each
    cases = {
        "values are signed": patched(data, components, 0x87),
        "values are of 17 bits": patched(
            patched(patched(data, components, 16), components + 3, 16), components + 6, 16
        ),
        "values are signed or of different bits": patched(data, components, 9),
        "channels of different sizes": patched(data, components + 4, 2),
        "4 channels that the file does not declare": imagecodecs.jpeg2k_encode(
            noise(5, 16, 16, 4), level=0, reversible=True, codecformat="j2k"
        ),
    }
    for words, hurt in cases.items():
        with pytest.raises(ImageError, match=words):
            read_image(hurt)
    boxed = encoded(values, "JPEG2000")
    at = boxed.index(b"colr") + 7
    with pytest.raises(ImageError, match=r"colour of a kind that is not read \(colour space 18\): save it as RGB"):
        read_image(patched(boxed, at + 3, 18))
    codestream = boxed[boxed.index(b"jp2c") - 4 :]
    with pytest.raises(ImageError, match="holds 2 JPEG 2000 images where one is meant"):
        length = len(codestream).to_bytes(4, "big")
        whole = boxed[: boxed.index(b"jp2c") - 4] + (length + codestream[4:]) * 2
        read_image(whole)


# AVIF


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4", "4:0:0"])
@pytest.mark.parametrize("quality", [50, 90])
def test_avif_has_the_pixels_of_pillow(subsampling: str, quality: int) -> None:
    data = encoded(noise(1, 35, 41, 3), "AVIF", subsampling=subsampling, quality=quality)
    same(read_image(data), by_pillow(data))


def test_avif_keeps_every_value_if_it_was_written_so() -> None:
    for values in (noise(1, 35, 41, 3), noise(1, 35, 41)):
        same(read_image(imagecodecs.avif_encode(values, level=100)), values)
    alpha = noise(1, 35, 41, 4)
    same(read_image(imagecodecs.avif_encode(alpha, level=100)), over_black(alpha[:, :, :3], alpha[:, :, 3]))


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_10_and_12_bits_is_raw(bits: int) -> None:
    values = noise(1, 35, 41, 4, dtype=np.uint16) % np.uint16(2**bits)
    data = imagecodecs.avif_encode(values[:, :, :3].copy(), level=100, bitspersample=bits)
    same(read_image(data), values[:, :, :3])
    maximum = 2**bits - 1
    product = values[:, :, :3].astype(np.int64) * values[:, :, 3:]
    got = read_image(imagecodecs.avif_encode(values, level=100, bitspersample=bits))
    same(got, ((2 * product + maximum) // (2 * maximum)).astype(np.uint16))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_upright(orientation: int) -> None:
    data = encoded(noise(2, 24, 16, 3), "AVIF", quality=90, exif=b"Exif\0\0" + exif(orientation))
    same(read_image(data), by_pillow(data))


def test_avif_animations_are_refused() -> None:
    frames = [Image.fromarray(noise(seed, 16, 16, 3)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "AVIF", save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(ImageError, match="is an animation, and one still image is required"):
        read_image(buffer.getvalue())


# JPEG XL


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(16, 24), (35, 41), (300, 200), (9, 16)])
def test_jpeg_xl_keeps_every_value(container: bool, channels: int, dtype: Any, shape: tuple[int, int]) -> None:
    values = noise(1, *shape, channels, dtype=dtype)
    data = imagecodecs.jpegxl_encode(values.squeeze(), lossless=True, usecontainer=container)
    same(read_image(data), values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_xl_with_alpha_is_laid_over_black(dtype: Any) -> None:
    values = noise(2, 35, 41, 4, dtype=dtype)
    data = imagecodecs.jpegxl_encode(values, lossless=True)
    same(read_image(data), over_black(values[:, :, :3], values[:, :, 3]))


def test_jpeg_xl_of_12_bits_is_raw_and_of_4_bits_has_white_at_255() -> None:
    values = noise(3, 16, 16, 3, dtype=np.uint16) % 4096
    same(read_image(imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=12)), values)
    few = noise(3, 16, 16) % 16
    same(read_image(imagecodecs.jpegxl_encode(few, lossless=True, bitspersample=4)), few * np.uint8(17))


def test_jpeg_xl_of_a_jpeg_has_its_size() -> None:
    smooth = np.kron(noise(2, 5, 6, 3), np.ones((8, 8, 1), np.uint8))
    jpeg = encoded(smooth, "JPEG", subsampling="4:4:4")
    got = read_image(imagecodecs.jpegxl_encode_jpeg(jpeg))
    assert np.abs(got.astype(int) - by_pillow(jpeg)).max() <= 6


def test_jpeg_xl_of_other_kinds_is_refused() -> None:
    real = noise(3, 16, 16, 3).astype(np.float32) / 255
    with pytest.raises(ImageError, match="floating-point numbers of 32 bits a channel"):
        read_image(imagecodecs.jpegxl_encode(real, lossless=True))
    frames = np.stack([noise(seed, 16, 16, 3) for seed in range(3)])
    with pytest.raises(ImageError, match="is an animation"):
        read_image(imagecodecs.jpegxl_encode(frames, lossless=True))


# Limits


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a" + (60_000).to_bytes(2, "little") * 2 + bytes(50),
        imagecodecs.jpegxl_encode(np.zeros((2100, 2100), np.uint8)),
        imagecodecs.jpeg2k_encode(np.zeros((2100, 2100), np.uint8), level=0, reversible=True),
        imagecodecs.avif_encode(np.zeros((2100, 2100), np.uint8)),
    ],
    ids=["gif", "jpeg-xl", "jpeg-2000", "avif"],
)
def test_sizes_are_checked_before_anything_is_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded")

    for codec in ("jpegxl_decode", "jpeg2k_decode", "avif_decode"):
        monkeypatch.setattr(imagecodecs, codec, decode)
    with pytest.raises(ImageTooLargeError, match=r"2100 x 2100|60000 x 60000"):
        read_image(data, limits=ReadingLimits(max_pixels=2100 * 2100 - 1))
