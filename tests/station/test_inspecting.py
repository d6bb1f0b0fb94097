"""One image from its bytes to its record, through a whole station."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

import onlygood
from onlygood.errors import BusyError, ImageFormatError, NotFoundError
from onlygood.station.inspecting import NOT_RECORDED, ToInspect
from onlygood.station.schemas import Label, Verdict
from onlygood.station.settings_file import FILE_NAME
from onlygood.station.station import Station
from onlygood.station.station_settings import Limits, StationSettings
from onlygood.station.store.transaction import AlreadySeen
from shown import MODELS, PATCH, colour_png, png

DEADLINE_S = 30.0


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path / "data")
    made.start()
    made.models.add("part", PATCH, origin="upload")
    yield made
    made.stop()


def _image(content: bytes, **others: object) -> ToInspect:
    return ToInspect(**{"model": "part", "content": content, "source": "http", "name": "new.png", **others})  # type: ignore[arg-type]


def test_the_record_says_what_an_inspector_says(station):
    inspector = onlygood.Inspector(MODELS / "format-2-patch.onnx")
    for content in (png(100), png(101, is_good=False)):
        alone = inspector(content)
        record = station.submit(_image(content)).result(DEADLINE_S).record
        assert (record.score, record.p_value) == (alone.score, alone.p_value)
        assert (record.verdict is Verdict.ANOMALOUS) == alone.is_anomaly
        assert (record.width, record.height) == (96, 96)
        assert [(each.left, each.top, each.right, each.bottom) for each in record.regions] == [
            each.box for each in alone.regions
        ]
        assert station.shown.file(record.id) == (content, ".png")
        assert station.inspection(record.id) == record


def test_a_map_is_the_one_that_was_drawn_when_the_image_was_inspected(station):
    inspected = station.submit(_image(png(102, is_good=False), with_map=True)).result(DEADLINE_S)
    first = station.shown.map_png(inspected.record.id)
    assert first.startswith(b"\x89PNG")
    # also after another version took the place of the one that inspected it
    station.models.add("part", (MODELS / "format-2-knn.onnx").read_bytes(), origin="upload")
    assert station.shown.map_png(inspected.record.id) == first
    assert inspected.inspection.anomaly_map.shape == (96, 96)


@pytest.mark.parametrize(("keep", "good_is_kept", "bad_is_kept"), [("anomalous", False, True), ("none", False, False)])
def test_what_is_not_to_be_remembered_is_inspected_all_the_same(station, keep, good_is_kept, bad_is_kept):
    good = station.submit(_image(png(103), keep=keep)).result(DEADLINE_S).record
    bad = station.submit(_image(png(103, is_good=False), keep=keep)).result(DEADLINE_S).record
    assert (good.verdict, bad.verdict) == (Verdict.GOOD, Verdict.ANOMALOUS)
    assert (good.id != NOT_RECORDED, bad.id != NOT_RECORDED) == (good_is_kept, bad_is_kept)


def test_an_image_that_the_model_does_not_take_is_refused_and_leaves_nothing(station):
    with pytest.raises(ImageFormatError, match=r"new\.png is a colour image, but the model takes grey images"):
        station.submit(_image(colour_png())).result(DEADLINE_S)
    with pytest.raises(onlygood.ImageError, match=r"new\.png"):
        station.submit(_image(b"rubbish")).result(DEADLINE_S)
    assert station.store.inspections.count() == 0


def test_an_image_with_a_key_is_remembered_once(station):
    first = station.submit(_image(png(104), seen_key="a", source="folder")).result(DEADLINE_S).record
    with pytest.raises(AlreadySeen):
        station.submit(_image(png(104), seen_key="a", source="folder")).result(DEADLINE_S)
    assert station.store.inspections.count() == 1
    assert first.source == "folder"


def test_names_are_data(station):
    name = "../../etc/passwd\0\x1b[31m\n"
    record = station.submit(_image(png(105), name=name)).result(DEADLINE_S).record
    assert "\x1b" not in record.name
    assert record.name.startswith("../../etc/passwd")
    assert station.shown.file(record.id)[0] == png(105)


def test_everyone_who_listens_hears_of_each_inspection_and_of_feedback(station):
    with station.hub.subscribed() as heard:
        at = datetime(2026, 1, 2, tzinfo=UTC)
        record = station.submit(_image(png(106), at=at)).result(DEADLINE_S).record
        event = heard.take(DEADLINE_S)[0][1]
        assert (event.kind, event.inspection) == ("inspection", record)
        assert record.at == at
        marked = station.give_feedback(record.id, Label.DEFECT, by="anna", note="a scratch")
        event = heard.take(DEADLINE_S)[0][1]
        assert event.kind == "feedback"
        assert event.inspection == marked
        assert (marked.feedback.label, marked.feedback.by, marked.feedback.note) == (Label.DEFECT, "anna", "a scratch")


def test_an_unknown_model_and_an_unknown_inspection_are_refused(station):
    with pytest.raises(NotFoundError, match="got 'prat', and there are part: did you mean 'part'"):
        station.submit(_image(png(1), model="prat"))
    for ask in (station.inspection, station.shown.file, station.shown.small, station.shown.map_png):
        with pytest.raises(NotFoundError, match="inspection 99 must be one that is remembered"):
            ask(99)


def test_a_full_queue_refuses_at_once_and_what_was_given_up_is_never_inspected(tmp_path):
    settings = StationSettings(limits=Limits(workers=1, queue_size=1))
    (tmp_path / FILE_NAME).write_text(settings.model_dump_json())
    station = Station(tmp_path)
    station.models.add("part", PATCH, origin="upload")
    held, opened = Event(), Event()

    def hold() -> None:
        held.set()
        opened.wait(DEADLINE_S)

    station.pool.submit(hold)
    assert held.wait(DEADLINE_S)
    waiting = station.submit(_image(png(1)))
    with pytest.raises(BusyError, match="at most 1 image may wait"):
        station.submit(_image(png(2)))
    assert waiting.cancel()
    opened.set()
    station.submit(_image(png(3)), waits_s=DEADLINE_S).result(DEADLINE_S)
    assert station.store.inspections.count() == 1
    station.stop()


def test_a_station_that_starts_again_remembers_everything(tmp_path):
    station = Station(tmp_path)
    station.models.add("part", PATCH, origin="upload")
    record = station.submit(_image(png(107))).result(DEADLINE_S).record
    station.stop()
    again = Station(tmp_path)
    assert again.inspection(record.id) == record
    assert again.submit(_image(png(107))).result(DEADLINE_S).record.score == record.score
    again.stop()


def test_health_says_how_it_is_doing(station):
    station.submit(_image(png(108))).result(DEADLINE_S)
    health = station.health()
    assert health.is_ready
    assert health.problems == ()
    assert [each.name for each in health.models] == ["part"]
    assert health.kept_bytes == len(png(108))
    assert health.inspections_per_s > 0
    assert health.queue_size == 64
