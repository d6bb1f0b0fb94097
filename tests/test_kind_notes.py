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
    assert "may not hold: aspect ratio (0.002; good ones 1)" in note


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


def test_grey_in_three_channels_is_grey() -> None:
    def as_rgb(seed: int) -> np.ndarray:
        return np.repeat(grey(seed), 3, axis=2)

    assert aspects(as_rgb(9), facts([colour(seed) for seed in range(5)])) == ["colour"]
    assert aspects(as_rgb(9), facts([grey(seed) for seed in range(5)])) == []
    assert aspects(grey(9), facts([as_rgb(seed) for seed in range(5)])) == []
    assert aspects(colour(9), facts([as_rgb(seed) for seed in range(5)])) == ["colour"]


def test_blur_is_found_and_a_dark_defect_is_none() -> None:
    good = facts([grey(seed) for seed in range(8)])
    blurred = np.asarray(Image.fromarray(grey(9)[:, :, 0]).filter(ImageFilter.GaussianBlur(2)))[:, :, None]
    (found,) = differences(kind_of(blurred, "PNG"), good)
    assert found.aspect == "sharpness"
    assert found.found.startswith("blurred (0.0")
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


def test_one_note_sums_up_all_differences() -> None:
    size = Difference("size", "1440 x 1440 pixels", "256 x 256")
    png = Difference("format", "PNG", "JPEG")
    assert difference_notes([("a.png", [png, size]), ("b.png", [size])], 6) == [
        "2 of 6 images differ in kind from all good ones, so that scores and the false-alarm rate may not hold: size "
        "(1440 x 1440 pixels; good ones 256 x 256), format (of a.png: PNG; good ones JPEG); fit with images of the "
        "size that will be inspected, or with --sizes."
    ]
    assert difference_notes([("a.png", [])], 6) == []


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
    said = "3 of 3 images differ in kind from all good ones, so that scores and the false-alarm rate may not hold: "
    assert f"note: {said}size (300 x 300 pixels; good ones 96 x 96), format (PNG; good ones JPEG)" in ran.err
    found = [json.loads(line)["differences"] for line in ran.out.splitlines()]
    assert {"aspect": "size", "found": "300 x 300 pixels", "expected": "96 x 96"} in found[0]
    run("inspect", jpeg_model, tmp_path, "--report", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '"size, format"' in (tmp_path / "page.csv").read_text()
    assert said in page
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


def test_calibrate_notes_good_images_of_another_kind(jpeg_model: Path) -> None:
    new = [texture(80 + number, (192, 192)) for number in range(8)]
    (note,) = [each for each in onlygood.calibrate(jpeg_model, new).notes if "in kind" in each]
    assert note.startswith("8 of 8 images differ in kind from all good ones")
    assert "size (192 x 192 pixels; good ones 96 x 96)" in note


def test_a_model_can_be_fitted_and_calibrated_with_blue_first(run: Any, tmp_path: Path) -> None:
    good = [colour(seed) for seed in range(GOOD)]
    swapped = [np.ascontiguousarray(image[:, :, ::-1]) for image in good]
    settings: dict[str, Any] = {"method": onlygood.Knn(input_size=64), "false_alarm_rate": 0.2}
    model = onlygood.fit(swapped, channel_order="bgr", **settings)
    assert model.file.content == onlygood.fit(good, **settings).file.content
    new = [colour(40 + seed) for seed in range(6)]
    other = onlygood.calibrate(model, [image[:, :, ::-1] for image in new], channel_order="bgr")
    assert other.calibration.threshold == onlygood.calibrate(model, new).calibration.threshold
    with pytest.raises(onlygood.SettingError, match="channel_order must be 'rgb' or 'bgr', got 'BGR'"):
        onlygood.fit(swapped, channel_order="BGR", **settings)  # type: ignore[arg-type]
    assert model.metadata.input.channel_order == "rgb"
    model.save(tmp_path / "part.onnx")
    assert "takes:     uint8, colour (red, green, blue), any size" in run("info", tmp_path / "part.onnx").out


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
    (note,) = [each for each in notes if "swapped" in each]
    assert note.startswith(
        "1 of 1 images fits the good ones much better with red and blue swapped (a; the first: score "
    )
    assert note.endswith("where a file is saved: OpenCV gives blue first, say channel_order='bgr'.")


def test_a_fit_takes_arrays_with_blue_first_where_they_say_so() -> None:
    images = [colour(seed) for seed in range(GOOD)]
    said = [
        onlygood.NamedImage(f"shot {seed}", np.ascontiguousarray(image[:, :, ::-1]), channel_order="bgr")
        for seed, image in enumerate(images)
    ]
    settings: Any = {"method": onlygood.Knn(input_size=64), "false_alarm_rate": 0.2}
    model = onlygood.fit(said, **settings)
    assert model.good_images[3].name == "shot 3"
    assert [each.score for each in model.good_images] == [
        each.score for each in onlygood.fit(images, **settings).good_images
    ]
