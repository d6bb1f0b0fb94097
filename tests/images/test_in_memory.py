import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_reading import SMALL, TWO_BY_THREE, over_black, same

from hostile import encoded, noise, png
from onlygood.errors import ImageError, SettingError
from onlygood.images.named import NamedImage
from onlygood.images.reading import read_image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_are_taken_as_they_are(dtype: Any) -> None:
    for shape in ((6, 8), (6, 8, 1), (6, 8, 3)):
        array = noise(1, *shape, dtype=dtype)
        same(read_image(array), array)
    array = noise(1, 6, 8, 4, dtype=dtype)
    same(read_image(array), over_black(array[:, :, :3], array[:, :, 3]))
    turned = noise(1, 6, 8, 3, dtype=dtype)[::-1, ::2]
    same(read_image(turned), turned)


def test_arrays_of_the_other_byte_order_keep_their_values() -> None:
    array = noise(1, 6, 8, dtype=np.uint16)
    same(read_image(array.astype(array.dtype.newbyteorder())), array)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4), np.float32), "must be of type uint8 or uint16, got float32"),
        (np.zeros((4, 4), bool), "got bool"),
        (np.zeros((4, 4), np.int16), "got int16"),
        (np.zeros((4, 4), np.uint32), "got uint32"),
        (np.zeros((4, 4), object), "got object"),
        (np.zeros(4, np.uint8), r"must have the shape .* got \[4\]"),
        (np.zeros((4, 4, 2), np.uint8), r"got \[4, 4, 2\]"),
        (np.zeros((3, 8, 8), np.uint8), r"got \[3, 8, 8\]: put the channels last"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"got \[1, 4, 4, 3\]"),
        (np.zeros((0, 4), np.uint8), "at least one pixel, got 4 x 0"),
        (np.zeros((4, 0, 3), np.uint8), "at least one pixel, got 0 x 4"),
        (np.ma.zeros((4, 4), np.uint8), "got a masked one"),
    ],
)
def test_arrays_of_other_kinds_are_refused(array: NDArray[Any], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(array)


def test_pil_images_keep_their_values() -> None:
    grey, rgb, deep = noise(1, 6, 8), noise(2, 6, 8, 3), noise(3, 6, 8, dtype=np.uint16)
    same(read_image(Image.fromarray(grey)), grey)
    same(read_image(Image.fromarray(rgb)), rgb)
    same(read_image(Image.fromarray(deep)), deep)
    same(read_image(Image.frombytes("I;16B", (8, 6), deep.astype(">u2").tobytes())), deep)
    same(read_image(Image.fromarray(grey > 99)), (grey > 99) * np.uint8(255))
    for channels in (2, 4):
        values = noise(4, 6, 8, channels)
        same(read_image(Image.fromarray(values)), over_black(values[:, :, :-1], values[:, :, -1]))
    ink = noise(5, 6, 8, 4)
    same(read_image(Image.fromarray(ink, "CMYK")), over_black(255 - ink[:, :, :3], 255 - ink[:, :, 3]))
    same(read_image(Image.fromarray(ink, "CMYK")), np.asarray(Image.fromarray(ink, "CMYK").convert("RGB")))


def test_pil_palettes_and_transparent_colours_are_laid_over_black() -> None:
    palette, indices = noise(6, 16, 3), noise(7, 6, 8) % 16
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    same(read_image(image), palette[indices])
    image.info["transparency"] = 3
    opacity = np.where(np.arange(16) == 3, 0, 255).astype(np.uint8)
    same(read_image(image), over_black(palette[indices], opacity[indices]))
    opacity = noise(8, 16)
    image.info["transparency"] = opacity.tobytes()
    same(read_image(image), over_black(palette[indices], opacity[indices]))
    with_alpha = Image.fromarray(indices, "P")
    with_alpha.putpalette(np.column_stack([palette, opacity]).tobytes(), "RGBA")
    same(read_image(with_alpha), over_black(palette[indices], opacity[indices]))
    grey = Image.fromarray(indices)
    grey.info["transparency"] = 5
    same(read_image(grey), np.where(indices == 5, 0, indices).astype(np.uint8))
    bilevel = Image.fromarray(np.array([[False, True]]))
    bilevel.info["transparency"] = 1
    same(read_image(bilevel), np.zeros((1, 2), np.uint8))
    bilevel.info["transparency"] = 0
    same(read_image(bilevel), np.array([[0, 255]], np.uint8))
    opened = Image.open(io.BytesIO(png(indices, "palette", 4, palette=palette)))
    same(read_image(opened), palette[indices])


@pytest.mark.parametrize("mode", ["I", "F", "YCbCr", "LAB", "HSV"])
def test_pil_modes_without_one_meaning_are_refused(mode: str) -> None:
    with pytest.raises(ImageError, match=f"has the PIL mode {mode}, which is neither"):
        read_image(Image.new(mode, (4, 4)))


@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey-alpha"])
def test_16_bit_colour_that_pillow_would_reduce_is_refused(kind: str, tmp_path: Path) -> None:
    channels = {"rgb": 3, "rgba": 4, "grey-alpha": 2}[kind]
    path = tmp_path / "deep.png"
    path.write_bytes(png(noise(1, 4, 4, channels, dtype=np.uint16), kind, 16))
    words = r"deep\.png has 16-bit colour, which Pillow reduces to 8 bits: give its path"
    with Image.open(path) as image, pytest.raises(ImageError, match=words):
        read_image(image)
    same(read_image(Image.open(io.BytesIO(png(TWO_BY_THREE, "grey", 16)))), TWO_BY_THREE.astype(np.uint16))


def test_a_pil_image_cut_short_is_refused() -> None:
    image = Image.open(io.BytesIO(SMALL["jpeg-rgb"][:-100]))
    with pytest.raises(ImageError, match="cut short"):
        read_image(image)


# Order of channels


def test_bgr_of_opencv_gives_the_same_as_rgb() -> None:
    for dtype in (np.uint8, np.uint16):
        rgb, rgba = noise(1, 6, 8, 3, dtype=dtype), noise(2, 6, 8, 4, dtype=dtype)
        same(read_image(rgb[:, :, ::-1], channel_order="bgr"), rgb)
        same(read_image(rgba[:, :, [2, 1, 0, 3]], channel_order="bgr"), read_image(rgba))
        same(read_image(rgb[:, :, ::-1], channel_order="rgb"), rgb[:, :, ::-1].copy())


def test_grey_arrays_have_no_order_of_channels() -> None:
    for grey in (noise(1, 6, 8), noise(1, 6, 8, 1)):
        same(read_image(grey, channel_order="bgr"), grey)


def test_an_order_of_channels_is_for_arrays_alone(tmp_path: Path) -> None:
    data = encoded(noise(1, 6, 8, 3), "PNG")
    path = tmp_path / "part.png"
    path.write_bytes(data)
    for source in (path, data, Image.fromarray(noise(1, 6, 8, 3))):
        same(read_image(source, channel_order="rgb"), noise(1, 6, 8, 3))
        with pytest.raises(
            SettingError, match=r"channel_order 'bgr' must go with an array, and .* is none: leave it out"
        ):
            read_image(source, channel_order="bgr")


@pytest.mark.parametrize("order", ["BGR", "gbr", "", None, 3])
def test_an_order_of_channels_is_one_of_two(order: Any) -> None:
    with pytest.raises(SettingError, match="channel_order must be 'rgb' or 'bgr', got"):
        read_image(noise(1, 6, 8, 3), channel_order=order)


def test_a_named_image_says_the_order_of_its_array() -> None:
    assert NamedImage("camera 2", noise(1, 6, 8, 3)).channel_order is None
    assert NamedImage("camera 2", noise(1, 6, 8, 3), channel_order="bgr").channel_order == "bgr"
