"""The thread that reads a source: what it keeps, what it counts, and that nothing ends it."""

import logging
import queue
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from onlygood.errors import BusyError, SettingError, SourceError
from onlygood.station.frames import Capture, EndOfSource
from onlygood.station.frames.backoff import Backoff
from onlygood.station.frames.hand_over import MOST_TRIGGERED, MOST_WAITING
from onlygood.station.schemas import SourceState, SourceStatus
from onlygood.station.station_settings import FolderSource
from scripted import DEADLINE_S, Scripted, wait_until

Start = Callable[..., Capture]


def settings(trigger: Literal["free", "http", "mqtt"] = "free", **more: Any) -> FolderSource:
    return FolderSource(name="belt", path="unused", trigger=trigger, model="part", **more)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts captures with short pauses, and stops them in the end."""
    started = []

    def start_one(source: Scripted, trigger: Literal["free", "http", "mqtt"] = "free", **more: Any) -> Capture:
        capture = Capture(source, settings(trigger), backoff=Backoff(0.001, 0.002, seed=0), **more)
        capture.start()
        started.append(capture)
        return capture

    yield start_one
    for capture in started:
        assert capture.stop(DEADLINE_S)


def test_the_newest_frame_is_given_and_the_others_are_counted(start: Start) -> None:
    source = Scripted(*range(1, 11))
    capture = start(source)
    wait_until(lambda: capture.status.skipped == 9, "the first nine are passed over")
    newest = capture.next(DEADLINE_S)
    assert newest is not None and newest.number == 10
    assert capture.next(0.0) is None
    source.put(11)
    after = capture.next(DEADLINE_S)
    assert after is not None and after.number == 11
    status = capture.status
    assert (status.frames, status.skipped) == (2, 9)
    assert (status.name, status.kind, status.model, status.problem) == ("belt", "folder", "part", None)


def test_each_frame_is_either_taken_or_skipped(start: Start) -> None:
    source = Scripted(*range(1, 5001))
    capture = start(source)
    taken: list[int] = []
    while not taken or taken[-1] < 5000:
        frame = capture.next(DEADLINE_S)
        assert frame is not None
        taken.append(frame.number)
    assert taken == sorted(set(taken))
    assert capture.status.frames == len(taken)
    assert capture.status.skipped == 5000 - len(taken)


def test_numbers_that_the_source_leaves_out_count_as_skipped(start: Start) -> None:
    source = Scripted(1)
    capture = start(source)
    assert capture.next(DEADLINE_S) is not None
    source.put(5)  # 2, 3 and 4 were lost on their way
    assert capture.next(DEADLINE_S) is not None
    assert capture.status.skipped == 3


def test_a_source_that_is_not_live_loses_none_and_is_not_read_ahead(start: Start) -> None:
    source = Scripted(*range(1, 51), is_live=False)
    capture = start(source)
    for number in range(1, 51):
        given = capture.next(DEADLINE_S)
        assert given is not None and given.number == number
        assert len(source.given) <= number + MOST_WAITING
    assert (capture.status.frames, capture.status.skipped) == (50, 0)


def test_it_opens_again_until_the_source_is_there(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onlygood.station")
    source = Scripted(1)
    source.openings = [SourceError("no camera"), SourceError("no camera"), SourceError("camera in use")]
    told: queue.Queue[SourceStatus] = queue.Queue()
    capture = start(source, on_status=told.put)
    assert capture.next(DEADLINE_S) is not None
    source.put(SourceError("unplugged"), 1)
    given = capture.next(DEADLINE_S)
    assert given is not None and given.number == 1
    assert capture.status.reconnects == 2
    assert source.opened == 5 and source.closed >= 4
    states = [(status.state, status.problem) for status in list(told.queue)]
    lost = SourceState.LOST
    assert states == [
        (SourceState.STARTING, None),
        (lost, "no camera"),
        (lost, "camera in use"),
        (SourceState.RUNNING, None),
        (lost, "unplugged"),
        (SourceState.RUNNING, None),
    ]
    # a source that stays away for a night does not fill the log
    assert [record.getMessage().partition(" after")[0] for record in caplog.records] == [
        "source belt: no camera",
        "source belt: camera in use",
        "the source belt is back",
        "source belt: unplugged",
        "the source belt is back",
    ]


def test_an_error_that_nobody_foresaw_ends_nothing(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    source = Scripted(1)

    def refuse(status: SourceStatus) -> None:
        raise KeyError("who is told fails too")

    def close() -> None:
        raise OSError("it does not close")

    source.close = close  # type: ignore[method-assign]
    capture = start(source, on_status=refuse)
    assert capture.next(DEADLINE_S) is not None
    source.put(ZeroDivisionError("a driver"), 1)
    assert capture.next(DEADLINE_S) is not None
    assert capture.status.reconnects == 1
    said = [record for record in caplog.records if "does not foresee" in record.getMessage()]
    assert len(said) == 1 and said[0].exc_info is not None


def test_a_source_that_opens_and_gives_no_image_does_not_fill_the_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "onlygood.station")
    source = Scripted(*[SourceError("it is silent")] * 5, *[ZeroDivisionError("a driver")] * 5)
    start(source)
    wait_until(lambda: source.opened > 10, "it was opened again ten times")
    assert [record.getMessage().partition(" after")[0] for record in caplog.records] == [
        "source belt: it is silent",
        "the source belt is back",
        "the source belt failed in a way that it does not foresee",
        "source belt: the source belt failed (ZeroDivisionError): the log says where",
    ]
    # an image shows that it works: the next time it is lost is news
    source.put(1, SourceError("it is silent"), 2)
    source.wait_for(2)
    assert [record.getMessage() for record in caplog.records].count("source belt: it is silent") == 2


def test_triggers_that_are_passed_over_do_not_fill_the_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    capture = start(Scripted(), "http")
    wait_until(lambda: capture.status.state is SourceState.WAITING, "it waits")
    for _ in range(MOST_TRIGGERED + 9):
        capture._triggered_by_mqtt()
    assert caplog.text.count("a trigger by MQTT was passed over: the source belt lets up to 16 triggers wait") == 1
    assert capture.status.skipped == 9


def test_the_end_of_a_source_is_no_error(start: Start) -> None:
    capture = start(Scripted(1, EndOfSource(), is_live=False))
    wait_until(lambda: capture.status.state is SourceState.ENDED, "it ends")
    assert not capture.is_over
    assert [given.number for given in iter(lambda: capture.next(DEADLINE_S), None)] == [1]
    assert capture.is_over and capture.status.problem is None


def test_an_end_before_the_end_says_why(start: Start) -> None:
    capture = start(Scripted(EndOfSource("the video is damaged"), is_live=False))
    assert capture.next(DEADLINE_S) is None
    wait_until(lambda: capture.status.state is SourceState.ENDED, "it ends")
    assert capture.status.problem == "the video is damaged"


def test_stop_wakes_who_waits_and_what_waits_can_be_taken() -> None:
    source = Scripted(1)
    capture = Capture(source, settings())
    with capture:
        wait_until(lambda: len(source.given) == 1, "a frame is read")
        assert not capture.is_over
    assert capture.status.state is SourceState.STOPPED
    waiting = capture.next(DEADLINE_S)
    assert waiting is not None and waiting.number == 1
    assert capture.next(DEADLINE_S) is None and capture.is_over


def test_a_trigger_takes_the_first_frame_that_arrives_after_it(start: Start) -> None:
    source = Scripted(1, 2, 3)
    capture = start(source, "http")
    source.wait_for(3)
    assert capture.next(0.0) is None
    assert capture.status.state is SourceState.WAITING
    capture.trigger()
    source.put(4, 5, 6)
    taken = capture.next(DEADLINE_S)
    assert taken is not None and taken.number == 4
    source.wait_for(6)
    assert capture.next(0.0) is None
    assert (capture.status.frames, capture.status.skipped) == (1, 0)


def test_triggered_frames_wait_in_their_order(start: Start) -> None:
    source = Scripted()
    capture = start(source, "http")
    wait_until(lambda: capture.status.state is SourceState.WAITING, "it waits")
    for number in (1, 2, 3):
        capture.trigger()
        source.put(number)
        source.wait_for(number)
    taken = [capture.next(DEADLINE_S) for _ in range(3)]
    assert [given.number for given in taken if given is not None] == [1, 2, 3]


def test_triggers_before_one_frame_take_it_together(start: Start) -> None:
    source = Scripted()
    capture = start(source, "http")
    wait_until(lambda: capture.status.state is SourceState.WAITING, "it waits")
    for _ in range(3):
        capture.trigger()
    source.put(1, 2)
    source.wait_for(2)
    taken = capture.next(DEADLINE_S)
    assert taken is not None and taken.number == 1
    assert capture.next(0.0) is None
    assert capture.status.skipped == 2


def test_each_trigger_takes_the_next_one_of_a_source_that_is_not_live(start: Start) -> None:
    source = Scripted(1, 2, 3, is_live=False)
    capture = start(source, "http")
    wait_until(lambda: capture.status.state is SourceState.WAITING, "it waits")
    assert capture.next(0.0) is None
    capture.trigger()
    capture.trigger()
    taken = [capture.next(DEADLINE_S), capture.next(DEADLINE_S)]
    assert [given.number for given in taken if given is not None] == [1, 2]
    assert source.given == [1, 2]


def test_triggers_that_cannot_be_taken_are_refused(start: Start) -> None:
    free = start(Scripted())
    with pytest.raises(SettingError, match=r"^the source belt runs free, .*: set its trigger to 'http'$"):
        free.trigger()
    lost = Scripted()
    lost.openings = [SourceError("no camera")] * 100_000
    capture = start(lost, "http")
    wait_until(lambda: capture.status.state is SourceState.LOST, "it is lost")
    with pytest.raises(SourceError, match=r"^the source belt must be waiting .* is lost \(no camera\): trigger again"):
        capture.trigger()
    busy = start(Scripted(), "http")
    wait_until(lambda: busy.status.state is SourceState.WAITING, "it waits")
    for _ in range(MOST_TRIGGERED):
        busy.trigger()
    with pytest.raises(BusyError, match=r"^the source belt lets up to 16 triggers wait .*: trigger more slowly"):
        busy.trigger()


def test_triggers_that_waited_when_the_source_was_lost_are_counted(start: Start) -> None:
    source = Scripted()
    capture = start(source, "http")
    wait_until(lambda: capture.status.state is SourceState.WAITING, "it waits")
    capture.trigger()
    source.put(SourceError("unplugged"), 1)
    source.wait_for(1)
    assert capture.next(0.0) is None
    assert capture.status.skipped == 1
