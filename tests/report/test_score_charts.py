import re
from itertools import combinations, pairwise

import numpy as np
import pytest

from onlygood.report import charts, score_charts
from onlygood.report.charts import MarkedPoint
from onlygood.report.score_charts import Scores
from page_reader import Element, read_page
from svg_reader import charts_of, points_of, size_of, texts_of, uprights_of
from textures import Array

RNG = np.random.default_rng(0)
GOOD, ANOMALOUS = RNG.normal(-1, 0.4, 90), RNG.normal(1, 1.0, 60)
# Where the threshold stands: in the middle, at either end, with outliers beside it.
PLACES = {
    "middle": np.linspace(-2, 2, 40),
    "right end": np.linspace(-2, -0.01, 40),
    "left end": np.linspace(0.01, 3, 40),
    "outliers": np.concatenate([np.linspace(-1, 2, 40), [40.0, -300.0]]),
    "one": np.array([-0.2]),
}


def page_of(chart: str) -> Element:
    return read_page(f"<!doctype html>\n<main>{chart}</main>".encode())


def draw_histogram(good: Array = GOOD, anomalous: Array = ANOMALOUS) -> str:
    groups = [Scores(f"{len(good)} good", good, False), Scores(f"{len(anomalous)} anomalous", anomalous, True)]
    return score_charts.histogram("h", groups, title="t", description="d")


def draw_shares(scores: Array, rate: float) -> str:
    shares = np.linspace(1, 0, len(scores) + 2)[1:-1]
    return score_charts.share_above(
        "s", np.sort(scores), shares, rate=rate, title="t", description="d", rate_name="estimated rate 5.0%"
    )


def check_texts(markup: str) -> None:
    """No text overlaps another one, the line of the threshold or the border of its chart."""
    for chart in charts_of(markup):
        texts, (width, height) = texts_of(chart), size_of(chart)
        assert len(texts) >= 4
        for one, other in combinations(texts, 2):
            assert not one.overlaps(other), (one, other)
        for text in texts:
            assert text.left >= -0.5 and text.right <= width + 0.5 and text.top >= -0.5 and text.bottom <= height + 0.5
            for x, top, bottom in uprights_of(chart, "ink"):
                assert not (text.left < x < text.right and text.top < bottom and top < text.bottom), (text, x)


@pytest.mark.parametrize("place", PLACES)
def test_no_label_of_a_histogram_lies_on_another_or_on_the_threshold(place: str) -> None:
    check_texts(draw_histogram(PLACES[place], PLACES[place][:5]))
    check_texts(
        score_charts.small_histogram("s", [Scores("40 good images", PLACES[place], None)], title="t", description="d")
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("rate", [0.005, 0.05, 0.4])
def test_no_label_of_shares_lies_on_another_on_the_threshold_or_on_the_curve(place: str, rate: float) -> None:
    markup = draw_shares(PLACES[place], rate)
    check_texts(markup)
    for chart in charts_of(markup):
        [label] = [text for text in texts_of(chart) if text.text == "dotted: estimated rate 5.0%"]
        curve = max(points_of(chart, "good"), key=len)
        assert label.bottom < min(y for _, y in curve), "it stands above the axes"


@pytest.mark.parametrize("form", [0, 1])
def test_an_outlier_is_drawn_where_it_lies(form: int) -> None:
    """40 beside scores from -1 to 2: a bar of its own at the tick that says 40, and the others are not squeezed."""
    scores = np.concatenate([np.linspace(-1, 2, 30), [40.0]])
    chart = charts_of(score_charts.histogram("h", [Scores("31 images", scores, False)], title="t", description="d"))[
        form
    ]
    texts = {text.text: (text.left + text.right) / 2 for text in reversed(texts_of(chart))}
    [corners] = points_of(chart, "good", filled=True)
    floor = max(y for _, y in corners)
    raised = [x for x, y in corners if y < floor]
    bar = [x for x in raised if x > texts["2"] + 20]
    assert min(bar) - 1 <= texts["40"] <= max(bar) + 1 and max(bar) - min(bar) < 30
    assert texts["2"] - texts["\N{MINUS SIGN}1"] > 0.55 * size_of(chart)[0]
    assert "score (on shaded ground: logarithmic)" in texts


def test_without_an_outlier_the_axis_is_not_said_to_be_logarithmic() -> None:
    assert "logarithmic" not in draw_histogram()


def test_no_label_of_a_curve_lies_on_another_on_a_mark_or_outside() -> None:
    """Points where a curve leaves little room, and many that lie close to each other."""
    x, y = [0.0, 0.0, 0.02, 0.1, 1.0], [1.0, 0.8, 0.3, 0.1, 0.0]
    for places in (
        [(0.0, 1.0), (0.0, 0.8), (0.02, 0.3), (0.1, 0.1)],
        [(0.0, 0.0), (0.005, 0.002), (0.02, 0.01), (0.05, 0.03)],
        [(1.0, 0.0), (0.9, 0.0), (0.8, 0.01), (0.7, 0.05)],
        [(0.0, 0.5), (0.0, 0.45), (0.0, 0.4), (0.0, 0.35)],
    ):
        points = [MarkedPoint(*place, f"{number}.0%", is_own=number == 1) for number, place in enumerate(places)]
        markup = charts.misses_against_false_alarms("m", x, y, points=points, title="t", description="d")
        check_texts(markup)
        for chart in charts_of(markup):
            marks = [
                (float(use.attrib["x"]), float(use.attrib["y"]))
                for use in chart.iter("use")
                if "fill: var(--ink)" in use.attrib["style"] or "fill: var(--anomalous)" in use.attrib["style"]
            ]
            assert len(marks) == len(places)
            for text in texts_of(chart):
                for left, top in marks:
                    assert not (text.left < left < text.right and text.top < top < text.bottom), (text, left, top)


@pytest.mark.parametrize("at", [(0.0, 0.6), (0.0, 1.0), (1.0, 1.0), (0.9, 0.2), (0.5, 0.5), (0.0, 0.0)])
def test_the_name_of_the_models_threshold_lies_off_the_curve(at: tuple[float, float]) -> None:
    markup = charts.roc("r", [0, 0, 0.5, 1], [0, 0.6, 0.9, 1], at=at, description="d")
    check_texts(markup)
    [chart] = charts_of(markup)
    [label] = [text for text in texts_of(chart) if text.text == "the model's threshold"]
    curve = np.array(max(points_of(chart, "good"), key=len))
    some = np.concatenate([np.linspace(start, end, 50) for start, end in pairwise(curve)])
    assert not ((some > (label.left, label.top)) & (some < (label.right, label.bottom))).all(axis=1).any()


def test_charts_take_every_colour_from_the_page() -> None:
    for markup in (draw_histogram(), draw_shares(GOOD, 0.05)):
        assert not re.search(r"#[0-9a-fA-F]{6}|rgb\(", markup)
        assert {"--good", "--ink", "--muted", "--rule"} <= set(re.findall(r"var\((--\w+)\)", markup))


def test_text_stays_text() -> None:
    texts = {text.text for text in page_of(draw_histogram()).all("text")}
    assert {"90 good", "60 anomalous", "score", "images", "← called good", "called anomalous →"} <= texts


def test_the_anomalous_are_told_by_hatching_too() -> None:
    good_only = score_charts.histogram("h", [Scores("g", GOOD, False)], title="t", description="d")
    assert "<pattern" in draw_histogram()
    assert "<pattern" not in good_only
    assert "var(--anomalous)" not in good_only


def test_images_without_labels_are_coloured_by_verdict() -> None:
    values = np.array([-1.0, -0.5, 0.2])
    chart = score_charts.histogram("h", [Scores("3 images", values, None)], title="t", description="d")
    assert "<pattern" in chart and "var(--good)" in chart
    all_good = score_charts.histogram("h", [Scores("2 images", values[:2], None)], title="t", description="d")
    assert "<pattern" not in all_good
