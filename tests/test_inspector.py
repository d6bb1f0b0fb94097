"""What holds of an inspector whatever the model; what holds of every method is in test_detector_contract."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.errors import ImageError, ImageTooLargeError, SettingError
from textures import texture, with_defect


@pytest.fixture(scope="module")
def inspector(model_path: Path) -> onlygood.Inspector:
    return onlygood.Inspector(model_path)


@pytest.fixture
def forms(tmp_path: Path) -> dict[str, Any]:
    """One image as everything that an inspector takes."""
    image = with_defect(texture(100))
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    return {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "PIL": Image.fromarray(image),
        "array": image,
        "array with a channel": image[:, :, None],
        "array in colour": np.repeat(image[:, :, None], 3, axis=2),
        "array that is not contiguous": np.asfortranarray(image),
    }


def test_every_form_of_an_image_gets_the_same_verdict(inspector: onlygood.Inspector, forms: dict[str, Any]) -> None:
    first = inspector(forms["path"])
    for kind, form in forms.items():
        result = inspector(form)
        assert (result.score, result.p_value, result.is_anomaly) == (first.score, first.p_value, True), kind
        np.testing.assert_array_equal(result.anomaly_map, first.anomaly_map)


def test_none_as_opencv_gives_it_for_an_unreadable_file_is_named(inspector: onlygood.Inspector) -> None:
    sentence = (
        r"image 1 must be a path, .* got None: check where it comes from, as cv2\.imread gives None for a file that"
    )
    (_, error) = inspector.map([texture(1), None])  # type: ignore[list-item]
    with pytest.raises(ImageError, match=sentence):
        raise error  # type: ignore[misc]


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
@pytest.mark.parametrize(
    "settings", [{}, {"with_map": False}, {"by_occlusion": True}, {"threshold": 0.5}, {"max_pixels": 9}, {"threads": 1}]
)
def test_a_pickled_inspector_gives_the_same(again: Any, settings: dict[str, Any], model_path: Path) -> None:
    one = onlygood.Inspector(model_path, **settings)
    other = again(one)
    assert (repr(other), other.metadata, other.is_recalibrated) == (repr(one), one.metadata, one.is_recalibrated)
    if "max_pixels" in settings:
        with pytest.raises(ImageTooLargeError):
            other(texture(100))
        return
    first, second = one(texture(100)), other(texture(100))
    assert (first.score, first.p_value) == (second.score, second.p_value)
    np.testing.assert_array_equal(first.anomaly_map, second.anomaly_map)
    assert other.for_many()(texture(100)).score == first.score


def test_a_pickled_inspector_is_audited(inspector: onlygood.Inspector) -> None:
    content = inspector.file.content
    data = pickle.dumps(inspector)
    at = data.index(content) + len(content) // 2
    with pytest.raises(onlygood.ModelFileError):
        pickle.loads(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_the_name_is_the_path_or_the_one_given(inspector: onlygood.Inspector, forms: dict[str, Any]) -> None:
    assert inspector(forms["path"]).name == str(forms["path"])
    assert inspector(forms["path"], name="lot 7").name == "lot 7"
    assert inspector(forms["array"]).name == "the image"


def test_numbers_are_python_numbers_and_the_latency_is_positive(
    inspector: onlygood.Inspector, forms: dict[str, Any]
) -> None:
    result = inspector(forms["array"])
    assert [type(value) for value in (result.score, result.p_value, result.is_anomaly)] == [float, float, bool]
    assert 0 < result.latency_ms < 60_000


def test_a_page_of_a_tiff_is_inspected(inspector: onlygood.Inspector, tmp_path: Path) -> None:
    pages = [Image.fromarray(texture(100)), Image.fromarray(with_defect(texture(101)))]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    found = [inspector(tmp_path / "stack.tif", page=page).is_anomaly for page in (0, 1)]
    assert found == [False, True]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("none.png", "none.png does not exist"),
        (b"", "the image is empty"),
        (b"8BPS" + bytes(50), "the image is a Photoshop document, which is not read: save it as PNG"),
        (np.zeros((4, 4)), "the image must be of type uint8 or uint16, got float64"),
        (np.zeros((4, 4, 2), np.uint8), "the image must have the shape"),
        (np.zeros((0, 4), np.uint8), "the image must have at least one pixel"),
        (None, "the image must be a path, bytes, a PIL image or an array, got None: check"),
    ],
)
def test_what_is_no_image_is_refused(inspector: onlygood.Inspector, image: Any, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        inspector(image)
    assert str(caught.value).startswith(message)


def test_the_limits_hold(model_path: Path) -> None:
    inspector = onlygood.Inspector(model_path, max_pixels=9000, max_bytes=500)
    with pytest.raises(ImageTooLargeError, match="9,216 pixels, and at most 9,000"):
        inspector(texture(100))
    written = io.BytesIO()
    Image.fromarray(texture(100)).save(written, "PNG")
    with pytest.raises(ImageTooLargeError, match="and at most 500 are read"):
        inspector(written.getvalue())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"provider": "abacus"}, r"the provider must be one that .* has \(.*cpu.*\), got 'abacus'"),
        ({"threads": -1}, "threads must be 0"),
        ({"max_pixels": 0}, "max_pixels must be a whole number of at least 1"),
        ({"max_bytes": 1.5}, "max_bytes must be a whole number of at least 1"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(model_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        onlygood.Inspector(model_path, **settings)


def test_map_levels_are_ordered_and_hardly_any_good_image_reaches_the_upper_one(
    inspector: onlygood.Inspector,
) -> None:
    typical, high = inspector.map_levels
    assert typical < high
    results = [inspector(texture(seed)).anomaly_map for seed in range(300, 320)]
    # At a rate of 0.1, 2 of 20 are expected to; seven or more have a probability of 0.002.
    assert sum(bool((levels > high).any()) for levels in results if levels is not None) < 7
    # Patch scores are in units from their median, so that what is typical lies near 0.
    found = np.median([np.median(levels) for levels in results if levels is not None])
    assert found == pytest.approx(typical, abs=0.2 * (high - typical))


def test_a_score_that_is_not_finite_is_an_error_and_never_a_verdict(
    inspector: onlygood.Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = np.array([np.nan], np.float32)
    monkeypatch.setattr("onlygood.inspector.run", lambda *_: [nan, nan, np.array([False]), np.zeros((1, 9, 9))])
    with pytest.raises(ImageError, match=r"a\.png has a score that is not finite, nan"):
        inspector(texture(0), name="a.png")
