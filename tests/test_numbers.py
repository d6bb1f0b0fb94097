"""Numbers at the ends of what a computer can hold, and numbers that NumPy holds."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from flat import kind_of
from onlygood._plain import plain
from onlygood.errors import OnlygoodError, SettingError
from onlygood.images.limits import ReadingLimits
from onlygood.settings import FitSettings
from onlygood.validation import Settings, value_type
from textures import FAST_POOLED, numbered, save, texture, textures, with_defect

SUBNORMAL = [5e-324, 1e-320, 1e-310, 2.2e-308]
NEAR_ONE = [0.9999999999999999, 1 - 1e-16, 1.0, 1.0000000000000002]
HUGE = [1e16, 1e200, 1.7976931348623157e308, 2**31, 2**63, 2**64, 10**400]
ODD = [*SUBNORMAL, *NEAR_ONE, *HUGE, -0.0, -5e-324, 1e-200, 0, -1, True, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("rate", [5e-324, 1e-320, 1e-310, 9.9e-10, 0.9999999999999999, 1 - 1e-10])
def test_a_rate_of_which_no_number_of_images_says_anything_is_refused(
    rate: float, run: Any, model_path: Path, good_folder: Path, tmp_path: Path
) -> None:
    said = (
        "must be from 1e-09 to 0.999999999, since no number of images says anything of rates beyond, got "
        f"{rate!r}: give one that a person can check"
    )
    with pytest.raises(SettingError, match=re.escape(f"false_alarm_rate {said}")):
        onlygood.fit(good_folder, false_alarm_rate=rate)
    for use in (onlygood.Inspector, onlygood.calibrate):
        with pytest.raises(SettingError, match=re.escape(f"the false-alarm rate {said}")):
            use(model_path, false_alarm_rate=rate)  # type: ignore[operator]
    for line in (
        ("fit", good_folder, "-o", tmp_path / "part.onnx"),
        ("calibrate", model_path, "-o", tmp_path / "part.onnx"),
        ("inspect", model_path, good_folder),
        ("evaluate", model_path, good_folder),
    ):
        ran = run(*line, "--false-alarm-rate", f"{rate:.17g}")
        assert ran.code == 2
        assert ran.err.startswith("onlygood: ") and said in ran.err


def test_the_lowest_and_the_highest_rate_can_be_asked_for(good_images: list[Any]) -> None:
    for rate in (1e-9, 1 - 1e-9):
        for rule in ("conformal", "estimated"):
            settings = {**FAST_POOLED, "threshold_rule": rule, "false_alarm_rate": rate}
            model = onlygood.fit(
                good_images[:6],
                method=onlygood.Knn(input_size=settings.pop("input_size"), taps=settings.pop("taps")),
                **settings,
            )
            json.dumps(model.metadata.to_dict(), allow_nan=False)
            assert model.guarantee.requested_rate == rate


def numbers_of(kind: type[Settings]) -> list[str]:
    return [name for name, field in kind.model_fields.items() if value_type(field) in (int, float)]


def is_refused_or_right(make: Any) -> bool:
    """Whether it is refused with an error of ours; anything else that is raised fails the test."""
    try:
        make()
    except OnlygoodError as error:
        assert "\n" not in str(error)
        return True
    return False


@pytest.mark.parametrize("name", [*numbers_of(FitSettings), "window"])
def test_odd_numbers_for_a_fit_are_refused_or_give_a_model(name: str, good_images: list[Any]) -> None:
    beside = {"calibration": "split"} if name == "calibration_fraction" else {}
    refused = 0
    for value in ODD:
        if name == "augment" and value > 100:
            continue  # so many images would be made
        given = (0, value) if name == "window" else value
        settings = {"false_alarm_rate": 0.3, **beside, name: given}
        method = onlygood.Mahalanobis(input_size=64, taps=("stage4",))
        refused += is_refused_or_right(lambda: onlygood.fit(good_images[:5], method=method, **settings))  # noqa: B023
    assert refused >= 8


@pytest.mark.parametrize("name", numbers_of(onlygood.AugmentationSettings))
def test_odd_numbers_for_augmentations_are_refused_or_give_images(name: str) -> None:
    from onlygood.augmentation.drawing import draw_change

    beside = {"border": "constant"} if name == "border_level" else {}
    refused = 0
    for value in ODD:
        refused += is_refused_or_right(
            lambda: draw_change(onlygood.AugmentationSettings(**beside, **{name: value}), seed=0, number=1)  # noqa: B023
        )
    assert refused >= 8


@pytest.mark.parametrize("name", ["false_alarm_rate", "threads", "max_pixels", "max_bytes", "page", "threads of map"])
def test_odd_numbers_for_an_inspection_are_refused_or_give_a_verdict(
    name: str, model_path: Path, good_folder: Path
) -> None:
    image = good_folder / "00.png"

    def inspect(value: Any) -> None:
        if name == "page":
            onlygood.read_image(image, page=value)
        elif name == "threads of map":
            list(onlygood.Inspector(model_path).map([image], threads=value))
        else:
            onlygood.Inspector(model_path, **{name: value})(image)

    assert sum(is_refused_or_right(lambda value=value: inspect(value)) for value in ODD) >= 8


@pytest.mark.parametrize("name", ["cost_false_alarm", "cost_miss", "anomaly_share"])
def test_odd_costs_are_refused_or_give_advice(name: str, model_path: Path, tmp_path: Path) -> None:
    test = save(tmp_path, {"good/a.png": texture(1), "crack/a.png": with_defect(texture(2))})

    def evaluate(value: Any) -> None:
        costs = {"cost_false_alarm": 1.0, "cost_miss": 1.0, name: value}
        found = onlygood.evaluate(model_path, test, **costs)
        json.dumps(found.to_dict(), allow_nan=False)

    assert sum(is_refused_or_right(lambda value=value: evaluate(value)) for value in ODD) >= 5
    with pytest.raises(
        SettingError, match=re.escape("cost_miss must be at most 1e+100, got 1e+200: count in a larger")
    ):
        onlygood.evaluate(model_path, test, cost_false_alarm=1.0, cost_miss=1e200)


def test_a_perplexity_that_no_float_can_hold_is_refused(model_path: Path, good_folder: Path) -> None:
    with pytest.raises(SettingError, match="perplexity must be at least 1 and below the number of images, 16, got 100"):
        onlygood.explore(model_path, good_folder, perplexity=10**400)


def of_python(value: Any) -> bool:
    """Whether it is made of what JSON has, and of nothing that only behaves like it."""
    if isinstance(value, dict):
        return all(type(key) is str and of_python(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(of_python(each) for each in value)
    return value is None or type(value) in (bool, int, float, str)


def test_numbers_of_numpy_are_the_plain_numbers_that_they_stand_for() -> None:
    for value, wanted in (
        (np.float64(0.05), 0.05),
        (np.float32(0.05), 0.05),
        (np.float16(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.int64(-3), -3),
        (np.uint8(200), 200),
        (np.bool_(True), True),
        (np.str_("folder"), "folder"),
        ((np.int64(1), [np.float32(2.5)]), (1, [2.5])),
    ):
        assert plain(value) == wanted
        assert of_python(plain(value))
    array = np.zeros(2)
    assert plain(array) is array


def test_a_fit_with_numbers_of_numpy_is_the_one_with_plain_numbers(good_images: list[Any]) -> None:
    def fitted(method: Any, **settings: Any) -> onlygood.Model:
        return onlygood.fit(good_images[:8], method=method, **settings)

    theirs = fitted(
        onlygood.Patch(input_size=np.int64(64), bank_size=np.uint16(50), top_fraction=np.float32(0.02)),
        false_alarm_rate=np.float32(0.1),
        augment=np.int32(10),
        augmentation=onlygood.AugmentationSettings(
            rotation=np.float64(2), jpeg=np.int8(90), flip_vertical=np.bool_(True)
        ),
        rotations=np.int64(1),
        window=(np.float32(0), np.int64(255)),
        skip_unreadable=np.bool_(True),
        golden=np.bool_(False),
        max_pixels=np.int64(10**6),
        max_bytes=np.float64(1).astype(int) * 10**6,
        threads=np.int8(2),
        seed=np.int64(3),
    )
    ours = fitted(
        onlygood.Patch(input_size=64, bank_size=50, top_fraction=0.02),
        false_alarm_rate=0.1,
        augment=10,
        augmentation=onlygood.AugmentationSettings(rotation=2.0, jpeg=90, flip_vertical=True),
        window=(0.0, 255.0),
        skip_unreadable=True,
        max_pixels=10**6,
        max_bytes=10**6,
        threads=1,
        seed=3,
    )
    assert theirs.file.content == ours.file.content
    assert of_python(theirs.metadata.to_dict())


def test_numbers_of_numpy_wherever_numbers_are_taken(model_path: Path, tmp_path: Path) -> None:
    new = save(tmp_path / "new", numbered(textures(6)))
    inspector = onlygood.Inspector(
        model_path,
        false_alarm_rate=np.float32(0.2),
        threads=np.int64(1),
        with_map=np.bool_(False),  # type: ignore[arg-type]
        max_pixels=np.int64(10**6),  # type: ignore[arg-type]
        max_bytes=np.uint32(10**6),  # type: ignore[arg-type]
    )
    assert inspector.metadata.guarantee.requested_rate == 0.2
    assert of_python(inspector.metadata.to_dict())
    named = onlygood.NamedImage("a", new / "00.png", page=np.int64(0))  # type: ignore[arg-type]
    assert repr(named) == "NamedImage(name='a', page=0, channel_order=None)"
    (found,) = inspector.map([named], threads=np.int16(1))  # type: ignore[arg-type]
    assert isinstance(found, onlygood.Inspection)
    limits = ReadingLimits(max_pixels=np.int64(5))  # type: ignore[arg-type]
    assert repr(limits).startswith("ReadingLimits(max_pixels=5, ")
    assert of_python(onlygood.calibrate(model_path, false_alarm_rate=np.float64(0.2)).metadata.to_dict())
    labelled = save(tmp_path / "test", {"good/a.png": texture(1), "crack/a.png": with_defect(texture(2))})
    costs: dict[str, Any] = {
        "cost_false_alarm": np.int64(1),
        "cost_miss": np.float32(10),
        "anomaly_share": np.float32(0.1),
    }
    assert of_python(onlygood.evaluate(model_path, labelled, **costs, threads=np.int64(1)).to_dict())
    explored = onlygood.explore(model_path, new, max_images=np.int64(5), seed=np.uint8(1), perplexity=np.float32(2))
    assert len(explored.images) == 5


@pytest.mark.parametrize(
    "value", [np.array(3), np.array([3]), np.complex64(3), np.datetime64("2026-01-01"), np.void(b"3")]
)
def test_what_numpy_holds_beside_numbers_is_refused(value: Any) -> None:
    with pytest.raises(SettingError, match="seed must be a whole number from 0 to"):
        FitSettings(seed=value)
    with pytest.raises(SettingError, match="num_neighbors must be a whole number of at least 1"):
        kind_of("knn")(num_neighbors=value)


def test_a_truth_value_of_numpy_is_no_number() -> None:
    with pytest.raises(SettingError, match="seed must be a whole number from 0 to 4294967295, got True"):
        FitSettings(seed=np.bool_(True))
    with pytest.raises(SettingError, match="golden must be True or False, got 1"):
        FitSettings(golden=np.int64(1))
