"""Sources that are watched, through a whole station."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onlygood.errors import BusyError, NotFoundError, SettingError, SourceError, StoreError
from onlygood.station.hub import Subscription
from onlygood.station.inspecting import ToInspect
from onlygood.station.live_feed import LiveFrame
from onlygood.station.schemas import Event, SourceState, SourceStatus, Verdict
from onlygood.station.settings_file import SettingsFile
from onlygood.station.station import Station
from onlygood.station.station_settings import (
    Alarm,
    CameraSource,
    FolderSource,
    JsonLinesOutput,
    Limits,
    StationSettings,
)
from scripted_source import END, ScriptedSource
from shown import KNN, PATCH, colour_png, png
from textures import Array, texture, with_defect

DEADLINE_S = 60.0


def grey(seed: int, *, is_good: bool = True) -> Array:
    image = texture(seed) if is_good else with_defect(texture(seed))
    return image[:, :, None]


def wait_for(what: Callable[[], Any]) -> Any:
    """What is true at last."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    pytest.fail("it did not become so within the deadline")


class Bench:
    """A station that is made anew over the same data, and whose cameras are scripted."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = data
        self.camera = ScriptedSource()
        self.is_free = threading.Event()
        self._stations: list[Station] = []
        from onlygood.station import station as module

        make_source = module.make_source

        def scripted(settings: Any, **around: Any) -> Any:
            return self.camera if settings.kind == "camera" else make_source(settings, **around)

        monkeypatch.setattr(module, "make_source", scripted)

    def open(self, *sources: Any, model: bytes | None = PATCH, **others: Any) -> Station:
        if not self.data.exists():
            self.data.mkdir()
            SettingsFile(self.data / "station.json").replace(StationSettings(sources=sources, **others))
        station = Station(self.data)
        self._stations.append(station)
        if model is not None:
            station.models.add("part", model, origin="upload")
        station.start()
        return station

    def close(self, station: Station) -> None:
        self._stations.remove(station)
        station.stop()

    def keep_busy(self, station: Station) -> Future[bool]:
        """Keep one of the station's workers busy until `is_free` is set, or the test ends."""
        begun = threading.Event()

        def wait() -> bool:
            begun.set()
            return self.is_free.wait()

        running = station.pool.submit(wait)
        assert begun.wait(DEADLINE_S)
        return running

    def close_all(self) -> None:
        self.is_free.set()
        for station in self._stations:
            station.stop()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data", monkeypatch)
    yield bench
    bench.close_all()


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


def belt(folder: Path, **given: Any) -> FolderSource:
    return FolderSource(**{"name": "belt", "model": "part", "path": str(folder), "settle_s": 0.0, **given})


def camera(**given: Any) -> CameraSource:
    return CameraSource(**{"name": "camera", "model": "part", **given})


def recorded(station: Station) -> list[tuple[str, Verdict]]:
    """Names and verdicts, the oldest first."""
    page = station.store.inspections.page(limit=200)
    return [(each.name, each.verdict) for each in reversed(page.inspections)]


def status(station: Station, name: str = "camera") -> SourceStatus:
    return station.line(name).status()


def inspected(station: Station, count: int, name: str = "camera") -> SourceStatus:
    return wait_for(lambda: (found := status(station, name)).frames >= count and found)


def pieces(subscription: Subscription, until: Callable[[Event], bool]) -> list[Event]:
    """Events up to one that is like that."""
    found: list[Event] = []
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for _, event in subscription.take(1.0):
            found.append(event)
            if until(event):
                return found
    pytest.fail(f"there was no such event among {found}")


# Folders


def test_each_image_of_a_folder_is_inspected_once_also_across_restarts(bench: Bench, incoming: Path) -> None:
    for number in range(3):
        (incoming / f"{number}.png").write_bytes(png(200 + number, is_good=number != 1))
    station = bench.open(belt(incoming))
    inspected(station, 3, "belt")
    good, bad = Verdict.GOOD, Verdict.ANOMALOUS
    assert sorted(recorded(station)) == [("0.png", good), ("1.png", bad), ("2.png", good)]
    bench.close(station)
    (incoming / "3.png").write_bytes(png(203))
    again = bench.open()
    inspected(again, 1, "belt")
    assert status(again, "belt").frames == 1
    assert sorted(recorded(again)) == [("0.png", good), ("1.png", bad), ("2.png", good), ("3.png", good)]
    first = next(each for each in again.store.inspections.page(limit=9).inspections if each.name == "0.png")
    assert again.shown.file(first.id)[0] == (incoming / "0.png").read_bytes()


def test_a_file_that_is_no_image_of_the_model_is_marked_and_the_next_one_inspected(
    bench: Bench, incoming: Path
) -> None:
    (incoming / "0.png").write_bytes(colour_png())
    station = bench.open(belt(incoming))
    problem = wait_for(lambda: status(station, "belt").problem)
    assert "0.png is a colour image, but the model takes grey images" in problem
    assert status(station, "belt").state is SourceState.RUNNING
    bench.close(station)
    again = bench.open()
    (incoming / "1.png").write_bytes(png(201))
    inspected(again, 1, "belt")
    assert recorded(again) == [("1.png", Verdict.GOOD)]
    assert status(again, "belt").problem is None


@pytest.mark.parametrize("record", ["anomalous", "none"])
def test_what_need_not_be_kept_of_a_folder_is_remembered_without_its_image(
    record: str, bench: Bench, incoming: Path
) -> None:
    (incoming / "good.png").write_bytes(png(200))
    (incoming / "bad.png").write_bytes(png(200, is_good=False))
    station = bench.open(belt(incoming, record=record))
    inspected(station, 2, "belt")
    kept = {each.name: each.has_image for each in station.store.inspections.page(limit=9).inspections}
    assert kept == {"good.png": False, "bad.png": record == "anomalous"}


def test_a_folder_waits_for_its_model(bench: Bench, incoming: Path) -> None:
    (incoming / "0.png").write_bytes(png(200))
    station = bench.open(belt(incoming), model=None)
    problem = wait_for(lambda: status(station, "belt").problem)
    assert problem.startswith("a model must be one that is served, got 'part'")
    station.models.add("part", PATCH, origin="upload")
    inspected(station, 1, "belt")
    assert wait_for(lambda: status(station, "belt").problem is None)
    assert recorded(station) == [("0.png", Verdict.GOOD)]


def test_what_cannot_be_recorded_of_a_folder_is_tried_again(
    bench: Bench, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (incoming / "0.png").write_bytes(png(200))
    station = bench.open(belt(incoming, starts=False))
    submit, left = station.store.recorder.submit, [2]

    def failing(*arguments: Any, **others: Any) -> Future[Any]:
        if not left[0]:
            return submit(*arguments, **others)
        left[0] -= 1
        failed: Future[Any] = Future()
        failed.set_exception(StoreError("the disk is full"))
        return failed

    monkeypatch.setattr(station.store.recorder, "submit", failing)
    with station.hub.subscribed() as subscription:
        station.line("belt").start()
        events = pieces(subscription, lambda event: event.kind == "inspection")
    assert any(event.source is not None and event.source.problem == "the disk is full" for event in events)
    assert recorded(station) == [("0.png", Verdict.GOOD)]
    # what is tried again is no further image of the process
    assert "1 of the 50 images" in station.drift_statuses()[0].sentence


def test_an_image_whose_record_is_there_after_all_leaves_no_problem(
    bench: Bench, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (incoming / "0.png").write_bytes(png(200))
    station = bench.open(belt(incoming, starts=False))
    monkeypatch.setattr("onlygood.station.line_run._FIRST_PAUSE_S", 0.01)
    submit = station.store.recorder.submit

    def unanswered(*arguments: Any, **others: Any) -> Future[Any]:
        monkeypatch.setattr(station.store.recorder, "submit", submit)
        submit(*arguments, **others).result(DEADLINE_S)
        failed: Future[Any] = Future()
        failed.set_exception(StoreError("the connection broke"))
        return failed

    monkeypatch.setattr(station.store.recorder, "submit", unanswered)
    with station.hub.subscribed() as subscription:
        station.line("belt").start()
        pieces(subscription, lambda event: event.source is not None and event.source.problem == "the connection broke")
    assert wait_for(lambda: status(station, "belt").problem is None)
    assert recorded(station) == [("0.png", Verdict.GOOD)]


def test_an_image_on_which_the_station_itself_fails_is_given_up_and_the_line_goes_on(
    bench: Bench, incoming: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (incoming / "0.png").write_bytes(png(200))
    station = bench.open(belt(incoming, starts=False))
    monkeypatch.setattr("onlygood.station.line_run._FIRST_PAUSE_S", 0.01)
    submit = station.submit

    def failing(image: ToInspect, **others: Any) -> Any:
        if image.name != "0.png":
            return submit(image, **others)
        failed: Future[Any] = Future()
        failed.set_exception(ZeroDivisionError())
        return failed

    monkeypatch.setattr(station, "submit", failing)
    station.line("belt").start()
    assert "not foreseen (ZeroDivisionError)" in wait_for(lambda: status(station, "belt").problem)
    (incoming / "1.png").write_bytes(png(201))
    inspected(station, 1, "belt")
    assert recorded(station) == [("1.png", Verdict.GOOD)]
    assert "cannot be inspected" in caplog.text


def test_a_camera_on_whose_images_the_station_fails_does_not_fill_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    station = bench.open(camera())
    failed: Future[Any] = Future()
    failed.set_exception(ZeroDivisionError())
    monkeypatch.setattr(station, "submit", lambda *_, **__: failed)
    with station.line("camera").feed.watch(lambda: None) as watch:
        for number in range(3):
            bench.camera.put(grey(number))
            frame = wait_for(watch.take)
            assert "not foreseen (ZeroDivisionError)" in (frame.problem or "")
    assert caplog.text.count("cannot be inspected\nTraceback") == 1


def test_a_full_queue_makes_a_folder_wait_and_a_camera_pass_over(bench: Bench, incoming: Path) -> None:
    limits = Limits(workers=1, queue_size=1)
    station = bench.open(camera(starts=False), belt(incoming, starts=False), limits=limits)
    bench.keep_busy(station)
    station.pool.submit(bench.is_free.wait)  # and this one fills the queue
    (incoming / "0.png").write_bytes(png(200))
    station.line("camera").start()
    station.line("belt").start()
    bench.camera.put(grey(1))
    assert wait_for(lambda: status(station).skipped) == 1
    bench.is_free.set()
    inspected(station, 1, "belt")
    bench.camera.put(grey(2))
    inspected(station, 1)
    assert sorted(name for name, _ in recorded(station)) == ["0.png", "camera 2"]


# Cameras


def test_a_camera_is_inspected_recorded_and_shown_with_the_very_same_file(bench: Bench) -> None:
    station = bench.open(camera())
    seen: list[LiveFrame] = []
    woken = threading.Event()
    with station.line("camera").feed.watch(woken.set) as watch, station.hub.subscribed() as subscription:
        bench.camera.put(grey(300, is_good=False))
        (event,) = [each for each in pieces(subscription, lambda each: each.kind == "inspection") if each.inspection]
        frame = wait_for(lambda: watch.take())
        seen.append(frame)
    assert event.inspection is not None and event.inspection.verdict is Verdict.ANOMALOUS
    assert (event.inspection.source, event.inspection.name) == ("camera", "camera 1")
    assert station.shown.file(event.inspection.id) == (frame.content, ".jpg")
    assert frame.record == event.inspection
    assert (frame.sequence, frame.width, frame.height, frame.problem) == (1, 96, 96, None)
    assert (frame.average, frame.anomalous, frame.of) == (event.inspection.score, 1, 1)
    assert frame.inspection is not None and frame.inspection.anomaly_map is not None
    assert frame.version is not None and frame.version.number == 1
    # What the record says is what the model says of the very bytes that are kept.
    alone = station.models.get("part").inspector(frame.content)
    assert (alone.score, alone.p_value) == (event.inspection.score, event.inspection.p_value)


def test_only_the_newest_frame_waits(bench: Bench) -> None:
    station = bench.open(camera(), limits=Limits(workers=1))
    bench.keep_busy(station)
    bench.camera.put(grey(1))
    wait_for(lambda: station.pool.queued == 1)
    bench.camera.put(*(grey(2 + number) for number in range(8)))
    assert bench.camera.wait_until_read(DEADLINE_S)
    wait_for(lambda: status(station).skipped == 7)
    bench.is_free.set()
    found = inspected(station, 2)
    assert (found.frames, found.skipped) == (2, 7)
    assert [name for name, _ in recorded(station)] == ["camera 1", "camera 9"]


def test_a_camera_without_a_model_is_shown_alone(bench: Bench) -> None:
    station = bench.open(camera(model=None))
    bench.camera.put(grey(1))
    frame = wait_for(lambda: station.line("camera").feed.latest)
    assert (frame.model, frame.inspection, frame.problem) == (None, None, None)
    assert (frame.width, frame.height) == (96, 96)
    assert recorded(station) == []


def test_a_model_that_does_not_fit_the_camera_is_one_sentence_and_images_are_shown(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    station = bench.open(camera())
    colour = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    feed = station.line("camera").feed
    for number in range(1, 4):
        bench.camera.put(colour)
        frame = wait_for(lambda number=number: (f := feed.latest) is not None and f.sequence == number and f)
        assert "is a colour image, but the model takes grey images" in frame.problem
        assert frame.content.startswith(b"\xff\xd8")
    assert "colour image" in (status(station).problem or "")
    assert status(station).state is SourceState.RUNNING
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING and "colour image" in each.message]
    assert len(warnings) == 1
    bench.camera.put(grey(1))
    inspected(station, 1)
    assert status(station).problem is None


def test_a_camera_goes_on_when_it_was_lost(bench: Bench) -> None:
    station = bench.open(camera())
    bench.camera.put(grey(1), SourceError("the camera is lost"), grey(2))
    found = inspected(station, 2)
    assert (found.reconnects, bench.camera.opened) == (1, 2)


def test_the_alarm_is_told_when_it_goes_on_and_off(bench: Bench) -> None:
    station = bench.open(camera(alarm=Alarm(m=2, n=3)))
    with station.hub.subscribed() as subscription:
        events: list[Event] = []
        for number, is_good in enumerate([True, False, True, False, True, True, True], 1):
            bench.camera.put(grey(400 + number, is_good=is_good))
            inspected(station, number)
        events = pieces(subscription, lambda each: each.kind == "alarm" and each.problem is None)
    alarms = [(each.problem, each.source.is_alarmed) for each in events if each.kind == "alarm" and each.source]
    assert alarms == [("2 of the last 3 images of camera are anomalous", True), (None, False)]
    assert not status(station).is_alarmed


def test_an_alarm_ends_when_another_version_inspects(bench: Bench) -> None:
    station = bench.open(camera(alarm=Alarm(m=1, n=5)))
    bench.camera.put(grey(1, is_good=False))
    wait_for(lambda: status(station).is_alarmed)
    station.models.add("part", KNN, origin="upload")
    bench.camera.put(grey(2))
    inspected(station, 2)
    assert not status(station).is_alarmed


def test_a_trigger_takes_one_frame(bench: Bench) -> None:
    station = bench.open(camera(trigger="http"))
    line = station.line("camera")
    wait_for(lambda: line.status().state is SourceState.WAITING)
    bench.camera.put(grey(1))
    assert bench.camera.wait_until_read(DEADLINE_S)
    line.trigger()
    bench.camera.put(grey(2))
    inspected(station, 1)
    assert [name for name, _ in recorded(station)] == ["camera 2"]
    line.stop()
    with pytest.raises(SourceError, match="is stopped: start it"):
        line.trigger()


def test_a_frame_that_a_trigger_took_waits_for_room_in_the_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    station = bench.open(camera(trigger="http"), limits=Limits(workers=1, queue_size=1))
    bench.keep_busy(station)
    station.pool.submit(bench.is_free.wait)  # and this one fills the queue
    submit, is_refused = station.submit, threading.Event()

    def noted(image: ToInspect, **others: Any) -> Any:
        try:
            return submit(image, **others)
        except BusyError:
            is_refused.set()
            raise

    monkeypatch.setattr(station, "submit", noted)
    wait_for(lambda: status(station).state is SourceState.WAITING)
    station.line("camera").trigger()
    bench.camera.put(grey(1))
    assert is_refused.wait(DEADLINE_S)
    bench.is_free.set()
    assert inspected(station, 1).skipped == 0
    assert [name for name, _ in recorded(station)] == ["camera 1"]


def test_the_drift_test_takes_images_of_folders_and_triggered_cameras(bench: Bench, incoming: Path) -> None:
    (incoming / "0.png").write_bytes(png(200))
    station = bench.open(belt(incoming), camera())
    bench.camera.put(grey(1))
    inspected(station, 1)
    inspected(station, 1, "belt")
    station.submit(ToInspect(model="part", content=png(1), source="page", name="tried")).result(DEADLINE_S)
    # The model has few calibration images, so that these are the beginning of what later ones are compared with.
    assert "1 of the 50 images" in station.drift_statuses()[0].sentence
    station.settle_drift("part")
    assert "0 of the 50 images" in station.drift_statuses()[0].sentence


def test_a_line_of_a_source_that_ends_says_so(bench: Bench) -> None:
    bench.camera.is_live = False
    station = bench.open(camera())
    bench.camera.put(*(grey(number) for number in range(7)), END)
    line = station.line("camera")
    assert line.wait(DEADLINE_S)
    assert (line.status().state, line.status().frames, line.status().skipped) == (SourceState.ENDED, 7, 0)
    assert [name for name, _ in recorded(station)] == [f"camera {number}" for number in range(1, 8)]


# All of them


def test_sources_are_started_stopped_and_changed_while_the_station_runs(bench: Bench, incoming: Path) -> None:
    station = bench.open(camera(), belt(incoming, starts=False))
    assert list(station.lines) == ["camera", "belt"]
    assert status(station, "belt").state is SourceState.STOPPED
    before = station.line("camera")
    wait_for(lambda: before.status().state is SourceState.RUNNING)
    (incoming / "0.png").write_bytes(png(200))
    station.line("belt").start()
    station.line("belt").start()  # a second time is no error
    inspected(station, 1, "belt")
    other = incoming.parent / "other"
    other.mkdir()
    (other / "1.png").write_bytes(png(201))
    station.change_settings(lambda now: now.model_copy(update={"sources": (now.sources[0], belt(other))}))
    assert station.line("camera") is before  # it was not changed, and goes on
    inspected(station, 1, "belt")
    assert sorted(name for name, _ in recorded(station)) == ["0.png", "1.png"]
    before.stop()
    assert before.status().state is SourceState.STOPPED
    bench.camera.put(grey(1))
    before.start()
    inspected(station, 1)
    station.change_settings(lambda now: now.model_copy(update={"sources": ()}))
    assert station.source_statuses() == ()
    with pytest.raises(NotFoundError, match="got 'camera', and there is none yet"):
        station.line("camera")
    with pytest.raises(SettingError, match="'belt' twice"):
        station.change_settings(lambda now: now.model_copy(update={"sources": (belt(other), belt(incoming))}))
    assert SettingsFile(bench.data / "station.json").get().sources == ()


def test_a_source_that_cannot_be_right_says_so_and_the_others_run(
    bench: Bench, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onlygood.station import station as module

    make_source = module.make_source

    def refusing(settings: Any, **around: Any) -> Any:
        if settings.name == "bad":
            raise SettingError("the path is empty: give one")
        return make_source(settings, **around)

    monkeypatch.setattr(module, "make_source", refusing)
    (incoming / "0.png").write_bytes(png(200))
    station = bench.open(belt(incoming, name="bad"), belt(incoming))
    inspected(station, 1, "belt")
    found = status(station, "bad")
    assert (found.state, found.problem) == (SourceState.STOPPED, "the path is empty: give one")
    with pytest.raises(SettingError, match="the path is empty"):
        station.line("bad").start()
    assert station.health().sources == (found, status(station, "belt"))


def test_a_recipe_changes_the_model_of_the_sources(bench: Bench) -> None:
    station = bench.open(camera())
    station.models.add("other", KNN, origin="upload")
    bench.camera.put(grey(1))
    inspected(station, 1)
    assert not station._use_recipe("none such")
    assert station._use_recipe("other")
    bench.camera.put(grey(2))
    assert inspected(station, 2).model == "other"
    assert [each.model for each in station.store.inspections.page(limit=9).inspections] == ["other", "part"]


def test_outputs_are_told_of_what_a_line_finds(bench: Bench, incoming: Path, tmp_path: Path) -> None:
    (incoming / "0.png").write_bytes(png(200))
    (incoming / "1.png").write_bytes(png(201, is_good=False))
    told = tmp_path / "told.jsonl"
    station = bench.open(belt(incoming), outputs=(JsonLinesOutput(name="file", path=str(told), only="anomalous"),))
    wait_for(lambda: told.exists() and told.read_text(encoding="utf-8").count("\n") == 1)
    assert '"1.png"' in told.read_text(encoding="utf-8")
    found = wait_for(lambda: (s := station.output_statuses()[0]).delivered and s)
    assert (found.name, found.delivered, found.waiting, found.problem) == ("file", 1, 0, None)
