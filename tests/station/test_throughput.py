"""How many a second there were, of late."""

from __future__ import annotations

from onlygood.station.throughput import WINDOW_S, Throughput


def test_it_is_what_came_in_the_window_or_since_the_beginning() -> None:
    now_s = 100.0
    throughput = Throughput(lambda: now_s)
    assert throughput.per_s == 0.0
    throughput.note()
    assert throughput.per_s == 1.0  # of the first second, as if it were over
    now_s += 4.0
    for _ in range(7):
        throughput.note()
    assert (throughput.per_s, throughput.uptime_s) == (2.0, 4.0)
    now_s += WINDOW_S - 3.0
    assert throughput.per_s == 7 / WINDOW_S  # the first one is forgotten
    now_s += 3.5
    assert throughput.per_s == 0.0
