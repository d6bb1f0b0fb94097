import json
import math
from typing import Any

import pytest

from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import SettingError

NOT_NUMBERS = (math.nan, math.inf, -math.inf, "0.1", None, True)

BAD: list[tuple[str, Any, str]] = [
    *(
        (name, value, f"{name} must be a number from 0 to 1, got {value!r}")
        for name in ("brightness", "noise")
        for value in (-0.01, 1.01, *NOT_NUMBERS)
    ),
    *(
        (name, value, f"{name} must be a number from 0 to below 1, got {value!r}")
        for name in ("contrast", "gamma")
        for value in (-0.01, 1, 1.0, 2, *NOT_NUMBERS)
    ),
    *(
        (name, value, f"{name} must be a number from 0 to 0.5, got {value!r}")
        for name in ("shift", "scale")
        for value in (-0.01, 0.51, *NOT_NUMBERS)
    ),
    *(("blur", value, f"blur must be a number of pixels from 0 to 20, got {value!r}") for value in (-1, 21, math.nan)),
    *(
        ("rotation", value, f"rotation must be a number of degrees from 0 to 180, got {value!r}")
        for value in (-1, 180.5, 360, *NOT_NUMBERS)
    ),
    *(
        ("jpeg", value, f"jpeg must be a whole number from 1 to 100, or 0 for no compression, got {value!r}")
        for value in (-1, 101, 75.0, "75", None, True, math.nan)
    ),
    *(
        (name, value, f"{name} must be True or False, got {value!r}")
        for name in ("flip_horizontal", "flip_vertical")
        for value in (0, 1, "no", None)
    ),
    *(("border", value, f"border must be one of mirror, edge, constant, got {value!r}") for value in ("wrap", None, 0)),
]
BAD_LEVELS = (-1, 65_536, *NOT_NUMBERS[:-2], True)


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_value_is_refused_with_what_it_must_be(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        AugmentationSettings(**{name: value})
    assert str(caught.value) == message


@pytest.mark.parametrize("value", BAD_LEVELS)
def test_a_border_level_must_be_a_level(value: Any) -> None:
    with pytest.raises(SettingError) as caught:
        AugmentationSettings(border="constant", border_level=value)
    assert str(caught.value) == f"border_level must be a level from 0 to 65535, got {value!r}"


def test_a_border_level_that_would_not_be_used_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        AugmentationSettings(border_level=7)
    assert str(caught.value) == (
        "border_level must be left out unless border is 'constant', got 7.0 with 'mirror': set border to 'constant'"
    )


def test_every_setting_is_refused_for_some_value_and_says_what_it_is() -> None:
    names = set(AugmentationSettings.model_fields)
    assert names == {name for name, _, _ in BAD} | {"border_level"}
    for entry in AugmentationSettings.model_fields.values():
        assert entry.description


@pytest.mark.parametrize(
    "ends",
    [
        {"brightness": 0, "contrast": 0, "gamma": 0, "noise": 0, "blur": 0, "jpeg": 0, "shift": 0, "rotation": 0},
        {"brightness": 1, "contrast": 0.999, "gamma": 0.999, "noise": 1, "blur": 20, "jpeg": 100, "shift": 0.5},
        {"jpeg": 1, "rotation": 180, "scale": 0.5, "border": "constant", "border_level": 65_535},
        {"scale": 0, "border": "constant", "border_level": 0},
    ],
)
def test_the_ends_of_what_is_allowed_are_allowed_and_come_back_from_json(ends: dict[str, Any]) -> None:
    settings = AugmentationSettings(**ends)
    assert AugmentationSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
