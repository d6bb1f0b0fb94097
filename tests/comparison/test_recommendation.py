"""The rule that recommends a method, on outcomes that are made up."""

from math import comb

import pytest
from scipy.stats import binomtest

from onlygood.comparison.recommendation import (
    LEVEL,
    OPTIMISTIC,
    Outcome,
    paired_test,
    recommend,
)
from onlygood.metrics.image import exact_proportion

IMAGES = 20


def outcome(
    label: str,
    missed: set[int] | range = range(0),
    *,
    images: int = IMAGES,
    alarms: int | None = 1,
    is_contradicted: bool = False,
    latency_ms: float = 50.0,
) -> Outcome:
    """A method that missed the images of these numbers."""
    return Outcome(
        label=label,
        missed={f"bad/{number}.png": number in missed for number in range(images)},
        false_alarms=None if alarms is None else exact_proportion(alarms, 20),
        is_contradicted=is_contradicted,
        latency_ms=latency_ms,
    )


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("second", range(7))
def test_the_paired_test_is_the_binomial_test_of_the_images_on_which_two_methods_disagree(
    first: int, second: int
) -> None:
    """Five images are missed by both, which says nothing of their difference."""
    test = paired_test(
        outcome("patch", set(range(5 + first))),
        outcome("knn", {*range(5), *range(5 + first, 5 + first + second)}),
    )
    assert (test.only_first, test.only_second) == (first, second)
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert test.p_value == pytest.approx(expected, rel=1e-12)


def test_the_paired_test_leaves_out_images_that_one_method_could_not_inspect() -> None:
    test = paired_test(outcome("patch", {0, 1, 2}, images=3), outcome("knn", set(), images=2))
    assert (test.only_first, test.only_second) == (2, 0)


def test_fewest_misses_lead_where_the_default_is_worse_by_more_than_chance() -> None:
    found = recommend([outcome("patch", range(8)), outcome("knn", range(0)), outcome("lof", range(3))])
    assert found.method == "knn"
    assert found.sentences[0] == (
        "knn is recommended: it missed 0 of 20 anomalous images, the fewest of the 3 methods considered, and called 1 "
        "of 20 good images anomalous."
    )
    assert found.tests[0].p_value == pytest.approx(2 / 2**8)
    assert found.sentences[1] == (
        "patch alone missed 8 and knn alone 0, a difference that is more than chance (exact McNemar test, p = 0.0078)."
    )


def test_the_default_stays_where_its_misses_cannot_be_told_from_the_fewest() -> None:
    """Five images that one of them alone missed: p is 2 / 32, above the level; with six it would be 2 / 64."""
    found = recommend([outcome("knn", range(0)), outcome("patch", range(5))])
    assert found.method == "patch"
    assert found.sentences[0] == (
        "patch, the default, is recommended: it missed 5 of 20 anomalous images, and called 1 of 20 good images "
        "anomalous; knn missed the fewest, 0."
    )
    assert "patch alone missed 5 and knn alone 0, a difference that cannot be told from chance" in found.reason
    assert "p = 0.062" in found.reason
    assert recommend([outcome("knn", range(0)), outcome("patch", range(6))]).method == "knn"
    assert 2 / 2**5 >= LEVEL > 2 / 2**6


def test_a_tie_goes_to_the_default_and_else_to_the_faster() -> None:
    slow, quick = outcome("lof", {0}, latency_ms=90.0), outcome("knn", {1}, latency_ms=20.0)
    assert recommend([slow, quick, outcome("patch", {2}, latency_ms=500.0)]).method == "patch"
    assert recommend([slow, quick]).method == "knn"


def test_the_faster_takes_the_place_of_the_leader_that_is_not_the_default_where_chance_explains_the_difference() -> (
    None
):
    leader = outcome("lof", range(2), latency_ms=100.0)
    found = recommend([leader, outcome("knn", range(4), latency_ms=30.0), outcome("doc", range(3), latency_ms=79.0)])
    assert found.method == "knn"
    assert found.sentences[:3] == (
        "knn, the faster one, is recommended: it missed 4 of 20 anomalous images, and called 1 of 20 good images "
        "anomalous; lof missed the fewest, 2.",
        "knn alone missed 2 and lof alone 0, a difference that cannot be told from chance (exact McNemar test, "
        "p = 0.5).",
        "With knn an image takes 30 ms, with lof 100 ms.",
    )
    assert recommend([leader, outcome("knn", range(4), latency_ms=81.0)]).method == "lof", "not clearly faster"
    assert recommend([leader, outcome("knn", range(9), latency_ms=30.0)]).method == "lof", "clearly worse"


def test_of_every_other_method_it_is_said_where_its_misses_cannot_be_told_from_the_chosen_ones() -> None:
    """One that is neither the default nor faster; one that is clearly worse is not named."""
    found = recommend([outcome("knn", range(2)), outcome("lof", {1, 2, 3}), outcome("mahalanobis", range(12))])
    assert found.sentences[1:] == (
        "The difference in misses between knn and lof (p = 1) cannot be told from chance.",
        OPTIMISTIC,
    )
    assert [(test.first, test.second, test.only_first, test.only_second) for test in found.tests] == [
        ("lof", "knn", 2, 1)
    ]


def test_a_method_that_finds_nothing_never_takes_the_place_of_one_that_finds_something() -> None:
    found = recommend(
        [outcome("lof", {0}, images=4, latency_ms=100.0), outcome("knn", range(4), images=4, latency_ms=1.0)]
    )
    assert found.method == "lof"


def test_beside_the_default_the_faster_one_is_named_for_those_who_need_time() -> None:
    found = recommend([outcome("patch", {0}, latency_ms=60.0), outcome("knn", {1, 2}, latency_ms=20.0)])
    assert found.method == "patch"
    assert (
        "With knn an image takes 20 ms, with patch 60 ms. knn missed 2. knn alone missed 2 and patch alone 1, a "
        "difference that cannot be told from chance (exact McNemar test, p = 1). Choose knn where time decides."
    ) in found.reason
    worse = recommend([outcome("patch", {0}, latency_ms=60.0), outcome("knn", range(1, 15), latency_ms=20.0)])
    assert "Choose" not in worse.reason


def test_a_contradicted_guarantee_takes_a_method_out_whatever_it_finds() -> None:
    found = recommend([outcome("patch", range(9)), outcome("knn", range(0), alarms=15, is_contradicted=True)])
    assert found.method == "patch"
    assert found.sentences[1] == (
        "knn was left aside: it called 15 of 20 good images anomalous, which contradicts the rate that is guaranteed "
        "or estimated."
    )
    assert "the fewest" not in found.sentences[0], "of one method that is left there are no fewest"


def test_none_is_recommended_where_all_are_contradicted() -> None:
    found = recommend([outcome(label, is_contradicted=True, alarms=15) for label in ("patch", "knn")])
    assert found.method is None
    assert found.sentences[0].startswith("No method is recommended: the false alarms of each contradict the rate")
    alone = recommend([outcome("patch", is_contradicted=True, alarms=15)])
    assert "the false alarms of the only one contradict the rate" in alone.reason


def test_none_is_recommended_where_none_finds_anything() -> None:
    found = recommend([outcome("patch", range(IMAGES)), outcome("knn", range(IMAGES))])
    assert found.method is None
    assert found.sentences[0] == (
        "No method is recommended: none found any of 20 anomalous images at this false-alarm rate."
    )


def test_without_anomalous_images_the_default_is_recommended_as_the_default() -> None:
    found = recommend([outcome("knn", images=0, latency_ms=1.0, alarms=0), outcome("patch", images=0, alarms=2)])
    assert found.method == "patch"
    assert found.sentences[0] == (
        "No anomalous image was tested, so nothing that was measured tells which method finds defects. patch is "
        "recommended as the default: it finds small defects anywhere on a part and shows where they are; it called 2 "
        "of 20 good images anomalous."
    )
    assert found.tests == ()


def test_without_anomalous_images_and_without_the_default_none_is_recommended() -> None:
    absent = recommend([outcome("knn", images=0)])
    assert absent.method is None
    assert "patch, the default, is not among those that were measured" in absent.reason
    contradicted = recommend([outcome("patch", images=0, alarms=15, is_contradicted=True), outcome("knn", images=0)])
    assert contradicted.method is None
    assert "it called 15 of 20 good images anomalous, which contradicts" in contradicted.reason


def test_other_settings_of_the_default_method_are_not_the_default() -> None:
    found = recommend([outcome("patch@bank_size=300", {0, 1}), outcome("knn", {0})])
    assert found.method == "knn"


def test_one_method_is_recommended_without_a_comparison() -> None:
    found = recommend([outcome("knn", {0})])
    assert found.method == "knn"
    assert found.sentences == (
        "knn is recommended: it missed 1 of 20 anomalous images, and called 1 of 20 good images anomalous.",
        OPTIMISTIC,
    )


def test_that_the_figures_are_optimistic_is_always_said() -> None:
    for found in (
        recommend([outcome("patch", {0}), outcome("knn")]),
        recommend([outcome("patch", images=0), outcome("knn", images=0)]),
        recommend([outcome("patch", is_contradicted=True), outcome("knn", is_contradicted=True)]),
    ):
        assert found.sentences[-1] == OPTIMISTIC


def test_few_anomalous_images_are_said_to_tell_nothing_apart() -> None:
    few = recommend([outcome("patch", range(4), images=5), outcome("knn", images=5)])
    assert few.method == "patch"
    assert "From fewer than 6 anomalous images no difference in misses can be told from chance: add some." in few.reason
    assert "From fewer" not in recommend([outcome("patch", range(5), images=6), outcome("knn", images=6)]).reason
    assert 2 * comb(5, 0) / 2**5 >= LEVEL > 2 * comb(6, 0) / 2**6


def test_untested_false_alarms_are_said_to_be_unknown() -> None:
    found = recommend([outcome("patch", {0}, alarms=None), outcome("knn", {0, 1}, alarms=None)])
    assert found.method == "patch"
    assert "called" not in found.sentences[0]
    assert "No good images were tested, so nothing is known of false alarms." in found.sentences


def test_without_any_method_none_is_recommended() -> None:
    found = recommend([])
    assert (found.method, found.reason) == (None, "No method could be measured, so none is recommended.")


def test_as_json() -> None:
    values = recommend([outcome("patch", {0}), outcome("knn", range(0))]).to_dict()
    assert values["method"] == "patch"
    assert values["tests"] == [
        {"first": "patch", "second": "knn", "only_first": 1, "only_second": 0, "p_value": 1.0},
    ]
    assert values["reason"].startswith("patch, the default, is recommended: ")
