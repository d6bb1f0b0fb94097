"""What is finished in any order is done in the order in which it was begun."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from onlygood.station.turns import Turns


def test_a_turn_waits_for_all_before_it_in_its_row_and_for_no_other_row():
    turns, done = Turns(), []
    first, second, other = turns.next("a"), turns.next("a"), turns.next("b")
    second.do(lambda: done.append("second"))
    assert done == []
    other.do(lambda: done.append("other"))
    assert done == ["other"]
    first.do(lambda: done.append("first"))
    assert done == ["other", "first", "second"]


def test_those_behind_a_turn_that_is_skipped_go_on_and_a_turn_is_taken_once():
    turns, done = Turns(), []
    first, second = turns.next("a"), turns.next("a")
    second.do(lambda: done.append(2))
    first.skip()
    first.do(lambda: done.append(1))
    second.skip()
    assert done == [2]


def test_threads_that_finish_in_any_order_keep_the_order():
    turns, done = Turns(), []
    waiting = [(turns.next("a"), number) for number in range(300)]
    random.Random(1).shuffle(waiting)
    with ThreadPoolExecutor(8) as threads:
        for turn, number in waiting:
            threads.submit(turn.skip if number % 7 == 0 else lambda t=turn, n=number: t.do(lambda: done.append(n)))
    assert done == [number for number in range(300) if number % 7]


def test_a_turn_may_begin_another_one():
    turns, done = Turns(), []
    turn = turns.next("a")

    def then() -> None:
        done.append(1)
        turns.next("a").do(lambda: done.append(2))

    turn.do(then)
    assert done == [1, 2]
