import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hostile import encoded, exif, noise, not_images, png, small_images
from onlygood.datasets.folders import EXTENSIONS, ImageFile
from onlygood.datasets.labelled_set import LabelledImage
from onlygood.datasets.masks import pair_masks, read_mask
from onlygood.errors import LabelledSetError
from onlygood.images.reading import ReadingLimits

Array = NDArray[Any]

MARKED = np.zeros((6, 9), bool)
MARKED[1:4, 2:7] = True


def labelled(mask: Path | None) -> LabelledImage:
    file = ImageFile(Path("crack/7.png"), "crack/7.png")
    return LabelledImage(file=file, is_anomalous=True, defect="crack", mask=mask, session=None)


def read(folder: Path, data: bytes, *, size: tuple[int, int] = MARKED.shape, name: str = "7_mask.png") -> Array:
    path = folder / name
    path.write_bytes(data)
    return read_mask(labelled(path), height=size[0], width=size[1])


def refused(folder: Path, data: bytes, side: int | None = None) -> str:
    with pytest.raises(LabelledSetError) as raised:
        read(folder, data, size=MARKED.shape if side is None else (side, side))
    return str(raised.value)


# Pixels


def colour(red: int, green: int, blue: int) -> Array:
    return np.where(MARKED[:, :, None], np.array([red, green, blue], np.uint8), 0).astype(np.uint8)


def palette_png(indices: Array, *colours: tuple[int, int, int]) -> bytes:
    return png(indices[:, :, None], "palette", 8, palette=np.array(colours, np.uint8))


def labels(*values: int) -> Array:
    """Pixels that are marked, with these values in turn."""
    image = np.zeros(MARKED.shape, np.uint8)
    image[MARKED] = np.resize(np.array(values, np.uint8), MARKED.sum())
    return image


@pytest.mark.parametrize(
    ("kind", "data"),
    {
        "grey 0 and 255": encoded(labels(255), "PNG"),
        "grey 0 and 1": encoded(labels(1), "PNG"),
        "one bit": encoded(MARKED, "PNG"),
        "16 bits": png(MARKED[:, :, None].astype(np.uint16), "grey", 16),
        "equal channels": encoded(colour(255, 255, 255), "PNG"),
        "red": encoded(colour(1, 0, 0), "PNG"),
        "green": encoded(colour(0, 1, 0), "PNG"),
        "blue": encoded(colour(0, 0, 1), "PNG"),
        "palette of colours": palette_png(labels(1), (0, 0, 0), (0, 128, 0), (0, 0, 9)),
        "palette of greys": palette_png(labels(1), (0, 0, 0), (1, 1, 1)),
        "palette with black last": palette_png(labels(1) ^ 1, (7, 0, 0), (0, 0, 0)),
        "opaque": encoded(np.dstack([colour(255, 0, 0), np.full(MARKED.shape, 255, np.uint8)]), "PNG"),
        "transparent where it is white": encoded(np.dstack([colour(9, 9, 9) | 255, labels(255)]), "PNG"),
        "bmp": encoded(labels(255), "BMP"),
        "tiff": encoded(labels(1), "TIFF"),
        "upright by its orientation": encoded(np.rot90(labels(255)), "PNG", exif=b"Exif\0\0" + exif(6)),
    }.items(),
)
def test_what_is_not_black_is_marked(tmp_path: Path, kind: str, data: bytes) -> None:
    marked = read(tmp_path, data)
    assert marked.dtype == np.bool_
    np.testing.assert_array_equal(marked, MARKED, err_msg=kind)


@pytest.mark.parametrize("name", ["m.jpg", "m.png"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_the_halo_of_lossy_compression_is_not_marked_whatever_the_name(
    tmp_path: Path, kind: str, mode: str, name: str
) -> None:
    marked = np.zeros((64, 64), bool)
    marked[10:41, 13:38] = True
    data = encoded(np.where(marked, 255, 0).astype(np.uint8), kind, mode, quality=60)
    with Image.open(io.BytesIO(data)) as image:
        assert (np.asarray(image.convert("L"))[~marked] > 0).any(), "there is a halo"
    np.testing.assert_array_equal(read(tmp_path, data, size=marked.shape, name=name), marked)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("pair", [(0, 1), (20, 236), (254, 255), (0, 255)])
def test_of_two_levels_the_brighter_is_marked(tmp_path: Path, pair: tuple[int, int], mode: str) -> None:
    data = encoded(np.where(MARKED, pair[1], pair[0]).astype(np.uint8), "PNG", mode)
    np.testing.assert_array_equal(read(tmp_path, data), MARKED)


def test_of_two_colours_the_brighter_is_marked(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path, palette_png(labels(1), (0, 0, 9), (0, 128, 0))), MARKED)
    assert refused(tmp_path, palette_png(labels(1), (9, 0, 0), (0, 9, 0))) == (
        "the defect in a mask must be brighter than the rest, and 7_mask.png of crack/7.png has (0, 9, 0), (9, 0, 0): "
        "draw it in black and white"
    )


def test_more_than_two_levels_are_no_mask(tmp_path: Path) -> None:
    said = "a mask must have two levels, and 7_mask.png of crack/7.png has {}: draw it in two, the defect brighter than"
    assert refused(tmp_path, encoded(labels(1, 2), "PNG")).startswith(said.format("3 (0, 1, 2)"))
    assert refused(tmp_path, encoded(labels(*range(1, 9)), "PNG")).startswith(said.format("9 (0, 1, 2, 3)"))
    photograph = encoded(noise(3, 64, 64), "JPEG", quality=90)
    assert "of the pixels of 7_mask.png of crack/7.png are between black and white" in refused(tmp_path, photograph, 64)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**16),
    share=st.floats(0, 1),
)
def test_a_pixel_is_marked_exactly_if_it_has_the_brighter_level(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], channels: int, seed: int, share: float
) -> None:
    generator = np.random.default_rng(seed)
    dark, bright = np.sort(generator.choice(256, (2, channels), replace=False), axis=0).astype(np.uint8)
    expected = generator.random(shape) < share
    expected[0, 0] = True
    pixels = np.where(expected[:, :, None], bright, dark if not expected.all() else bright)
    data = png(pixels, "grey" if channels == 1 else "rgb", 8)
    folder = tmp_path_factory.getbasetemp()
    assert read(folder, data, size=shape).tolist() == expected.tolist()


def test_many_threads_may_read_masks(tmp_path: Path) -> None:
    images = []
    for number in range(24):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(np.roll(labels(255), number, axis=1), "PNG"))
        images.append(labelled(path))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: read_mask(image, height=6, width=9), images))
    for number, marked in enumerate(found):
        np.testing.assert_array_equal(marked, np.roll(MARKED, number, axis=1))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, encoded(MARKED[:, :6], "PNG")) == (
        "a mask must have the size of its image, and 7_mask.png has 6 x 6 pixels where crack/7.png "
        "has 9 x 6: draw it at the image's size"
    )


def test_a_mask_that_marks_nothing_is_refused(tmp_path: Path) -> None:
    words = (
        "a mask must mark a defect, and 7_mask.png of crack/7.png marks none ({}): draw the defect, or remove the mask"
    )
    assert refused(tmp_path, encoded(labels(0), "PNG")) == words.format("every pixel is 0")
    faint = np.full(MARKED.shape, 100, np.uint8)
    lossy = words.format("no pixel is above 127, as a mask in a lossy format needs")
    assert refused(tmp_path, encoded(faint, "JPEG")) == lossy
    assert refused(tmp_path, encoded(faint, "WEBP", lossless=True)) == lossy
    invisible = np.dstack([colour(255, 255, 255), np.zeros(MARKED.shape, np.uint8)])
    assert refused(tmp_path, encoded(invisible, "PNG")) == words.format("every pixel is 0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (encoded(MARKED, "PNG")[:-20], "7_mask.png"),
        (small_images()["tiff-pages"], "holds 3 images where one is meant"),
        *not_images().values(),
    ],
)
def test_a_mask_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    text = refused(tmp_path, data)
    assert text.startswith(f"the mask of crack/7.png cannot be used: {tmp_path / '7_mask.png'} ")
    assert reason in text


def test_a_mask_that_is_gone_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelledSetError, match=r"the mask of crack/7\.png cannot be used: .*gone\.png does not exist"):
        read_mask(labelled(tmp_path / "gone.png"), height=6, width=9)
    (tmp_path / "7.png").write_bytes(encoded(labels(255), "PNG"))
    with pytest.raises(LabelledSetError, match="9 x 6 = 54 pixels, and at most 53 are read"):
        read_mask(labelled(tmp_path / "7.png"), height=6, width=9, limits=ReadingLimits(max_pixels=53))


def test_an_image_without_a_mask_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"needs an image with a mask, got crack/7\.png without"):
        read_mask(labelled(None), height=6, width=9)


# Names


def files(*names: str, pages: int = 1) -> list[ImageFile]:
    return [ImageFile(Path(name), name, page, pages) for name in names for page in range(pages)]


def paired(images: list[ImageFile], masks: list[ImageFile]) -> tuple[dict[str, str], list[str]]:
    found, left_over = pair_masks(images, masks)
    return {image.name: " ".join(mask.as_posix() for mask in masks) for image, masks in found.items()}, [
        mask.name for mask in left_over
    ]


@pytest.mark.parametrize("extension", [*EXTENSIONS, ".PNG", ".Tif"])
@pytest.mark.parametrize("ending", ["_mask", ""])
def test_a_mask_has_the_stem_of_its_image_and_any_extension(ending: str, extension: str) -> None:
    mask = f"crack/a.b{ending}{extension}"
    assert paired(files("crack/a.b.jpg", "hole/a.b.jpg"), files(mask)) == ({"crack/a.b.jpg": mask}, [])


def test_masks_lie_as_deep_as_their_images() -> None:
    images = files("crack/a.png", "crack/lot3/a.png", "crack/lot4/b.png")
    masks = files("crack/a_mask.png", "crack/lot3/a_mask.png", "crack/b_mask.png", "a_mask.png")
    expected = {"crack/a.png": "crack/a_mask.png", "crack/lot3/a.png": "crack/lot3/a_mask.png"}
    assert paired(images, masks) == (expected, ["crack/b_mask.png", "a_mask.png"])


def test_the_name_with_mask_comes_first() -> None:
    masks = files("crack/a.png", "crack/a_mask.png")
    assert paired(files("crack/a.png"), masks) == ({"crack/a.png": "crack/a_mask.png"}, ["crack/a.png"])
    two = files("crack/a.png", "crack/a_mask.png")
    assert paired(two, masks) == ({"crack/a.png": "crack/a_mask.png"}, ["crack/a.png"])
    assert paired(two, files("crack/a_mask.png", "crack/a_mask_mask.png")) == (
        {"crack/a.png": "crack/a_mask.png", "crack/a_mask.png": "crack/a_mask_mask.png"},
        [],
    )


def test_a_mask_that_was_drawn_without_the_orientation_of_its_image_is_named_as_that(tmp_path: Path) -> None:
    assert refused(tmp_path, encoded(MARKED.T.astype(np.uint8) * 255, "PNG")) == (
        "a mask must lie as its image does, and 7_mask.png has 6 x 9 pixels where crack/7.png has 9 x 6: turn it, as "
        "the orientation that cameras write into a file turns the image"
    )


def test_masks_of_several_defects_lie_in_a_folder_of_the_images_name() -> None:
    masks = files("crack/a/000.png", "crack/a/001.png", "crack/b_mask.png", "crack/b/000.png", "crack/c/000.png")
    assert paired(files("crack/a.png", "crack/b.png"), masks) == (
        {"crack/a.png": "crack/a/000.png crack/a/001.png", "crack/b.png": "crack/b_mask.png"},
        ["crack/b/000.png", "crack/c/000.png"],
    )
    with pytest.raises(LabelledSetError, match=r"crack/a/000\.png may belong to crack/a\.jpg or to crack/a\.png"):
        pair_masks(files("crack/a.jpg", "crack/a.png"), files("crack/a/000.png"))


def test_what_any_of_several_masks_marks_is_anomalous(tmp_path: Path) -> None:
    other = np.zeros_like(MARKED)
    other[5, 8] = True
    paths = [tmp_path / "000.png", tmp_path / "001.png"]
    for path, marked, level in zip(paths, (MARKED, other), (255, 236), strict=True):
        path.write_bytes(encoded(marked.astype(np.uint8) * np.uint8(level), "PNG"))
    both = replace(labelled(paths[0]), more_masks=(paths[1],))
    np.testing.assert_array_equal(read_mask(both, height=6, width=9), MARKED | other)
    paths[1].write_bytes(encoded(np.zeros((6, 9), np.uint8), "PNG"))
    with pytest.raises(LabelledSetError, match=r"a mask must mark a defect, and 001\.png of crack/7\.png marks none"):
        read_mask(both, height=6, width=9)


def test_two_masks_of_an_image_or_two_images_of_a_mask_are_refused() -> None:
    with pytest.raises(LabelledSetError) as raised:
        pair_masks(files("crack/a.png"), files("crack/a_mask.bmp", "crack/a_mask.png"))
    assert str(raised.value) == (
        "an image must have one mask, and crack/a.png has crack/a_mask.bmp and crack/a_mask.png: remove one of them"
    )
    for mask in ("crack/a_mask.tif", "crack/a.tif"):
        with pytest.raises(LabelledSetError) as raised:
            pair_masks(files("crack/a.jpg", "crack/a.png"), files(mask))
        assert str(raised.value) == (
            f"a mask must belong to one image, and {mask} may belong to crack/a.jpg or to crack/a.png: give the "
            "images different names"
        )


def test_pages_have_no_masks_and_a_mask_of_several_pages_is_one_file() -> None:
    pages = files("crack/s.tif", pages=3)
    assert paired(pages, files("crack/s_mask.png")) == ({}, ["crack/s_mask.png"])
    assert paired(files("crack/a.png"), files("crack/a_mask.tif", pages=3)) == ({"crack/a.png": "crack/a_mask.tif"}, [])
