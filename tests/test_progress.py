from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from onlygood._progress import track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("show", [True, False])
def test_nothing_is_drawn_where_nobody_watches(show: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO() if show else Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(track(range(5), total=5, description="embedding", show=show)) == [0, 1, 2, 3, 4]
    assert stderr.getvalue() == ""


def test_a_terminal_gets_a_bar_with_the_description(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(track(range(5), total=5, description="embedding", show=True)) == [0, 1, 2, 3, 4]
    assert "embedding" in stderr.getvalue()
    assert "0/5" in stderr.getvalue()


@pytest.mark.parametrize("show", [True, False])
def test_items_are_taken_only_as_they_are_asked_for(show: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    taken = []

    def items() -> Iterator[int]:
        for item in range(5):
            taken.append(item)
            yield item

    tracked = track(items(), total=5, description="embedding", show=show)
    assert taken == []
    next(tracked)
    assert taken == [0]
    tracked.close()  # type: ignore[attr-defined]
