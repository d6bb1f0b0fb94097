from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from onlygood._parallel import map_in_order
from onlygood.errors import SettingError

PATIENCE_S = 10


def pool_threads() -> int:
    return sum(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_results_come_in_the_items_order(threads: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    assert list(map_in_order(work, range(50), threads=threads)) == [item * item for item in range(50)]
    assert list(map_in_order(work, [], threads=threads)) == []


def test_as_many_items_are_worked_on_at_once_as_there_are_threads() -> None:
    meeting = threading.Barrier(3)

    def work(item: int) -> int:
        # Passes only if three threads are here at the same time.
        meeting.wait(PATIENCE_S)
        return item

    assert list(map_in_order(work, range(9), threads=3)) == list(range(9))


@pytest.mark.parametrize("threads", [1, 3])
def test_few_results_wait_however_slow_the_one_who_asks(threads: int) -> None:
    taken, done = 0, 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    most = 0
    for _ in map_in_order(lambda item: item, items(), threads=threads):
        done += 1
        most = max(most, taken - done)
        time.sleep(0.001)
    assert (taken, done) == (100, 100)
    assert threads <= most <= 2 * threads


def test_an_error_arrives_after_the_results_before_it_and_ends_the_work() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        if item == 4:
            raise KeyError("image 4")
        return item

    results = map_in_order(work, range(1000), threads=2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="image 4"):
        next(results)
    assert len(started) <= 4 + 2 * 2
    assert pool_threads() == 0


def test_an_error_of_the_items_arrives_too() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(map_in_order(lambda item: item, items(), threads=2))
    assert pool_threads() == 0

    def broken() -> Iterator[int]:
        raise OSError("no disk at all")
        yield 0

    with pytest.raises(OSError, match="no disk at all"):
        list(map_in_order(lambda item: item, broken(), threads=2))
    assert pool_threads() == 0


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    release = threading.Event()
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        if item:
            release.wait(PATIENCE_S)
        return item

    results = map_in_order(work, range(1000), threads=2)
    assert next(results) == 0
    # Two are running, one more is waiting for a thread; give up while they do.
    while not {1, 2} <= set(started):
        time.sleep(0.001)
    closing = threading.Thread(target=results.close)  # type: ignore[attr-defined]
    closing.start()
    time.sleep(0.05)
    release.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert sorted(started) == [0, 1, 2]


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(SettingError, match=r"threads must be 0 \(one a core\) or more, got -2"):
        list(map_in_order(lambda item: item, [1], threads=-2))
