"""Images that differ in kind from the good ones: what is found, and what a person is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import onlygood
from hostile import encoded
from onlygood.images.kinds import format_of_source, kind_of
from onlygood.kind_notes import Difference, difference_notes, differences, kinds_facts
from onlygood.metadata import GoodImagesFacts
from textures import GOOD, save, texture, textures

Array = Any


def facts(images: list[Array], file_format: str | None = "PNG") -> GoodImagesFacts:
    heights, widths = zip(*(image.shape[:2] for image in images), strict=True)
    return GoodImagesFacts(
        count=len(images),
        unreadable=0,
        heights=(min(heights), max(heights)),
        widths=(min(widths), max(widths)),
        sha256="0" * 64,
        kinds=kinds_facts([kind_of(image, file_format) for image in images]),
    )


def aspects(image: Array, good: GoodImagesFacts, file_format: str | None = "PNG") -> list[str]:
    return [each.aspect for each in differences(kind_of(image, file_format), good)]


def grey(seed: int, height: int = 96, width: int = 96) -> Array:
    return texture(seed, (height, width))[:, :, None]


def colour(seed: int) -> Array:
    """A reddish texture."""
    return np.clip(grey(seed) * np.array([1.0, 0.7, 0.4]), 0, 255).astype(np.uint8)


def test_an_image_like_the_good_ones_has_no_difference() -> None:
    assert aspects(grey(9), facts([grey(seed) for seed in range(5)])) == []


def test_size_and_aspect_ratio_are_compared_strictly_where_all_good_images_have_one() -> None:
    good = facts([grey(seed) for seed in range(5)])
    assert aspects(grey(9, 192, 192), good) == ["size"]
    assert aspects(grey(9, 96, 97), good) == ["size"]
    assert aspects(grey(9, 96, 128), good) == ["size", "aspect ratio"]
    several = facts([grey(0, 90, 100), grey(1, 110, 100), grey(2, 100, 100)])
    assert aspects(grey(9, 120, 120), several) == []
    assert aspects(grey(9, 200, 200), several) == ["size"]


def test_good_images_of_several_sizes_are_noted() -> None:
    images = [texture(seed, (96, 96) if seed < 6 else (96, 192)) for seed in range(9)]
    method = onlygood.Knn(input_size=64, taps=("stage4",))
    model = onlygood.fit(images, method=method, false_alarm_rate=0.2)
    (note,) = [note for note in model.notes if "differ in size" in note]
    assert note.startswith(
        "The good images differ in size, from 96 x 96 (image 0) to 192 x 96 (image 8) pixels: all are"
    )
    alike = onlygood.fit(images[:6], method=method, false_alarm_rate=0.2)
    cropped = onlygood.fit([*images[:6], texture(9, (110, 90))], method=method, false_alarm_rate=0.2)
    asked_for = onlygood.fit(images, method=method, sizes=(48,), false_alarm_rate=0.2)
    for other in (alike, cropped, asked_for):
        assert not [note for note in other.notes if "differ in size" in note]


def test_the_note_on_an_aspect_ratio_is_english_and_says_more_than_zero() -> None:
    good = facts([grey(seed) for seed in range(5)])
    (_, found) = differences(kind_of(grey(9, 500, 1), None), good)
    (note,) = difference_notes([("line.png", [found])], 2)
    assert note.startswith(
        "1 of 2 images has an aspect ratio that no good image had (line.png is 0.002; the good ones 1), so that"
    )


def test_the_format_counts_where_all_good_images_are_files() -> None:
    images = [grey(seed) for seed in range(5)]
    assert aspects(grey(9), facts(images, "JPEG"), "PNG") == ["format"]
    assert aspects(grey(9), facts(images, "JPEG"), None) == []
    assert aspects(grey(9), facts(images, None), "PNG") == []


def test_bits_and_colour_are_compared() -> None:
    twelve = [(grey(seed).astype(np.uint16) << 4) for seed in range(5)]
    assert aspects(twelve[0], facts(twelve)) == []
    assert aspects(twelve[0] << 4, facts(twelve)) == ["depth"]
    assert aspects(twelve[0] >> 4, facts(twelve)) == ["depth"]
    assert aspects(grey(9), facts([colour(seed) for seed in range(5)])) == ["colour"]


def test_blur_is_found_and_a_dark_defect_is_none() -> None:
    good = facts([grey(seed) for seed in range(8)])
    blurred = np.asarray(Image.fromarray(grey(9)[:, :, 0]).filter(ImageFilter.GaussianBlur(2)))[:, :, None]
    (found,) = differences(kind_of(blurred, "PNG"), good)
    assert found.aspect == "sharpness"
    assert found.found.startswith("blurred, 0.0")
    noisy = np.clip(grey(9) + np.random.default_rng(0).normal(0, 60, (96, 96, 1)), 0, 255).astype(np.uint8)
    assert differences(kind_of(noisy, "PNG"), good)[0].found.startswith("sharper or noisier")
    defect = grey(9).copy()
    defect[20:50, 20:50] = 0
    assert aspects(defect, good) == []


def test_models_of_older_files_compare_sizes_alone() -> None:
    good = facts([grey(seed) for seed in range(5)]).replaced(kinds=None)
    assert aspects(grey(9, 50, 90), good, "JPEG") == ["size"]


def test_formats_are_told_by_content(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(encoded(grey(0)[:, :, 0], "JPEG"))
    assert format_of_source(tmp_path / "x.png") == "JPEG"
    assert format_of_source(encoded(grey(0)[:, :, 0], "PNG")) == "PNG"
    assert format_of_source(grey(0)) is None
    assert format_of_source(tmp_path / "gone.png") is None


def test_notes_sum_up_each_aspect_once() -> None:
    size = Difference("size", "1440 x 1440 pixels", "256 x 256")
    notes = difference_notes([("a.png", [size]), ("b.png", [size])], 6)
    assert notes == [
        "2 of 6 images have a size that no good image had (a.png, b.png are 1440 x 1440 pixels; the good ones 256 x "
        "256), so that scores and the false-alarm rate may not hold: fit with images of the size that will be "
        "inspected, or with --sizes."
    ]
    assert difference_notes([], 6) == []


# As a person meets them


@pytest.fixture(scope="module")
def jpeg_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jpeg")
    for number, image in enumerate(textures(GOOD)):
        Image.fromarray(image).save(folder / f"{number}.jpg", quality=90)
    model = onlygood.fit(folder, method=onlygood.Knn(input_size=64))
    model.save(folder / "part.onnx")
    return folder / "part.onnx"


def test_inspect_notes_another_size_and_format_and_json_has_them(run: Any, jpeg_model: Path, tmp_path: Path) -> None:
    save(tmp_path, {f"{number}.png": texture(50 + number, (300, 300)) for number in range(3)})
    ran = run("inspect", jpeg_model, tmp_path, "--json")
    assert "note: 3 of 3 images have a size that no good image had (300 x 300 pixels; the good ones 96 x 96)" in ran.err
    assert "note: 3 of 3 images have a format that no good image had (PNG; the good ones JPEG)" in ran.err
    found = [json.loads(line)["differences"] for line in ran.out.splitlines()]
    assert {"aspect": "size", "found": "300 x 300 pixels", "expected": "96 x 96"} in found[0]
    assert run("inspect", jpeg_model, tmp_path, "--quiet").err == ""


def test_evaluate_says_that_the_format_alone_may_tell_defects_from_good_images(
    run: Any, jpeg_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "good").mkdir()
    for number in range(4):
        Image.fromarray(texture(60 + number)).save(tmp_path / "good" / f"{number}.jpg", quality=90)
    save(tmp_path / "bad", {f"{number}.png": texture(70 + number) for number in range(4)})
    ran = run("evaluate", jpeg_model, tmp_path, "--report", tmp_path / "page.html")
    said = (
        "The format alone tells most test images apart: 4 of 4 anomalous and 0 of 4 good ones have one that no good "
        "image of the model had. What is measured may be that and no defect"
    )
    assert said in ran.err
    assert said in (tmp_path / "page.html").read_text()


def test_blue_first_is_noted_and_can_be_said(tmp_path: Path) -> None:
    model = onlygood.fit(
        [colour(seed) for seed in range(GOOD)], method=onlygood.Knn(input_size=64), false_alarm_rate=0.2
    )
    new = [colour(40 + seed) for seed in range(4)]
    swapped = [np.ascontiguousarray(image[:, :, ::-1]) for image in new]
    plain, from_opencv = onlygood.Inspector(model), onlygood.Inspector(model, channel_order="bgr")
    for image, other in zip(new, swapped, strict=True):
        as_it_is = plain(other)
        assert as_it_is.is_anomaly
        (found,) = [each for each in as_it_is.differences if each.aspect == "channel order"]
        assert "with red and blue swapped instead of" in found.found
        assert from_opencv(other).score == plain(image).score
        assert not [each for each in plain(image).differences if each.aspect == "channel order"]
    named = [onlygood.NamedImage("a", swapped[0], channel_order="bgr"), onlygood.NamedImage("b", new[0])]
    scores = [each.score for each in plain.map(named) if isinstance(each, onlygood.Inspection)]
    assert scores[0] == scores[1]
    path = save(tmp_path, {"a.png": new[0]}) / "a.png"
    assert from_opencv(path).score == plain(path).score  # a file says its own order
    with pytest.raises(onlygood.SettingError, match="channel_order must be 'rgb' or 'bgr', got 'gbr'"):
        onlygood.Inspector(model, channel_order="gbr")  # type: ignore[arg-type]
    notes = difference_notes([("a", plain(swapped[0]).differences)], 1)
    assert any("1 of 1 images fits the good ones much better" in note for note in notes)
