"""What waits is delivered in order, each output for itself, and nothing twice that is known to be taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from threading import Event

import pytest
from waiting_records import MemoryOutbox, quick_pauses, records, wait_until

from onlygood.errors import OutputError
from onlygood.station.outputs.delivery import BATCH, Delivery
from onlygood.station.outputs.pauses import Pauses
from onlygood.station.schemas import InspectionRecord


class Shelf:
    """An output that a test breaks: `behave` is called with what is handed over."""

    kind = "shelf"

    def __init__(self, name: str, behave: Callable[[Sequence[InspectionRecord]], None] = lambda _: None) -> None:
        self.name = name
        self.behave = behave
        self.ids: list[int] = []
        self.opened = self.closed = 0
        self.check_problem: Exception | None = None

    def open(self) -> None:
        self.opened += 1

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        self.behave(records)
        self.ids += [each.id for each in records]

    def check(self) -> None:
        if self.check_problem is not None:
            raise self.check_problem

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()


@pytest.fixture
def start(outbox: MemoryOutbox) -> Iterator[Callable[..., Delivery]]:
    started: list[Delivery] = []

    def run(*outputs: Shelf) -> Delivery:
        delivery = Delivery(outbox, outputs, pauses=quick_pauses, idle_s=0.02)
        started.append(delivery)
        delivery.start()
        return delivery

    yield run
    for each in started:
        assert each.stop()


def test_what_waits_and_what_comes_is_delivered_in_order(outbox, start):
    outbox.put("a", records(1, 3 * BATCH + 7))
    shelf = Shelf("a")
    delivery = start(shelf)
    outbox.put("a", records(3 * BATCH + 8, 3 * BATCH + 20))
    delivery.wake()
    wait_until(lambda: outbox.count("a") == 0, "delivery")
    assert shelf.ids == list(range(1, 3 * BATCH + 21))
    wait_until(lambda: delivery.statuses()[0].delivered == 3 * BATCH + 20, "the count")
    assert delivery.statuses()[0].waiting == 0
    assert delivery.statuses()[0].problem is None


def test_an_inspection_either_waits_or_is_delivered_at_every_moment(outbox, start, monkeypatch):
    is_removed, is_asked = Event(), Event()
    remove, count = outbox.delivered, outbox.count

    def delivered(output: str, ids: Sequence[int]) -> None:
        remove(output, ids)
        is_removed.set()
        is_asked.wait(0.2)  # somebody asks for the status before it is known how many were delivered

    def slow_count(output: str) -> int:
        waiting = count(output)
        is_asked.set()
        return waiting

    monkeypatch.setattr(outbox, "delivered", delivered)
    monkeypatch.setattr(outbox, "count", slow_count)
    outbox.put("a", records(1, 1))
    delivery = start(Shelf("a"))
    assert is_removed.wait(30.0)
    [status] = delivery.statuses()
    assert status.delivered + status.waiting == 1


def test_wake_alone_is_enough(outbox):
    shelf = Shelf("a")
    delivery = Delivery(outbox, [shelf], idle_s=3600.0)
    delivery.start()
    try:
        for number in range(1, 20):
            outbox.put("a", records(number, number))
            delivery.wake()
            wait_until(lambda number=number: shelf.ids == list(range(1, number + 1)), "delivery")
    finally:
        assert delivery.stop()


def test_what_was_taken_is_not_handed_over_again(outbox, start):
    handed_over = []

    def takes_three(given):
        handed_over.append([each.id for each in given])
        if len(given) > 3:
            raise OutputError("the other side went away: look after it", taken=3)

    outbox.put("a", records(1, 10))
    start(Shelf("a", takes_three))
    wait_until(lambda: outbox.count("a") == 0, "delivery")
    assert handed_over == [[1], [2, 3], [4, 5, 6, 7], [7], [8, 9], [10]]


def test_a_slow_output_is_handed_over_few_at_once(outbox, start, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr("onlygood.station.outputs.delivery.QUICK_S", 0.0)
    outbox.put("slow", records(1, 10))
    start(Shelf("slow", lambda given: sizes.append(len(given))))
    wait_until(lambda: outbox.count("slow") == 0, "delivery")
    assert sizes == [1] * 10


def test_a_quick_output_is_handed_over_many_at_once(outbox, start, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr("onlygood.station.outputs.delivery.QUICK_S", 3600.0)
    outbox.put("quick", records(1, 4 * BATCH - 1))
    start(Shelf("quick", lambda given: sizes.append(len(given))))
    wait_until(lambda: outbox.count("quick") == 0, "delivery")
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_one_that_blocks_delays_no_other(outbox, start):
    released = Event()
    blocked, free = Shelf("blocked", lambda _: released.wait(60)), Shelf("free")
    delivery = start(blocked, free)
    outbox.put("blocked", records(1, 5))
    outbox.put("free", records(1, 5))
    delivery.wake()
    wait_until(lambda: free.ids == [1, 2, 3, 4, 5], "delivery to the other")
    assert blocked.ids == []
    assert [each.waiting for each in delivery.statuses()] == [5, 0]
    released.set()
    wait_until(lambda: blocked.ids == [1, 2, 3, 4, 5], "delivery to the blocked one")


def test_the_problem_is_told_until_it_works_again(outbox, start, caplog):
    caplog.set_level(logging.INFO, logger="onlygood.station")
    is_down = True

    def refuses(_):
        if is_down:
            raise OutputError("the broker is not there: start it")

    outbox.put("a", records(1, 2))
    shelf = Shelf("a", refuses)
    delivery = start(shelf)
    wait_until(lambda: len(outbox.problems) > 3, "some attempts")
    assert delivery.statuses()[0].problem == "the broker is not there: start it"
    is_down = False
    wait_until(lambda: shelf.ids == [1, 2], "delivery")
    wait_until(lambda: delivery.statuses()[0].problem is None, "the end of the problem")
    assert set(outbox.problems) == {"the broker is not there: start it"}
    told = [each.getMessage() for each in caplog.records]
    assert told == ["the broker is not there: start it; what waits is delivered later", "output 'a' works again"]
    assert shelf.closed == 0


def test_an_unexpected_error_is_a_sentence_with_a_traceback_in_the_log_and_tried_again(outbox, start, caplog):
    failures = iter([ValueError("no such register"), ValueError("no such register")])

    def has_a_bug(_):
        for error in failures:
            raise error

    outbox.put("a", records(1, 2))
    shelf = Shelf("a", has_a_bug)
    start(shelf)
    wait_until(lambda: shelf.ids == [1, 2], "delivery")
    sentence = "output 'a' failed unexpectedly with ValueError: no such register"
    assert outbox.problems == [sentence, sentence]
    assert shelf.closed == 2
    (logged,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert logged.exc_info[0] is ValueError


def test_a_broken_database_costs_no_repetition(outbox, start):
    def breaks_the_database(given):
        outbox.is_broken = given[0].id == 1

    outbox.put("a", records(1, 5))
    shelf = Shelf("a", breaks_the_database)
    delivery = start(shelf)
    wait_until(lambda: delivery.statuses()[0].problem is not None, "a problem")
    assert delivery.statuses()[0].problem == "the database is locked: end the other program"
    outbox.is_broken = False
    outbox.put("a", records(6, 7))
    wait_until(lambda: outbox.count("a") == 0, "delivery")
    assert shelf.ids == [1, 2, 3, 4, 5, 6, 7]
    assert shelf.closed == 0


def test_a_lost_connection_is_known_before_it_is_needed(outbox, start):
    shelf = Shelf("a")
    delivery = start(shelf)
    shelf.check_problem = OutputError("the controller does not answer: look after it")
    wait_until(lambda: delivery.statuses()[0].problem is not None, "a problem")
    opened = shelf.opened
    wait_until(lambda: shelf.opened > opened, "another attempt")
    shelf.check_problem = None
    wait_until(lambda: delivery.statuses()[0].problem is None, "the end of the problem")


def test_stop_says_who_is_late(outbox, caplog):
    released, entered = Event(), Event()

    def block(_):
        entered.set()
        released.wait(60)

    outbox.put("slow", records(1, 1))
    delivery = Delivery(outbox, [Shelf("slow", block), Shelf("other")])
    delivery.start()
    assert entered.wait(30)
    assert not delivery.stop(timeout_s=0.01)
    assert [each.getMessage() for each in caplog.records] == [
        "output 'slow' did not end within 0.01 s: what it did not deliver waits for the next start"
    ]
    released.set()
    assert delivery.stop()
    assert outbox.count("slow") == 0


def test_stop_without_start(outbox):
    assert Delivery(outbox, [Shelf("a")]).stop()


def test_pauses_double_up_to_the_longest_and_are_spread():
    pauses = Pauses(first_s=1.0, longest_s=8.0, seed=3)
    for bound in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
        assert bound / 2 <= pauses.next_s() <= bound
    pauses.reset()
    assert 0.5 <= pauses.next_s() <= 1.0
    assert len({Pauses(seed=seed).next_s() for seed in range(50)}) == 50


def test_pauses_of_years_of_failures():
    pauses = Pauses(first_s=1.0, longest_s=60.0, seed=3)
    pauses.failures = 10**9
    assert 30.0 <= pauses.next_s() <= 60.0


def test_the_other_side_may_ask_for_more_patience_up_to_the_longest_pause():
    assert Pauses(first_s=0.1, longest_s=60.0).next_s(at_least_s=7.0) == 7.0
    assert Pauses(first_s=0.1, longest_s=60.0).next_s(at_least_s=86400.0) == 60.0
