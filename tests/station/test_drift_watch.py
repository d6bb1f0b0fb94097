from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import onlygood
from flat import fit
from onlygood.errors import SettingError, StoreError
from onlygood.results import Inspection
from onlygood.station import drift_watch
from onlygood.station.drift_watch import BASELINE, SAVE_EVERY_S, DriftWatch
from onlygood.station.schemas import ModelVersion
from onlygood.station.serving.models import Served
from textures import FAST, textures


class Kept(dict[str, str]):
    """States in memory."""

    def load(self, model_sha256: str) -> str | None:
        return self.get(model_sha256)

    def save(self, model_sha256: str, state: str) -> None:
        self[model_sha256] = state


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def served(model: onlygood.Model, name: str = "part") -> Served:
    inspector = onlygood.Inspector(model, threads=1, with_map=False)
    version = ModelVersion(
        number=1,
        sha256=model.metadata.content_sha256,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        method="patch",
        origin="fit",
        false_alarm_rate=0.1,
        guarantee="",
        good_images=1,
        bytes=1,
        is_active=True,
    )
    return Served(name, inspector, version)


@pytest.fixture(scope="session")
def well_known() -> Served:
    """With enough calibration scores for a drift test."""
    return served(fit(textures(24), **FAST))


@pytest.fixture(scope="session")
def little_known(model: onlygood.Model) -> Served:
    """With fewer."""
    return served(model)


def scores(start: int, count: int, *, shift: float = 0.0) -> list[float]:
    """All different and in no order, with the same mean whatever the start."""
    return [-1.0 + 0.13 * (number * 7 % 10) + 0.001 * (number % 7) + shift for number in range(start, start + count)]


def inspection(score: float, number: int) -> Inspection:
    return Inspection(
        name=f"{number}.png", score=score, p_value=0.5, is_anomaly=score > 0, anomaly_map=None, latency_ms=1.0
    )


def watch_of(kept: Kept, clock: Clock | None = None, **settings: Any) -> DriftWatch:
    return DriftWatch(kept, false_drift_rate=0.01, clock=clock or Clock(), **settings)


def test_it_says_what_the_drift_test_says(well_known: Served) -> None:
    watch, ours = watch_of(Kept()), onlygood.DriftTest(well_known.inspector)
    found = []
    for number, score in enumerate([*scores(0, 60), *scores(60, 60, shift=2.0)]):
        was = ours.is_drift
        news = watch.add(well_known, inspection(score, number))
        assert (news.found is not None) == (ours.add(score, name=f"{number}.png") and not was)
        if news.found is not None:
            found.append(news.found)
            assert news.state is not None  # that it is known after a restart
    assert len(found) == 1 and found[0].is_drift and "all scores are higher" in found[0].sentence
    status = watch.status(well_known)
    assert (status.model, status.images, status.is_drift) == ("part", 120, True)
    assert status.sentence.startswith("Drift in 120 images.")


def test_after_a_restart_it_goes_on_from_what_was_saved(well_known: Served) -> None:
    kept = Kept()
    first = watch_of(kept)
    for number, score in enumerate(scores(0, 30)):
        first.add(well_known, inspection(score, number))
    first.flush()
    second, ours = watch_of(kept), onlygood.DriftTest(well_known.inspector)
    for number, score in enumerate(scores(30, 30), 30):
        second.add(well_known, inspection(score, number))
    second.flush()
    for number, score in enumerate(scores(0, 60)):
        ours.add(score, name=f"{number}.png")
    assert json.loads(kept[well_known.version.sha256]) == json.loads(json.dumps(ours.to_dict()))


def test_a_state_is_saved_with_an_inspection_when_it_is_time(well_known: Served) -> None:
    clock = Clock()
    watch = watch_of(Kept(), clock)
    saved = []
    for number, score in enumerate(scores(0, 40)):
        clock.now = number * SAVE_EVERY_S / 10
        # An inspection that is not recorded carries nothing; the next one does.
        news = watch.add(well_known, inspection(score, number), is_recorded=number != 10)
        if news.state is not None:
            saved.append(number)
            assert news.state[0] == well_known.version.sha256
            assert onlygood.DriftTest.from_dict(json.loads(news.state[1])).result.images == number + 1
    assert saved == [0, 11, 21, 31]


def test_each_version_has_its_own_test(well_known: Served, little_known: Served) -> None:
    watch = watch_of(Kept())
    for number, score in enumerate(scores(0, 60)):
        watch.add(well_known, inspection(score, number))
    assert watch.status(little_known).images == 0
    assert watch.status(well_known).images == 60


def test_a_model_of_few_images_is_compared_with_the_beginning_of_the_process(little_known: Served) -> None:
    watch = watch_of(Kept())
    for number, score in enumerate(scores(0, BASELINE - 1)):
        watch.add(little_known, inspection(score, number))
    assert f"{BASELINE - 1} of the {BASELINE} images" in watch.status(little_known).sentence
    for number, score in enumerate(scores(BASELINE - 1, 41)):
        watch.add(little_known, inspection(score, number))
    status = watch.status(little_known)
    assert (status.images, status.is_drift) == (40, False)
    for number, score in enumerate(scores(0, 60, shift=2.0)):
        watch.add(little_known, inspection(score, number))
    assert watch.status(little_known).is_drift


def test_when_the_cause_is_settled_the_test_begins_again_also_after_a_restart(well_known: Served) -> None:
    kept = Kept()
    watch = watch_of(kept)
    for number, score in enumerate(scores(0, 60, shift=3.0)):
        watch.add(well_known, inspection(score, number))
    watch.flush()
    assert watch_of(kept).status(well_known).is_drift
    status = watch.settled(well_known)
    assert (status.images, status.is_drift) == (0, False)
    assert not watch_of(kept).status(well_known).is_drift
    assert "of the 30 images" in watch.settled(well_known, baseline=30).sentence
    with pytest.raises(SettingError, match="baseline must be 0 or at least"):
        watch.settled(well_known, baseline=3)


def test_a_state_that_cannot_be_used_begins_a_new_test(well_known: Served, caplog: pytest.LogCaptureFixture) -> None:
    for broken in ("no JSON", "{}", '{"format": 2}'):
        watch = watch_of(Kept({well_known.version.sha256: broken}))
        assert watch.status(well_known).sentence.startswith("No drift in 0 images")
    assert caplog.text.count("its drift test begins again") == 3


def test_a_model_that_cannot_be_tested_says_why_and_takes_scores(well_known: Served) -> None:
    inspector = onlygood.Inspector(well_known.inspector, with_map=False)
    inspector.file = type(inspector.file)(
        content=inspector.file.content, metadata=inspector.metadata, calibration_scores=None, costs=inspector.file.costs
    )
    untested = Served("part", inspector, well_known.version.model_copy(update={"sha256": "0" * 64}))
    watch = watch_of(Kept())
    assert watch.add(untested, inspection(1.0, 1)).state is None
    sentence = watch.status(untested).sentence
    assert "model part must hold its calibration scores" in sentence and "in memory" not in sentence


def test_many_versions_take_a_bounded_memory(well_known: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_watch, "MOST_OPEN", 2)
    kept = Kept()
    watch = watch_of(kept)
    versions = [
        Served("part", well_known.inspector, well_known.version.model_copy(update={"sha256": f"{number:064}"}))
        for number in range(5)
    ]
    for _ in range(2):
        for each in versions:
            watch.add(each, inspection(-1.0, 1))
    assert len(watch._watches) == 2
    assert [watch.status(each).images for each in versions] == [2] * 5


def test_a_version_whose_state_cannot_be_saved_stays_open_and_others_are_tested(
    well_known: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_watch, "MOST_OPEN", 1)
    kept = Kept()
    watch = watch_of(kept)
    first, second = (
        Served("part", well_known.inspector, well_known.version.model_copy(update={"sha256": f"{number:064}"}))
        for number in range(2)
    )
    watch.add(first, inspection(-1.0, 1))

    def save(model_sha256: str, state: str) -> None:
        raise StoreError("the disk is full")

    kept.save = save  # type: ignore[method-assign]
    watch.add(second, inspection(-1.0, 1))
    assert [watch.status(each).images for each in (first, second)] == [1, 1]
