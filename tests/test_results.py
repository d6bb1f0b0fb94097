import json
import math

import numpy as np
import pytest

from onlygood.guarantee import Guarantee
from onlygood.rates import format_rate, images_needed
from onlygood.results import Inspection

GUARANTEE = Guarantee(
    requested_rate=0.05, stated_rate=0.05, is_exact=True, calibration_images=40, groups=40, fitted_images=80
)


def guarantee(**changes: object) -> Guarantee:
    return Guarantee(**{**GUARANTEE.__dict__, **changes})  # type: ignore[arg-type]


def test_an_exact_guarantee_says_by_which_argument() -> None:
    first, last = GUARANTEE.sentences
    assert first == (
        "At most 0.05 of good images will be called anomalous (exact, by split conformal calibration on 40 good "
        "images that the detector has not seen)."
    )
    assert last == "This holds for images taken as these were; a new session, lens or lamp asks for a new fit."


def test_an_approximate_guarantee_says_so() -> None:
    assert "(approximate, by leave-one-out over 40 good images)" in guarantee(is_exact=False).sentences[0]


@pytest.mark.parametrize(("folds", "said"), [(5, "5 folds"), (3, "3 folds")])
def test_a_guarantee_by_cross_fitting_says_in_how_many_folds(folds: int, said: str) -> None:
    first = guarantee(is_exact=False, folds=folds).sentences[0]
    assert f"(approximate, by cross-fitting in {said} over 40 good images)" in first
    assert guarantee(is_exact=False, folds=folds).to_dict()["folds"] == folds


def test_groups_are_mentioned_where_they_are_fewer_than_images() -> None:
    assert "40 good images in 7 independent groups" in guarantee(groups=7).sentences[0]
    assert "group" not in GUARANTEE.sentences[0]


@pytest.mark.parametrize(("groups", "unit"), [(40, "images"), (9, "independent groups of images")])
def test_a_rate_that_cannot_be_guaranteed_says_what_can(groups: int, unit: str) -> None:
    rate = 1 / (groups + 1)
    said = guarantee(requested_rate=0.01, stated_rate=rate, groups=groups).sentences
    assert said[1] == (
        f"The rate asked for, 0.01, needs at least 99 {unit} to calibrate with, got {groups}: the threshold is the "
        f"highest calibration score; add images, or ask for {rate:.3g}."
    )


def test_augmentations_do_not_count_where_images_are_missing() -> None:
    said = guarantee(requested_rate=0.01, stated_rate=1 / 41, augmentations=500).sentences
    assert said[1].endswith("add images (augmentations do not count), or ask for 0.0244.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "80 good images"),
        ({"fitted_images": 10, "augmentations": 190}, "10 good images and 190 augmentations of them"),
        ({"fitted_images": 1, "augmentations": 1}, "1 good image and 1 augmentation of it"),
        ({"golden_images": 1}, "80 augmentations of 1 golden image"),
        ({"golden_images": 3}, "80 augmentations of 3 golden images"),
    ],
)
def test_what_was_learned_from_is_said_in_words(changes: dict[str, int], words: str) -> None:
    assert guarantee(**changes).learned_from == words


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.03, 0.05, 0.1, 0.3, 0.5, 0.9])
def test_groups_needed_are_the_fewest_n_with_one_in_n_plus_one_at_most_the_rate(rate: float) -> None:
    needed = guarantee(requested_rate=rate).groups_needed
    assert 1 / (needed + 1) <= rate * (1 + 1e-9)
    assert needed == 1 or 1 / needed > rate
    assert not math.isinf(needed)


def test_a_guarantee_is_plain_json_and_holds_its_words() -> None:
    written = json.loads(json.dumps(GUARANTEE.to_dict()))
    assert written["statement"] == " ".join(GUARANTEE.sentences)
    assert {key: value for key, value in written.items() if key != "statement"} == GUARANTEE.__dict__


def test_an_inspection_is_plain_json_without_its_map() -> None:
    inspection = Inspection(
        name="a.png",
        score=-1.25,
        p_value=0.5,
        is_anomaly=False,
        anomaly_map=np.zeros((2, 2), np.float32),
        latency_ms=1.23456,
    )
    assert json.loads(json.dumps(inspection.to_dict())) == {
        "name": "a.png",
        "is_anomaly": False,
        "score": -1.25,
        "p_value": 0.5,
        "latency_ms": 1.235,
        "regions": None,
        "differences": [],
    }


@pytest.mark.parametrize("groups", [2, 3, 5, 12, 18, 46, 99, 252, 999])
def test_who_asks_for_the_rate_that_is_offered_gets_it(groups: int) -> None:
    least = 1 / (groups + 1)
    offered = float(format_rate(least))
    assert least <= offered <= 1.01 * least
    assert images_needed(offered) <= groups


def test_round_rates_are_shown_as_they_are() -> None:
    assert [format_rate(rate) for rate in (0.01, 0.05, 0.25, 0.001)] == ["0.01", "0.05", "0.25", "0.001"]
