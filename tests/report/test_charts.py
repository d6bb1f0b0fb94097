import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import pytest

from onlygood.report import charts, score_charts
from onlygood.report.charts import MarkedPoint
from onlygood.report.score_charts import Scores
from onlygood.report.svg import NARROW, WIDE
from page_reader import Element, read_page
from textures import Array

RNG = np.random.default_rng(0)
GOOD, ANOMALOUS = RNG.normal(-1, 0.4, 90), RNG.normal(1, 1.0, 60)


def page_of(chart: str) -> Element:
    return read_page(f"<!doctype html>\n<main>{chart}</main>".encode())


def draw_histogram(*, identifier: str = "h", good: Array = GOOD, anomalous: Array = ANOMALOUS) -> str:
    groups = [Scores(f"{len(good)} good", good, False), Scores(f"{len(anomalous)} anomalous", anomalous, True)]
    return score_charts.histogram(identifier, groups, title="Scores <&>", description='What "it" shows & more')


def draw_roc() -> str:
    return charts.roc("roc", [0, 0, 0.5, 1], [0, 0.6, 0.9, 1], at=(0.0, 0.6), description="d")


def draw_precision() -> str:
    return charts.precision_recall("pr", [1, 0.5, 0], [0.6, 0.9, 1], at=(0.5, 0.9), description="d")


def draw_shares() -> str:
    shares = np.linspace(1, 0.01, 100)
    return score_charts.share_above(
        "sa", np.linspace(-3, 1, 100), shares, rate=0.05, title="t", description="d", rate_name="guaranteed rate 5.0%"
    )


def draw_curve() -> str:
    return charts.curve("c", [3.0, 2.0, float("nan"), 1.0], title="loss", description="d")


OWN = MarkedPoint(0.0, 0.8, "1.0%", is_own=True)
OTHERS = (MarkedPoint(0.02, 0.1, "5.0%", is_own=False), MarkedPoint(0.02, 0.1, "10.0%", is_own=False))


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
        for name, width in (("wide", WIDE), ("narrow", NARROW)):
            box = page.one("div", class_=name).one("svg").attributes["viewbox"]
            assert float(box.split()[2]) == width


def test_curves_of_many_points_are_thinned_and_keep_their_ends() -> None:
    x, y = charts.thinned(np.linspace(0, 1, 10_000), np.linspace(0, 1, 10_000) ** 2)
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
    assert {"the model's threshold, 1.0%", "5.0%, 10.0%"} <= wide
    assert {"1.0%", "5.0%, 10.0%"} <= narrow and "the model's threshold, 1.0%" not in narrow
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
    assert "dotted: guaranteed rate 5.0%" in {text.text for text in page_of(draw_shares()).all("text")}


@pytest.mark.parametrize("values", [[], [1.0], [float("nan")], [1.0, float("inf"), 2.0], [5.0] * 400])
def test_any_curve_can_be_drawn(values: list[float]) -> None:
    page_of(charts.curve("c", values, title="loss", description="d"))
