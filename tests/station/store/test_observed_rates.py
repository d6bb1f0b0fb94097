"""How guarantees are doing, against figures that are computed another way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from inspected import inspected
from scipy.special import betaincinv

from onlygood.rates import binomial_interval
from onlygood.station.schemas import Label, ModelVersion, ObservedShare, Verdict
from onlygood.station.store.observed_rates import rates_of
from onlygood.station.store.store import Store


def version(rate: float = 0.05) -> ModelVersion:
    return ModelVersion(
        number=3,
        sha256="c" * 64,
        at=datetime(2026, 3, 1, tzinfo=UTC),
        method="patch",
        origin="fit",
        false_alarm_rate=rate,
        guarantee="",
        good_images=10,
        bytes=1,
        is_active=True,
    )


def counts(*, quiet: int, alarms: int, false: int = 0, found: int = 0, missed: int = 0, quiet_good: int = 0):  # type: ignore[no-untyped-def]
    return {
        ("good", None): quiet,
        ("anomalous", None): alarms,
        ("anomalous", "good"): false,
        ("anomalous", "defect"): found,
        ("good", "defect"): missed,
        ("good", "good"): quiet_good,
    }


def exact(share: ObservedShare | None, events: int, trials: int) -> None:
    assert share is not None
    assert (share.events, share.trials, share.value) == (events, trials, events / trials)
    low = 0.0 if events == 0 else betaincinv(events, trials - events + 1, 0.025)
    high = 1.0 if events == trials else betaincinv(events + 1, trials - events, 0.975)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-9)
    assert share.confidence == 0.95


@pytest.mark.parametrize("trials", [1, 2, 7, 100, 54_321, 1_000_000])
@pytest.mark.parametrize("part", [0.0, 0.0001, 0.01, 0.5, 0.999, 1.0])
def test_intervals_are_exact_for_few_and_for_very_many(trials: int, part: float) -> None:
    events = round(part * trials)
    low = 0.0 if events == 0 else betaincinv(events, trials - events + 1, 0.025)
    high = 1.0 if events == trials else betaincinv(events + 1, trials - events, 0.975)
    assert binomial_interval(events, trials, confidence=0.95) == pytest.approx((low, high), abs=1e-9)


def test_shares_are_those_of_what_is_known_and_what_may_be() -> None:
    rates = rates_of("part", version(), counts(quiet=900, alarms=40, false=10, found=30, missed=5, quiet_good=15))
    assert (rates.inspections, rates.marked_good, rates.marked_defects, rates.unmarked_alarms) == (1000, 25, 35, 40)
    exact(rates.anomalous, 80, 1000)
    exact(rates.false_alarms_at_least, 10, 925)
    exact(rates.false_alarms_at_most, 50, 965)
    exact(rates.misses, 5, 35)
    assert rates.verdict == "open"
    assert rates.sentences == (
        "The false-alarm rate of 0.05 is not contradicted: of images of good parts at least 10 of 925, 0.011 (95% "
        "interval 0.0052 to 0.02), and at most 50 of 965, 0.052 (95% interval 0.039 to 0.068), were called anomalous, "
        "as 40 alarms are not marked. Mark them to know it better.",
        "Of all images 80 of 1,000, 0.08 (95% interval 0.064 to 0.099), were called anomalous; false alarms and "
        "defects are both in it.",
        "Of the images that people marked as defects 5 of 35, 0.14 (95% interval 0.048 to 0.3), were called good. "
        "People mark what they notice: a defect that nobody saw is in no figure.",
        "The intervals take images as independent: where many images show one part, or one lot, they are too narrow.",
    )


def test_few_alarms_confirm_a_rate_even_if_nobody_marked_any() -> None:
    rates = rates_of("part", version(), counts(quiet=970, alarms=30))
    assert rates.verdict == "confirmed"
    assert rates.sentences[0] == (
        "The false-alarm rate of 0.05 is confirmed: of images of good parts at most 30 of 1,000, 0.03 (95% interval "
        "0.02 to 0.043), were called anomalous, even if all 30 alarms that nobody marked were false."
    )
    assert rates.misses is None


def test_many_marked_false_alarms_contradict_it() -> None:
    rates = rates_of("part", version(), counts(quiet=900, alarms=0, false=100))
    assert rates.verdict == "contradicted"
    assert rates.sentences[0].startswith(
        "The false-alarm rate of 0.05 is CONTRADICTED: of images of good parts at least 100 of 1,000, 0.1 (95% interval"
    )


def test_many_alarms_that_may_all_be_defects_contradict_nothing() -> None:
    assert rates_of("part", version(), counts(quiet=100, alarms=100)).verdict == "open"
    everything_known = rates_of("part", version(), counts(quiet=19, alarms=0, false=1))
    assert everything_known.verdict == "open"
    assert "More inspections would be needed to confirm it." in everything_known.sentences[0]


def test_defects_alone_and_nothing_at_all() -> None:
    defects = rates_of("part", version(), counts(quiet=0, alarms=0, found=3))
    assert (defects.false_alarms_at_least, defects.verdict) == (None, "open")
    assert "cannot be compared: no image of a good part was inspected" in defects.sentences[0]
    nothing = rates_of("part", version(), {})
    assert (nothing.inspections, nothing.sentences) == (0, ("No image was inspected with this version.",))


def test_each_version_has_its_own_and_the_newest_word_is_taken(store: Store) -> None:
    versions = [
        store.models.add(
            "part", content, method="patch", origin="fit", false_alarm_rate=0.1, guarantee="...", good_images=20
        )
        for content in (b"first", b"second", b"third")
    ]
    for place, verdict in ((0, Verdict.ANOMALOUS), (0, Verdict.GOOD), (2, Verdict.ANOMALOUS), (2, Verdict.GOOD)):
        for _ in range(3):
            store.recorder.record(inspected(model_sha256=versions[place].sha256, verdict=verdict))
    store.recorder.record(inspected(model="lid", model_sha256=versions[0].sha256))
    store.feedback.add(1, Label.GOOD)
    store.feedback.add(7, Label.GOOD)
    store.feedback.add(7, Label.DEFECT)
    store.feedback.add(10, Label.DEFECT)
    newest, oldest = store.feedback.rates("part")
    assert (newest.version, oldest.version) == (3, 1)
    assert (oldest.inspections, oldest.marked_good, oldest.marked_defects, oldest.unmarked_alarms) == (6, 1, 0, 2)
    assert (newest.inspections, newest.marked_good, newest.marked_defects, newest.unmarked_alarms) == (6, 0, 2, 2)
    exact(newest.misses, 1, 2)
    assert store.feedback.rates("lid") == []
    assert store.models.versions("part")[-1].in_review == 1
