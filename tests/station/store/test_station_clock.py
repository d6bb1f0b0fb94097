"""A clock that is set wrongly is noticed, and believed only after it has lasted."""

from datetime import UTC, datetime, timedelta

import pytest

from onlygood.station.store.clock import Clock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86_400.0


class Time:
    """A clock and what really passes."""

    def __init__(self) -> None:
        self.passed_s = 1000.0
        self.ahead_s = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed_s - 1000.0 + self.ahead_s)

    def clock(self, believed_at: datetime | None = None) -> Clock:
        return Clock(self.now, believed_at=believed_at, steady=lambda: self.passed_s)


def test_a_clock_that_goes_on_is_believed() -> None:
    time = Time()
    clock = time.clock()
    for _ in range(400):
        time.passed_s += DAY
        time.ahead_s += 50.0  # a bad quartz, set again and again
        assert clock.shift_s() == 0.0 and clock.problem() is None
        assert clock.believed() == clock.now() == time.now()


@pytest.mark.parametrize(("ahead_s", "is_noticed"), [(60.0, False), (61.0, True), (-60.0, False), (-61.0, True)])
def test_a_minute_is_the_bound(ahead_s: float, is_noticed: bool) -> None:
    time = Time()
    clock = time.clock()
    time.ahead_s = ahead_s
    assert (clock.believed() is None) == is_noticed


def test_ten_years_ahead_are_not_believed_and_coming_back_is() -> None:
    time = Time()
    clock = time.clock()
    time.ahead_s = 3650 * DAY
    assert clock.problem() == (
        "the clock of this computer is 3650 days ahead of what it said before: no image is let go by its age until the "
        "clock is set right or is said to be right"
    )
    time.passed_s += 300 * DAY
    assert clock.believed() is None
    time.ahead_s = 0.0
    assert clock.problem() is None and clock.believed() == time.now()


def test_a_change_is_believed_after_it_has_lasted() -> None:
    time = Time()
    clock = time.clock()
    time.ahead_s = 7 * DAY  # it slept for a week
    assert clock.shift_s() == 7 * DAY
    time.passed_s += 7 * DAY - 1
    assert clock.believed() is None
    time.passed_s += 1
    assert clock.believed() == time.now()


def test_a_small_change_is_believed_after_a_day() -> None:
    time = Time()
    clock = time.clock()
    time.ahead_s = 3600.0
    assert clock.believed() is None
    time.passed_s += DAY
    assert clock.believed() == time.now()


def test_a_clock_that_is_set_back_says_so() -> None:
    time = Time()
    clock = time.clock()
    time.ahead_s = -90 * 60.0
    assert clock.problem() == (
        "the clock of this computer was set back by 90 minutes: new inspections say earlier times than older ones, and "
        "their numbers tell the order; set the clock right, or say that it is right"
    )
    time.passed_s += DAY
    assert clock.problem() is None


def test_a_person_can_say_that_it_is_right() -> None:
    time = Time()
    clock = time.clock()
    time.ahead_s = 3650 * DAY
    assert clock.believed() is None
    clock.trust()
    assert clock.believed() == time.now() and clock.problem() is None


@pytest.mark.parametrize(
    ("off", "is_believed"),
    [
        (timedelta(days=-1), False),
        (timedelta(seconds=-30), True),
        (timedelta(days=30), True),
        (timedelta(days=32), False),
        (timedelta(days=3650), False),
    ],
)
def test_a_start_long_after_the_last_time_that_was_believed(off: timedelta, is_believed: bool) -> None:
    clock = Time().clock(believed_at=START - off)
    assert (clock.believed() is not None) == is_believed
    assert (clock.problem() is None) == is_believed
