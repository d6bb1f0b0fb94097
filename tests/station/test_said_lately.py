"""What the log says now and then."""

from __future__ import annotations

from onlygood.station.said_lately import SaidLately


def test_the_same_sentence_is_news_again_after_a_while_and_after_it_worked():
    now = [0.0]
    said = SaidLately(600.0, clock=lambda: now[0])
    assert [said.is_news("a"), said.is_news("a"), said.is_news("b")] == [True, False, True]
    now[0] = 599.0
    assert not said.is_news("a")
    now[0] = 600.0
    assert said.is_news("a")
    said.forget()
    assert said.is_news("a")
