"""Events reach every subscriber in their order; a slow one loses the oldest and delays nobody."""

from __future__ import annotations

from onlygood.station.hub import MOST_WAITING, Hub
from onlygood.station.schemas import Event


def _event(number: int) -> Event:
    return Event(kind="health", problem=str(number))


def test_each_subscriber_gets_each_event_since_it_began():
    hub = Hub()
    hub.publish(_event(0))
    with hub.subscribed() as first:
        hub.publish(_event(1))
        with hub.subscribed() as second:
            hub.publish(_event(2))
            assert [(number, event.problem) for number, event in first.take()] == [(2, "1"), (3, "2")]
            assert [event.problem for _, event in second.take()] == ["2"]
            assert hub.subscribers == 2
        hub.publish(_event(3))
        assert second.take() == []
        assert [event.problem for _, event in first.take(1.0)] == ["3"]
    assert hub.subscribers == 0


def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many():
    hub = Hub()
    with hub.subscribed() as slow:
        for number in range(MOST_WAITING + 7):
            hub.publish(_event(number))
        taken = slow.take()
    assert slow.lost == 7
    assert [event.problem for _, event in taken] == [str(number) for number in range(7, MOST_WAITING + 7)]


def test_a_subscriber_is_woken_for_each_event():
    hub, woken = Hub(), []
    with hub.subscribed(lambda: woken.append(1)):
        hub.publish(_event(1))
        hub.publish(_event(2))
    hub.publish(_event(3))
    assert len(woken) == 2
