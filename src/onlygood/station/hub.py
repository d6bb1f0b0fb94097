"""Events of a station, and who is told of them: a slow subscriber loses the oldest and delays nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Lock

from onlygood.station.schemas import Event

# Events that wait for one subscriber.
MOST_WAITING = 256


class Subscription:
    """The events since it began that were not taken yet, the newest MOST_WAITING of them.

    Attributes:
        lost: how many were passed over because they were not taken in time.
    """

    def __init__(self, woken: Callable[[], None] | None) -> None:
        self._events: deque[tuple[int, Event]] = deque()
        self._changed = Condition()
        self._woken = woken
        self.lost = 0

    def put(self, number: int, event: Event) -> None:
        """Add one event."""
        with self._changed:
            if len(self._events) >= MOST_WAITING:
                self._events.popleft()
                self.lost += 1
            self._events.append((number, event))
            self._changed.notify()
        if self._woken is not None:
            self._woken()

    def take(self, timeout_s: float = 0.0) -> list[tuple[int, Event]]:
        """What waits, with the numbers of the events; empty where nothing came within the time."""
        with self._changed:
            if timeout_s:
                self._changed.wait_for(lambda: self._events, timeout_s)
            taken = list(self._events)
            self._events.clear()
            return taken


class Hub:
    """Tells subscribers of events, in the order of their numbers."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._lock = Lock()
        self._number = 0

    def publish(self, event: Event) -> None:
        """Tell everyone who subscribes."""
        with self._lock:
            self._number += 1
            for each in self._subscriptions:
                each.put(self._number, event)

    @contextmanager
    def subscribed(self, woken: Callable[[], None] | None = None) -> Iterator[Subscription]:
        """A subscription, while it lasts.

        Args:
            woken: called on the publisher's thread after each event; it must return at once. An event loop is woken
                with its `call_soon_threadsafe`.
        """
        subscription = Subscription(woken)
        with self._lock:
            self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.remove(subscription)

    @property
    def subscribers(self) -> int:
        """How many there are now."""
        return len(self._subscriptions)
