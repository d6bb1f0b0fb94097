"""The line on stderr while a run lasts."""

import time

import pytest

from benchmarks import progress
from benchmarks.progress import running


def test_a_line_says_which_run_it_is_and_is_drawn_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S_ELSEWHERE", 0.01)
    with running("tiles / all / patch / seed 0", number=2, total=3):
        deadline = time.monotonic() + 30
        shown = ""
        while shown.count("[2/3] tiles / all / patch / seed 0 (00:") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
            shown += capsys.readouterr().err
    assert shown.count("[2/3] tiles / all / patch / seed 0 (00:") >= 3
    assert capsys.readouterr().out == ""


def test_an_error_ends_the_line_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="boom"), running("tiles", number=1, total=1):
        raise RuntimeError("boom")
    assert "[1/1] tiles" in capsys.readouterr().err
