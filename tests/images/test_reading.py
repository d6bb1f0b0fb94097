import io
import logging
import os
import re
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from hostile import bombs, encoded, exif, noise, not_images, png, png_chunk, small_images, tiff, tiff_tags
from onlygood.errors import ImageError, ImageFormatError, ImageTooLargeError, SettingError
from onlygood.images.reading import ReadingLimits, fit_channels, read_image, require_depth

SMALL = small_images()
MULTI_PAGE = {"tiff-pages"}


def same(got: NDArray[Any], expected: NDArray[Any]) -> None:
    expected = expected if expected.ndim == 3 else expected[:, :, None]
    assert got.flags.c_contiguous
    assert got.dtype == expected.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, expected, strict=True)


def over_black(colour: NDArray[Any], alpha: NDArray[Any]) -> Any:
    """Reference in Python's integers: round(colour * alpha / maximum); maximum is odd, so there are no ties."""
    maximum = int(np.iinfo(colour.dtype).max)
    product = colour.astype(object) * alpha.astype(object)[:, :, None]
    return ((2 * product + maximum) // (2 * maximum)).astype(colour.dtype)


# Orientation


TURNED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}
TWO_BY_THREE = np.array(TURNED[1], np.uint8)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_orientation_is_applied(orientation: int, order: str, kind: int) -> None:
    upright = np.array(TURNED[orientation], np.uint8)
    block = exif(orientation, order, kind)
    same(read_image(png(TWO_BY_THREE, "grey", 8, before=[png_chunk(b"eXIf", block)])), upright)
    same(read_image(png(TWO_BY_THREE, "grey", 8, after=[png_chunk(b"eXIf", block)])), upright)
    colour = np.repeat(TWO_BY_THREE[:, :, None], 3, axis=2)
    webp = encoded(colour, "WEBP", lossless=True, exif=block)
    same(read_image(webp), np.repeat(upright[:, :, None], 3, axis=2))
    tagged = tiff([tiff_tags(3, 2, TWO_BY_THREE.tobytes(), t274=(kind, [orientation]))], order=order)
    same(read_image(tagged), upright)
    deep = png(TWO_BY_THREE[:, :, None].repeat(3, 2), "rgb", 16, before=[png_chunk(b"eXIf", block)])
    same(read_image(deep), upright[:, :, None].repeat(3, 2).astype(np.uint16))


@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_of_a_jpeg_is_applied(orientation: int) -> None:
    big = np.kron(TWO_BY_THREE * 40, np.ones((8, 8), np.uint8))
    plain = read_image(encoded(big, "JPEG", quality=100))[:, :, 0]
    got = read_image(encoded(big, "JPEG", quality=100, exif=b"Exif\0\0" + exif(orientation)))[:, :, 0]
    np.testing.assert_array_equal(got[::8, ::8] // 40, np.array(TURNED[orientation]))
    assert sorted(got.ravel()) == sorted(plain.ravel())


@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_of_a_pil_image_is_applied_once(orientation: int) -> None:
    image = Image.fromarray(TWO_BY_THREE)
    image.getexif()[274] = orientation
    upright = np.array(TURNED[orientation], np.uint8)
    same(read_image(image), upright)
    tagged = tiff([tiff_tags(3, 2, TWO_BY_THREE.tobytes(), t274=(3, [orientation]))])
    same(read_image(Image.open(io.BytesIO(tagged))), upright)


@pytest.mark.parametrize(
    "block", [b"", b"MM\0*", exif(0), exif(9), exif(6)[:20], b"XX" + exif(6), exif(6)[:4] + b"\xff" * 4]
)
def test_exif_that_cannot_be_read_asks_for_nothing(block: bytes) -> None:
    same(read_image(png(TWO_BY_THREE, "grey", 8, before=[png_chunk(b"eXIf", block)])), TWO_BY_THREE)
    if block:
        webp = encoded(TWO_BY_THREE[:, :, None].repeat(3, 2), "WEBP", lossless=True, exif=b"Exif\0\0" + block)
        same(read_image(webp), TWO_BY_THREE[:, :, None].repeat(3, 2))
    tagged = tiff([tiff_tags(3, 2, TWO_BY_THREE.tobytes(), t274=(3, [0]))])
    same(read_image(tagged), TWO_BY_THREE)


# Pages


@pytest.mark.parametrize("source", [SMALL["png-grey"], np.zeros((4, 4), np.uint8), Image.new("L", (4, 4))])
def test_only_tiff_has_pages(source: Any) -> None:
    assert read_image(source, page=0).shape[2] == 1
    with pytest.raises(ImageError, match="only TIFF files have pages"):
        read_image(source, page=1)


@pytest.mark.parametrize("page", [-1, 1.0, True, "1"])
def test_a_page_is_a_whole_number(page: Any) -> None:
    with pytest.raises(SettingError, match="a page must be a whole number of at least 0"):
        read_image(SMALL["tiff-pages"], page=page)


# Limits


@pytest.mark.parametrize("kind", bombs())
def test_bombs_are_refused_before_decoding(kind: str) -> None:
    import tracemalloc

    data = bombs()[kind]
    tracemalloc.start()
    with pytest.raises(ImageTooLargeError, match=r"60000 x 60000 = 3,600,000,000 pixels|16383 x 16383"):
        read_image(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000_000


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind not in MULTI_PAGE])
def test_the_pixel_limit_is_exact(kind: str) -> None:
    assert read_image(SMALL[kind], limits=ReadingLimits(max_pixels=256)).shape[:2] == (16, 16)
    with pytest.raises(ImageTooLargeError, match=r"16 x 16 = 256 pixels, and at most 255 are read.*raise max_pixels"):
        read_image(SMALL[kind], limits=ReadingLimits(max_pixels=255))


def test_arrays_and_images_keep_to_the_pixel_limit() -> None:
    limits = ReadingLimits(max_pixels=15)
    for source in (np.zeros((4, 4), np.uint8), Image.new("L", (4, 4))):
        with pytest.raises(ImageTooLargeError):
            read_image(source, limits=limits)


def test_the_byte_limit_is_exact(tmp_path: Path) -> None:
    data = SMALL["png-grey"]
    path = tmp_path / "part.png"
    path.write_bytes(data)
    for source in (data, path):
        read_image(source, limits=ReadingLimits(max_bytes=len(data)))
        with pytest.raises(ImageTooLargeError, match="raise max_bytes"):
            read_image(source, limits=ReadingLimits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("setting", ["max_pixels", "max_bytes", "max_pages"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_limits_are_whole_numbers_of_at_least_1(setting: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"{setting} must be a whole number of at least 1"):
        ReadingLimits(**{setting: value})


def test_the_limit_of_pillow_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind, data in SMALL.items():
            assert read_image(data, page=0 if kind in MULTI_PAGE else None).shape[:2] == (16, 16)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_half_images_are_not_read_even_if_pillow_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("png-grey", "bmp-grey"):
        with pytest.raises(ImageError, match=r"LOAD_TRUNCATED_IMAGES is on.*: turn it off"):
            read_image(SMALL[kind])
    for kind in ("jpeg-rgb", "png-rgb16", "webp-lossy", "tiff-lzw"):  # not read by Pillow
        assert read_image(SMALL[kind]).shape == (16, 16, 3)


# Damage


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind not in MULTI_PAGE])
def test_a_file_cut_short_anywhere_is_refused(kind: str) -> None:
    data = SMALL[kind]
    for end in range(1, len(data)):
        with pytest.raises(ImageError):
            read_image(data[:end])


def test_a_stack_cut_short_anywhere_gives_only_whole_pages() -> None:
    data = SMALL["tiff-pages"]
    for page in range(3):
        whole = read_image(data, page=page)
        read = 0
        for end in range(1, len(data)):
            try:
                got = read_image(data[:end], page=page)
            except ImageError:
                continue
            read += 1
            np.testing.assert_array_equal(got, whole)
        assert read <= len(data) - 256 * (page + 1)


@pytest.mark.parametrize("kind", ["jpeg-grey", "jpeg-rgb", "jpeg-progressive"])
def test_a_jpeg_whose_end_is_zeros_gives_an_error_or_all_of_its_pixels(kind: str) -> None:
    data = SMALL[kind]
    whole = read_image(data)
    for end in range(len(data) // 2, len(data) - 1):
        try:
            got = read_image(data[:end] + bytes(len(data) - end))
        except ImageError:
            continue
        np.testing.assert_array_equal(got, whole)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(SMALL)), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4)
)
@example("tiff-grey", [(0.0, 1)])
def test_damage_gives_an_image_or_an_image_error(kind: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(SMALL[kind])
    for place, mask in flips:
        data[int(place * (len(data) - 1))] ^= mask
    try:
        got = read_image(bytes(data), name="part", page=0, limits=ReadingLimits(max_pixels=1_000_000))
    except ImageError as error:
        assert "part" in str(error)
        assert "\n" not in str(error)
    else:
        assert got.ndim == 3
        assert got.shape[2] in (1, 3)
        assert got.dtype in (np.uint8, np.uint16)


def test_damage_writes_nothing_to_stderr_or_logs(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for kind, data in SMALL.items():
            read_image(data, page=0)
            # pydicom warns of damaged headers, and warnings cannot be silenced for one thread
            for _ in range(0 if kind == "dicom" else 40):
                damaged = bytearray(data)
                for place in random.integers(0, len(data), 3):
                    damaged[place] = random.integers(256)
                try:
                    read_image(bytes(damaged), page=0, limits=ReadingLimits(max_pixels=1_000_000))
                except ImageError:
                    continue
    assert caught == []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_pixels_of_a_png_is_found() -> None:
    data = bytearray(SMALL["png-grey"])
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ImageError, match="the checksum of its IDAT part is wrong; copy or save the image again"):
        read_image(bytes(data))


@pytest.mark.parametrize(("logger", "kind"), [("tifffile", "tiff-grey"), ("imagecodecs", "png-rgb16-interlaced")])
def test_other_users_of_a_decoder_keep_their_log(logger: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    read_image(SMALL[kind])
    with caplog.at_level(logging.WARNING, logger):
        logging.getLogger(logger).warning("of another thread")
    assert "of another thread" in caplog.text


def test_the_cause_is_chained() -> None:
    with pytest.raises(ImageError) as raised:
        read_image(tiff([tiff_tags(4, 4, bytes(15))]))
    assert isinstance(raised.value.__cause__, ValueError)


# Files


@pytest.mark.parametrize("kind", not_images())
def test_files_that_are_no_images_say_what_they_are(kind: str, tmp_path: Path) -> None:
    data, words = not_images()[kind]
    path = tmp_path / "part.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=re.escape(words)) as raised:
        read_image(path)
    assert str(path) in str(raised.value)


def test_each_way_in_which_a_file_cannot_be_opened_has_its_sentence(tmp_path: Path) -> None:
    missing, empty, pipe = tmp_path / "missing.png", tmp_path / "empty.png", tmp_path / "pipe.png"
    empty.touch()
    cases: list[tuple[Any, str]] = [
        (missing, "missing.png does not exist: check the path"),
        (str(missing), "does not exist"),
        (tmp_path, "is a folder where an image is meant"),
        (empty, r"empty.png is empty \(0 bytes\)"),
        (b"", r"the image is empty \(0 bytes\)"),
        ("null\0character", "cannot be opened"),
        ([1, 2], "must be a path, bytes, a PIL image or an array, got list"),
        (None, "got None: check where it comes from"),
        (io.BytesIO(b"x"), r"got BytesIO: give the bytes that its read\(\) returns"),
        (bytearray(b"x"), r"got bytearray: give bytes\(\.\.\.\) of it"),
        (
            "iVBORw0KGgo" * 500,
            r"^iVBORw0KGgo.{,60} is no path, as no file has so long a name: give the image itself as",
        ),
    ]
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
        cases.append((pipe, "is a device or a pipe"))
    for source, words in cases:
        with pytest.raises(ImageError, match=words):
            read_image(source)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(SMALL["png-grey"])
    path.chmod(0)
    with pytest.raises(ImageError, match="may not be read by this user"):
        read_image(path)


def test_permission_errors_have_their_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(SMALL["png-grey"])

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"part.png may not be read by this user: change its permissions"):
        read_image(path)


@pytest.mark.parametrize("kind", SMALL)
def test_paths_and_bytes_of_any_name_give_the_same(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image with another extension.txt"
    path.write_bytes(SMALL[kind])
    for source in (path, str(path)):
        same(read_image(source, page=0), read_image(SMALL[kind], page=0))


def test_errors_name_the_page_or_what_the_caller_says(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    path.write_bytes(tiff([tiff_tags(4, 4, bytes(16)), tiff_tags(4, 4, bytes(16), t262=None)]))
    with pytest.raises(ImageError, match=r"stack\.tif#2 is a damaged TIFF"):
        read_image(path, page=1)
    with pytest.raises(ImageError, match=r"^upload 7 is a damaged TIFF"):
        read_image(path, page=1, name="upload 7")


# Channels and depth


def test_fit_channels_loses_nothing() -> None:
    grey, colour = noise(1, 6, 8, 1, dtype=np.uint16), noise(2, 6, 8, 3, dtype=np.uint16)
    assert fit_channels(grey, 1, "a") is grey
    assert fit_channels(colour, 3, "a") is colour
    three = fit_channels(grey, 3, "a")
    same(three, np.concatenate([grey] * 3, axis=2))
    same(fit_channels(three, 1, "a"), grey)
    for channel in range(3):
        almost = three.copy()
        almost[3, 4, channel] ^= 1
        with pytest.raises(ImageFormatError, match=r"^a\.png is a colour image, but the model takes grey images"):
            fit_channels(almost, 1, "a.png")
    four = noise(4, 6, 8, 4)
    assert fit_channels(four, 4, "a") is four
    with pytest.raises(ImageFormatError, match=r"^a must have 2 channels for this model, got 1 channel \(grey\): "):
        fit_channels(grey, 2, "a")
    with pytest.raises(ImageFormatError, match=r"^a must have 3 channels \(colour\) for this model, got 4 channels: "):
        fit_channels(four, 3, "a")
    for number in (0, 17):
        with pytest.raises(SettingError, match="channels must be 1"):
            fit_channels(grey, number, "a")


def test_require_depth_refuses_the_other_depth() -> None:
    require_depth(noise(1, 2, 2, 1), np.uint8, "a")
    require_depth(noise(1, 2, 2, 1, dtype=np.uint16), "uint16", "a")
    with pytest.raises(ImageFormatError, match=r"^a\.png has 8 bits a channel, the model takes 16: "):
        require_depth(noise(1, 2, 2, 1), np.uint16, "a.png")
    with pytest.raises(ImageFormatError, match=r"^a\.png has 16 bits a channel, the model takes 8: "):
        require_depth(noise(1, 2, 2, 1, dtype=np.uint16), np.uint8, "a.png")


# Threads


def test_many_threads_read_the_same_as_one(tmp_path: Path) -> None:
    paths = []
    for kind, data in SMALL.items():
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(data)
    expected = [read_image(path, page=0) for path in paths]
    start = threading.Barrier(8)

    def read_all(_: int) -> list[NDArray[Any]]:
        start.wait()
        return [read_image(path, page=0) for path in paths for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(read_all, range(8)):
            for index, image in enumerate(got):
                np.testing.assert_array_equal(image, expected[index // 3])
