"""What waits between two threads, by a clock that the test sets."""

import pytest

from onlygood.station.frames import hand_over
from onlygood.station.frames.backoff import Backoff
from onlygood.station.frames.hand_over import HandOver
from scripted import frame


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hand_over, "time", clock)
    return clock


def test_at_most_so_many_in_a_second_and_the_newest_of_each_time(clock: Clock) -> None:
    frames = HandOver(max_frames_per_s=4.0)
    taken = []
    for number in range(1, 101):  # 32 a second
        frames.put_newest(frame(number))
        if (given := frames.take(0.0)) is not None:
            taken.append(given.number)
        clock.now += 1 / 32
    assert taken == list(range(1, 101, 8))
    # the others were passed over for the rate alone, and not because the consumer was slow
    assert frames.skipped == 0


def test_what_comes_while_the_consumer_is_busy_is_skipped_also_with_a_rate(clock: Clock) -> None:
    frames = HandOver(max_frames_per_s=10.0)
    frames.put_newest(frame(1))
    assert frames.take(0.0) is not None
    clock.now += 1.0
    for number in (2, 3, 4):
        frames.put_newest(frame(number))
    assert frames.skipped == 2


def test_the_rate_over_the_last_seconds(clock: Clock) -> None:
    frames = HandOver()
    assert frames.frames_per_s() == 0.0
    for number in range(1, 41):
        frames.put_newest(frame(number))
        assert frames.take(0.0) is not None
        clock.now += 0.25
    assert frames.frames_per_s(window_s=5.0) == pytest.approx(4.0, abs=0.21)
    clock.now += 60
    assert frames.frames_per_s() == 0.0


def test_closing_lets_nothing_more_in(clock: Clock) -> None:
    frames = HandOver()
    assert frames.wait_for_room(0.0)
    frames.put_behind(frame(1))
    frames.close()
    assert not frames.wait_for_room(0.0) and not frames.is_over
    assert frames.take(60.0) is not None
    assert frames.take(60.0) is None and frames.is_over


def test_pauses_double_up_to_the_longest_and_begin_again() -> None:
    pauses = Backoff(0.5, 30.0, seed=0)
    full = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    for longest, got in zip(full, (pauses.next_s() for _ in full), strict=True):
        assert 0.75 * longest <= got <= longest
    pauses.reset()
    assert pauses.next_s() <= 0.5
    assert Backoff(seed=1).next_s() != Backoff(seed=2).next_s()
