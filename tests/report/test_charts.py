import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import pytest

from onlygood.report import charts, palette
from onlygood.report.charts import MarkedPoint, Scores
from page_reader import Element, read_page
from textures import Array

RNG = np.random.default_rng(0)
GOOD, ANOMALOUS = RNG.normal(-1, 0.4, 90), RNG.normal(1, 1.0, 60)


def page_of(chart: str) -> Element:
    return read_page(f"<!doctype html>\n<main>{chart}</main>".encode())


def draw_histogram(*, identifier: str = "h", good: Array = GOOD, anomalous: Array = ANOMALOUS) -> str:
    groups = [Scores(f"{len(good)} good", good, False), Scores(f"{len(anomalous)} anomalous", anomalous, True)]
    return charts.histogram(identifier, groups, title="Scores <&>", description='What "it" shows & more')


def draw_roc() -> str:
    return charts.roc("roc", [0, 0, 0.5, 1], [0, 0.6, 0.9, 1], at=(0.0, 0.6), description="d")


def draw_precision() -> str:
    return charts.precision_recall("pr", [1, 0.5, 0], [0.6, 0.9, 1], at=(0.5, 0.9), description="d")


def draw_shares() -> str:
    shares = np.linspace(1, 0.01, 100)
    return charts.share_above("sa", np.linspace(-3, 1, 100), shares, rate=0.05, title="t", description="d")


def draw_curve() -> str:
    return charts.curve("c", [3.0, 2.0, float("nan"), 1.0], title="loss", description="d")


OWN = MarkedPoint(0.0, 0.8, "0.01", is_own=True)
OTHERS = (MarkedPoint(0.02, 0.1, "0.05", is_own=False), MarkedPoint(0.02, 0.1, "0.1", is_own=False))


def draw_misses(points: Sequence[MarkedPoint] = (OWN, *OTHERS)) -> str:
    return charts.misses_against_false_alarms(
        "m", [0, 0, 0.02, 1], [1, 0.8, 0.1, 0], points=points, title="t", description="d"
    )


ALL: list[Callable[[], str]] = [draw_histogram, draw_roc, draw_precision, draw_shares, draw_curve, draw_misses]


@pytest.mark.parametrize("draw", ALL)
def test_a_chart_stands_alone(draw: Callable[[], str]) -> None:
    chart = draw()
    assert not re.search(r"http|//|<style|<script|<metadata|@import|xlink|<image", chart)
    for svg in re.findall(r"<svg.*?</svg>", chart, re.DOTALL):
        ET.fromstring(svg)
    page = page_of(chart)
    identifiers = re.findall(r'\bid="([^"]+)"', chart)
    assert len(set(identifiers)) == len(identifiers)
    referred = re.findall(r"url\(#([^)]+)\)", chart) + re.findall(r'href="#([^"]+)"', chart)
    for svg in page.all("svg"):
        assert svg.attributes["role"] == "img"
        referred += svg.attributes["aria-labelledby"].split()
        assert "width" not in svg.attributes, "it takes the width that the page gives it"
    assert set(referred) == set(identifiers), "each is needed and there"


def test_charts_of_one_page_share_no_identifier() -> None:
    both = draw_histogram(identifier="one") + draw_histogram(identifier="two")
    identifiers = re.findall(r'\bid="([^"]+)"', both)
    assert len(set(identifiers)) == len(identifiers)


def test_a_chart_has_a_title_and_says_in_words_what_it_shows() -> None:
    for svg in page_of(draw_histogram()).all("svg"):
        assert svg.one("title").text == "Scores <&>"
        assert svg.one("desc").text == 'What "it" shows & more'


@pytest.mark.parametrize("draw", ALL)
def test_the_same_figures_make_the_same_bytes(draw: Callable[[], str]) -> None:
    assert draw() == draw()


def test_charts_are_the_same_whatever_this_program_draws_otherwise_and_leave_its_settings_alone() -> None:
    expected = draw_histogram()
    with matplotlib.rc_context(
        {"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path", "text.usetex": True}
    ):
        before = dict(matplotlib.rcParams)
        assert draw_histogram() == expected
        assert dict(matplotlib.rcParams) == before


def test_charts_can_be_drawn_on_several_threads() -> None:
    expected = [draw() for draw in ALL]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append([draw() for draw in ALL])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3


def test_histograms_and_shares_have_a_form_for_wide_screens_and_one_for_phones() -> None:
    for draw in (draw_histogram, draw_shares, draw_misses):
        page = page_of(draw())
        for name, width in (("wide", charts.WIDE), ("narrow", charts.NARROW)):
            box = page.one("div", class_=name).one("svg").attributes["viewbox"]
            assert float(box.split()[2]) == width


def test_text_stays_text() -> None:
    texts = {text.text for text in page_of(draw_histogram()).all("text")}
    assert {"90 good", "60 anomalous", "score", "images", "← called good", "called anomalous →"} <= texts


def test_the_anomalous_are_told_by_hatching_too() -> None:
    good_only = charts.histogram("h", [Scores("g", GOOD, False)], title="t", description="d")
    assert "<pattern" in draw_histogram()
    assert "<pattern" not in good_only
    assert palette.ANOMALOUS not in good_only


def test_images_without_labels_are_coloured_by_verdict() -> None:
    values = np.array([-1.0, -0.5, 0.2])
    chart = charts.histogram("h", [Scores("3 images", values, None)], title="t", description="d")
    assert "<pattern" in chart and palette.GOOD in chart
    all_good = charts.histogram("h", [Scores("2 images", values[:2], None)], title="t", description="d")
    assert "<pattern" not in all_good


@pytest.mark.parametrize(
    ("low", "high", "bins"),
    [(-3.0, 5.0, 48), (-0.001, 7.0, 24), (-1e-6, 1e-6, 48), (-900.0, 0.02, 24), (-1.0, 0.0, 48)],
)
def test_no_bar_holds_images_of_both_verdicts(low: float, high: float, bins: int) -> None:
    edges = charts._edges(low, high, bins)
    assert 0.0 in edges
    assert edges[0] <= low and edges[-1] >= high * (1 - 1e-12)
    assert bins <= len(edges) - 1 <= bins + 2
    np.testing.assert_allclose(np.diff(edges), np.diff(edges)[0], rtol=1e-9)


@pytest.mark.parametrize("values", [[0.0], [2.0], [-2.0], [0.0] * 5, [3.0] * 4, [1e-12, -1e-12], [1e6, -1e6]])
def test_the_axis_holds_the_threshold_and_all_scores_where_none_is_far_away(values: list[float]) -> None:
    low, high = charts._limits(np.array(values))
    assert low < 0 < high
    assert low <= min(values) and max(values) <= high


def test_a_few_scores_far_away_do_not_squeeze_the_others() -> None:
    scores = np.concatenate([np.linspace(-1, 1, 998), [1000.0, -500.0]])
    low, high = charts._limits(scores)
    assert -4 < low < -1 and 1 < high < 4


def test_bars_count_every_image_those_far_away_at_the_ends() -> None:
    scores = np.concatenate([np.full(97, -0.5), [1000.0, 1000.0, -1000.0]])
    edges = charts._edges(*charts._limits(scores), 24)
    counts = np.histogram(np.clip(scores, edges[0], edges[-1]), bins=edges)[0]
    assert counts.sum() == 100
    chart = charts.histogram("h", [Scores("100", scores, None)], title="t", description="d")
    assert "1000" not in {text.text for text in page_of(chart).all("text")}


def test_curves_of_many_points_are_thinned_and_keep_their_ends() -> None:
    x, y = charts._thinned(np.linspace(0, 1, 10_000), np.linspace(0, 1, 10_000) ** 2)
    assert len(x) == len(y) <= 600
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    many = charts.roc("r", np.linspace(0, 1, 50_000), np.linspace(0, 1, 50_000), at=(0.1, 0.1), description="d")
    assert len(many) < 60_000


def test_the_models_own_threshold_is_marked_and_named() -> None:
    for draw in (draw_roc, draw_precision):
        assert "the model's threshold" in {text.text for text in page_of(draw()).all("text")}
    nothing_refused = charts.precision_recall("pr", [1, 0], [0.5, 1], at=None, description="d")
    assert "the model's threshold" not in {text.text for text in page_of(nothing_refused).all("text")}


def test_points_of_rates_are_marked_and_named_and_those_in_one_place_share_a_label() -> None:
    page = page_of(draw_misses())
    wide, narrow = ({text.text for text in page.one("div", class_=form).all("text")} for form in ("wide", "narrow"))
    assert {"the model's threshold, 0.01", "0.05, 0.1"} <= wide
    assert {"0.01", "0.05, 0.1"} <= narrow and "the model's threshold, 0.01" not in narrow
    assert {"share of good images called anomalous", "share of anomalous images missed"} <= wide & narrow


def test_points_close_to_each_other_share_a_label_and_others_do_not() -> None:
    points = [
        MarkedPoint(x, y, str(number), is_own=False) for number, (x, y) in enumerate([(0, 1), (0.001, 1), (1, 0)])
    ]
    groups = charts._close_points(points)
    assert [[point.label for point in group] for group in groups] == [["0", "1"], ["2"]]


def test_stretched_axes_put_a_share_at_its_root_on_both_sides_of_0() -> None:
    values = np.array([-0.25, 0.0, 0.01, 0.25, 1.0])
    np.testing.assert_allclose(charts._signed_root(values), [-0.5, 0, 0.1, 0.5, 1])
    np.testing.assert_allclose(charts._signed_square(charts._signed_root(values)), values)


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)])
def test_a_point_anywhere_can_be_marked(place: tuple[float, float]) -> None:
    drawn = draw_misses([MarkedPoint(*place, "0.1", is_own=True)])
    assert "the model's threshold, 0.1" in drawn


def test_the_guaranteed_rate_is_marked_and_named() -> None:
    assert "guaranteed rate 0.05" in {text.text for text in page_of(draw_shares()).all("text")}


@pytest.mark.parametrize("values", [[], [1.0], [float("nan")], [1.0, float("inf"), 2.0], [5.0] * 400])
def test_any_curve_can_be_drawn(values: list[float]) -> None:
    page_of(charts.curve("c", values, title="loss", description="d"))


# Colours


def contrast(one: str, other: str) -> float:
    """Of WCAG 2.2."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colour", ["INK", "MUTED", "GOOD", "ANOMALOUS", "CONFIRMED", "CONTRADICTED"])
def test_text_can_be_read_on_both_backgrounds(colour: str) -> None:
    for background in (palette.PAGE, palette.PANEL):
        assert contrast(getattr(palette, colour), background) >= 4.5


@pytest.mark.parametrize("colour", [*palette.KINDS, *palette.REFERENCES])
def test_marks_can_be_seen_on_the_page(colour: str) -> None:
    assert contrast(colour, palette.PAGE) >= 3


def test_good_and_anomalous_differ_also_for_those_who_see_no_red_or_no_green() -> None:
    """Blue against orange: the blue channel tells them apart, which protanopes and deuteranopes see."""
    blue = [int(colour[5:7], 16) for colour in (palette.GOOD, palette.ANOMALOUS)]
    assert blue[0] - blue[1] > 100
