"""The bounded pool: refusal at once, order, time-outs, cancelling, closing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, get_ident

import pytest

from onlygood.errors import BusyError
from onlygood.station.serving.pool import Pool

# How long a test waits for what must happen.
DEADLINE_S = 30.0


@pytest.fixture
def made() -> Iterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(**settings: float) -> Pool:
        pools.append(Pool(**settings))  # type: ignore[arg-type]
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


class Gate:
    """Work that holds one thread of a pool until it is let go."""

    def __init__(self, pool: Pool) -> None:
        self.begun, self.opened = Event(), Event()
        self.future = pool.submit(self._hold)
        assert self.begun.wait(DEADLINE_S)

    def _hold(self) -> str:
        self.begun.set()
        assert self.opened.wait(DEADLINE_S)
        return "held"


def test_results_and_errors_arrive(made):
    pool = made(workers=2)
    assert [pool.submit(lambda n=n: n * n).result(DEADLINE_S) for n in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(DEADLINE_S)
    # and the thread goes on after an error
    assert pool.submit(lambda: "next").result(DEADLINE_S) == "next"


def test_work_is_done_in_the_order_in_which_it_came(made):
    pool, order = made(workers=1), []
    gate = Gate(pool)
    futures = [pool.submit(lambda n=n: order.append(n)) for n in range(20)]
    gate.opened.set()
    for future in futures:
        future.result(DEADLINE_S)
    assert order == list(range(20))


def test_a_full_queue_refuses_at_once_and_says_when_to_ask_again(made):
    pool = made(workers=1, queue_size=2)
    gate = Gate(pool)
    waiting = [pool.submit(lambda: None) for _ in range(2)]
    assert pool.queued == 2
    with pytest.raises(BusyError, match="at most 2 images may wait to be inspected, and as many do") as refused:
        pool.submit(lambda: None)
    assert 1.0 <= refused.value.retry_after_s <= 60.0
    gate.opened.set()
    for future in waiting:
        future.result(DEADLINE_S)
    assert pool.submit(lambda: "room").result(DEADLINE_S) == "room"


def test_who_may_wait_for_room_gets_it(made):
    pool = made(workers=1, queue_size=1)
    gate = Gate(pool)
    pool.submit(lambda: None)
    outcome: list[str] = []
    helper = made(workers=1)
    waits = helper.submit(lambda: outcome.append(pool.submit(lambda: "late", waits_s=DEADLINE_S).result(DEADLINE_S)))
    gate.opened.set()
    waits.result(DEADLINE_S)
    assert outcome == ["late"]


def test_work_that_waited_for_too_long_is_not_begun(made):
    pool = made(workers=1, queue_timeout_s=1e-9)
    gate_is_refused = pool.submit(lambda: pytest.fail("it was begun"))
    with pytest.raises(BusyError, match="may wait for 1e-09 seconds, and this one waited"):
        gate_is_refused.result(DEADLINE_S)


def test_work_that_was_cancelled_is_never_called(made):
    pool, called = made(workers=1), []
    gate = Gate(pool)
    future = pool.submit(lambda: called.append(1))
    assert future.cancel()
    gate.opened.set()
    pool.submit(lambda: None).result(DEADLINE_S)
    assert called == []


def test_closing_finishes_what_waits_and_refuses_what_comes():
    pool = Pool(workers=1)
    gate = Gate(pool)
    waiting = pool.submit(lambda: "done")
    closer = Pool(workers=1)
    closing = closer.submit(pool.close)
    while not pool._is_closed:
        pass
    with pytest.raises(BusyError, match="the station is stopping"):
        pool.submit(lambda: None)
    gate.opened.set()
    closing.result(DEADLINE_S)
    assert (gate.future.result(0), waiting.result(0)) == ("held", "done")
    closer.close()


def test_as_many_threads_as_asked_for_work_side_by_side(made):
    pool = made(workers=3)
    gates = [Gate(pool) for _ in range(3)]  # the third would never begin on two threads
    for gate in gates:
        gate.opened.set()
    assert pool.submit(get_ident).result(DEADLINE_S) != get_ident()
