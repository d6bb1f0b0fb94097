"""How numbers are written on pages, what a file's address says, and the colours that a canvas gets."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import onlygood
from onlygood.graph.verdict import CalibrationScores
from onlygood.heatmap import scale_positions, scale_table
from onlygood.station.schemas import ObservedShare, VersionRates
from onlygood.station.web.pages.files import static_files
from onlygood.station.web.pages.guarantee_pages import WIDTH, gauge_of
from onlygood.station.web.pages.rendering import (
    first_sentence,
    format_bytes,
    format_duration,
    format_score,
    format_share,
    query,
    static_digest,
    static_root,
)
from onlygood.station.web.pages.score_histogram import histogram
from tests.station.pages.conftest import PATCH


@pytest.mark.parametrize(
    ("score", "written"),
    [
        (0, "0"),
        (-0.4218, "-0.42"),
        (12.3456, "+12.35"),
        (1234.5, "+1,234.50"),
        (0.00342, "+0.0034"),
        (-1e-9, "-1.0e-09"),
    ],
)
def test_scores_have_a_sign_and_digits_that_say_something(score: float, written: str) -> None:
    assert format_score(score) == written.replace("-", "\N{MINUS SIGN}")


def test_sizes_shares_and_times_are_in_the_unit_of_their_size() -> None:
    assert [format_bytes(size) for size in (0, 999, 1000, 12_345_678, 21_000_000_000, 3 * 10**15)] == [
        "0 B", "999 B", "1 kB", "12.3 MB", "21 GB", "3e+03 TB",
    ]  # fmt: skip
    assert [format_share(share).replace("\N{NARROW NO-BREAK SPACE}", " ") for share in (0, 0.05, 0.123, 0.0012, 1)] == [
        "0 %", "5 %", "12.3 %", "0.12 %", "100 %",
    ]  # fmt: skip
    assert [format_duration(seconds) for seconds in (0, 59.9, 61, 3600, 90_061)] == [
        "0 s", "59 s", "1 min 1 s", "1 h", "1 d 1 h",
    ]  # fmt: skip


def test_the_first_sentence_ends_at_no_decimal_point() -> None:
    said = "About 0.05 of good images (90% interval 0.011 to 0.13). With threshold_rule conformal, at most 0.077."
    assert first_sentence(said) == "About 0.05 of good images (90% interval 0.011 to 0.13)."
    assert first_sentence("At most 0.05 of good images.") == "At most 0.05 of good images."


def test_an_address_has_what_is_asked_for_alone() -> None:
    assert query({"model": "part", "verdict": "", "label": None}) == "?model=part"
    assert query({"model": "part"}, model="", name="a b&c") == "?name=a+b%26c"
    assert query({}) == ""


def test_static_files_have_an_address_that_changes_with_them() -> None:
    files = static_files()
    assert static_root() == f"/static/{static_digest()}"
    assert {"base.js", "live.js", "station.css", "colours.css", "map_scale.js", "vendor/htmx-4.0.1.min.js"} <= set(
        files
    )
    # Nothing is loaded from elsewhere, and nothing that a policy without eval would stop.
    for path, (content, media_type) in files.items():
        text = content.decode("utf-8")
        if media_type.startswith("text/css"):
            assert not re.search(r"url\(|@import", text), path
        elif "vendor" not in path and path.endswith(".js"):
            assert not re.search(r"https?://|\beval\(|new Function|\.onclick|innerHTML\s*\+?=\s*`", text), path


def test_a_canvas_gets_the_colours_of_the_reports() -> None:
    script = static_files()["map_scale.js"][0].decode()
    assert "HIGH = 51;" in script
    numbers = re.search(r"\[(.*)\]", script)
    assert numbers is not None
    words = np.array([int(each) for each in numbers[1].split(",")], "<u4")
    assert (words.view(np.uint8).reshape(256, 4) == scale_table()).all()
    # Typical is clear, high has the colour and opacity of the overlay, and what is beyond 16 times high is the last.
    assert scale_table()[0, 3] == 0
    positions = scale_positions(np.array([0.0, 1.0, 2.0, 4.0, 1000.0], np.float32), (0.0, 1.0))
    assert positions.tolist() == [0, 51, 102, 153, 255]


def test_the_bars_of_a_histogram_hold_every_score_on_its_side_of_the_threshold() -> None:
    scores = np.sort(np.random.default_rng(0).normal(10, 2, 200)).astype(np.float32)
    calibration = CalibrationScores(scores=scores, weights=np.full(200, 1 / 201), groups=200, threshold=13.0)
    drawn = histogram(calibration)
    tallest = max(bar.height for bar in drawn.bars)
    per_unit = tallest / max(np.histogram(scores - 13.0, bins=np.arange(-60, 60) * _step(scores - 13.0))[0])
    above = sum(bar.height for bar in drawn.bars if bar.is_above) / per_unit
    assert drawn.above == int((scores > 13).sum()) == round(above)
    assert round(sum(bar.height for bar in drawn.bars) / per_unit) == drawn.count == 200
    for bar in drawn.bars:
        assert bar.is_above == (bar.x > drawn.threshold - 1)


def _step(scores: np.ndarray) -> float:
    span = max(float(scores.max()), 0.0) - min(float(scores.min()), 0.0)
    return span / min(40, max(8, 2 * round(math.sqrt(len(scores)))))


def test_the_histogram_of_a_model_in_a_file_is_drawn() -> None:
    scores = onlygood.Inspector(PATCH).calibration_scores
    assert scores is not None
    drawn = histogram(scores)
    assert drawn.count == len(scores.scores)
    assert all(math.isfinite(value) for bar in drawn.bars for value in (bar.x, bar.y, bar.width, bar.height))


def test_the_gauge_of_a_guarantee_holds_what_is_possible_and_what_was_asked_for() -> None:
    def share(events: int, trials: int, low: float, high: float) -> ObservedShare:
        return ObservedShare(events=events, trials=trials, value=events / trials, low=low, high=high, confidence=0.95)

    rates = VersionRates(
        model="part",
        version=1,
        model_sha256="0" * 64,
        false_alarm_rate=0.05,
        inspections=100,
        anomalous=None,
        marked_good=2,
        marked_defects=0,
        unmarked_alarms=3,
        false_alarms=2,
        false_alarms_at_least=share(2, 97, 0.003, 0.07),
        false_alarms_at_most=share(5, 100, 0.016, 0.113),
        misses=None,
        verdict="open",
        sentences=(),
    )
    gauge = gauge_of(rates)
    assert gauge is not None
    assert gauge.end == pytest.approx(1.15 * 0.113)
    assert gauge.asked_for == pytest.approx(WIDTH * 0.05 / gauge.end, abs=0.1)
    assert 0 < gauge.low < gauge.least < gauge.most < gauge.high < WIDTH
    assert gauge_of(rates.model_copy(update={"false_alarms_at_least": None})) is None
