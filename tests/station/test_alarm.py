from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from onlygood.station.alarm import AlarmWindow
from onlygood.station.station_settings import Alarm


def switched(m: int, n: int, verdicts: Sequence[int]) -> list[tuple[int, bool]]:
    """After which images, from 1, the alarm was switched, and to what."""
    window = AlarmWindow(Alarm(m=m, n=n))
    found = []
    for number, verdict in enumerate(verdicts, 1):
        reading = window.add(float(verdict), is_anomaly=bool(verdict))
        if reading.has_changed:
            found.append((number, reading.is_alarmed))
    return found


@pytest.mark.parametrize(
    ("m", "n", "verdicts", "expected"),
    [
        # One anomalous image is no alarm, nor are two of three.
        (3, 5, [1, 0, 0, 1, 0, 0, 1], []),
        # The third of five, then off when one of the last five is left.
        (3, 5, [1, 0, 1, 0, 1, 0, 0, 0, 0], [(5, True), (8, False)]),
        # It stays on while the count is between.
        (3, 5, [1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0], [(3, True)]),
        # Without a window each verdict is the alarm.
        (1, 1, [0, 1, 1, 0, 1], [(2, True), (4, False), (5, True)]),
        (2, 2, [1, 1, 0, 1, 1], [(2, True), (3, False), (5, True)]),
        # All of them.
        (4, 4, [1, 1, 1, 0, 1, 1, 1, 1], [(8, True)]),
        (1, 3, [1, 0, 0, 0], [(1, True), (4, False)]),
    ],
)
def test_when_the_alarm_is_switched(m: int, n: int, verdicts: list[int], expected: list[tuple[int, bool]]) -> None:
    assert switched(m, n, verdicts) == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 10).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
)
def test_it_is_what_the_last_n_images_say(images: list[tuple[float, bool]], m_of_n: tuple[int, int]) -> None:
    m, n = m_of_n
    window = AlarmWindow(Alarm(m=m, n=n))
    was = False
    for number, (score, is_anomaly) in enumerate(images, 1):
        reading = window.add(score, is_anomaly=is_anomaly)
        last = images[max(0, number - n) : number]
        count = sum(each for _, each in last)
        assert (reading.images, reading.anomalous) == (len(last), count)
        assert reading.mean_score == pytest.approx(sum(each for each, _ in last) / len(last), abs=1e-6)
        if count >= m:
            assert reading.is_alarmed
        elif count <= m / 2 - 0.5 or count == 0:
            assert not reading.is_alarmed
        elif reading.is_alarmed:
            assert was  # between the two it stays as it was
        assert reading.has_changed == (reading.is_alarmed != was)
        was = reading.is_alarmed


def test_what_was_is_forgotten_on_reset() -> None:
    window = AlarmWindow(Alarm(m=2, n=3))
    assert not window.reset()
    window.add(1.0, is_anomaly=True)
    assert window.add(3.0, is_anomaly=True).is_alarmed
    assert window.reset()
    reading = window.add(5.0, is_anomaly=True)
    assert (reading.images, reading.mean_score, reading.is_alarmed, reading.has_changed) == (1, 5.0, False, False)


def test_an_alarm_that_no_images_can_raise_is_refused() -> None:
    with pytest.raises(ValidationError, match="m must be at most n, got 6 of 5"):
        Alarm(m=6)
