import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood._printable import printable
from onlygood.report.formatting import (
    format_area,
    format_count,
    format_p_value,
    percent_notation,
    score_format,
    visible_or_same,
)
from onlygood.report.pages import csv_bytes


def test_only_plain_text_is_made_visible() -> None:
    class Markup(str):
        def __html__(self) -> str:
            return self

    markup = Markup("<b>\n</b>")
    assert visible_or_same(markup) is markup
    assert visible_or_same("\n") == "\\n"
    assert visible_or_same(3) == 3
    assert visible_or_same(None) is None


@pytest.mark.parametrize(
    ("scores", "score", "shown"),
    [
        ([0.5, -0.7, 0.6], 0.51239, "+0.5124"),
        ([0.5, -0.7, 0.6], -0.51239, "\N{MINUS SIGN}0.5124"),
        ([5.0, -3.0, 9.0], 5.1234, "+5.123"),
        ([1200.0, 3000.0], 1234.5, "+1234"),
        ([2e-6, 3e-6], 2.5e-6, "+0.00000250"),
        ([1.0, 1.0], 0.0, "0"),
        ([], 0.25, "+0.2500"),
        ([0.0], 0.25, "+0.2500"),
        ([1.0], math.inf, "+∞"),
        ([1.0], -math.inf, "\N{MINUS SIGN}∞"),
    ],
)
def test_all_scores_of_a_page_have_as_many_decimals_as_an_ordinary_one_needs(
    scores: list[float], score: float, shown: str
) -> None:
    assert score_format(scores)(score) == shown


@pytest.mark.parametrize(
    ("rates", "value", "shown"),
    [
        ((0.05,), 0.05, "5.0%"),
        ((0.05,), 0.0, "0.0%"),
        ((0.05,), 1.0, "100.0%"),
        ((0.05,), 1 / 14, "7.1%"),
        ((0.05,), 0.00181, "0.2%"),
        ((0.05,), 0.00012, "<0.1%"),
        ((0.05,), 0.99999, ">99.9%"),
        ((0.05, 0.01), 0.5, "50.0%"),
        ((0.05, 0.0025), 0.05, "5.00%"),
        ((0.05, 0.0025), 0.0025, "0.25%"),
        ((0.00012,), 0.00012, "0.012%"),
        ((1 / 45,), 1 / 45, "2.22%"),
        ((), 0.339, "33.9%"),
    ],
)
def test_shares_of_a_page_are_percent_in_one_precision_and_never_vanish(
    rates: tuple[float, ...], value: float, shown: str
) -> None:
    assert percent_notation(rates).share(value, 6) == shown


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.05, "5.0%"), (1 / 31, "3.3%"), (1 / 6, "16.7%"), (0.0501, "5.1%"), (1e-6, "0.1%")]
)
def test_a_guaranteed_rate_is_rounded_up_so_that_it_holds_as_it_is_written(rate: float, shown: str) -> None:
    notation = percent_notation([0.05])
    assert notation.at_most(rate) == notation.stated(rate, is_guaranteed=True) == shown
    assert float(shown.removesuffix("%")) >= 100 * rate - 1e-9


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, "1.0000"), (0.05, "0.0500"), (0.0013, "0.0013"), (1e-5, "0.000010")]
)
def test_a_p_value_never_vanishes(value: float, shown: str) -> None:
    assert format_p_value(value) == shown


def test_areas_and_counts() -> None:
    assert format_area(0.96617) == "0.9662"
    assert [format_count(count, "image") for count in (0, 1, 2, 12_345)] == [
        "0 images",
        "1 image",
        "2 images",
        "12,345 images",
    ]
    assert format_count(12_345) == "12,345"


# CSV


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def test_texts_are_quoted_numbers_bare_and_nothing_is_an_empty_cell() -> None:
    content = csv_bytes(("name", "score", "error"), [('a, "b".png', -0.125, None), ("ü.png", 1e-7, "x; y")])
    assert content == (
        b'\xef\xbb\xbf"name","score","error"\r\n"a, ""b"".png",-0.125,""\r\n"\xc3\xbc.png",1e-07,"x; y"\r\n'
    )


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "  =", "\u3000-"])
def test_a_name_that_a_spreadsheet_would_run_gets_an_apostrophe(first: str) -> None:
    name = f"{first}cmd|' /C calc'!A0.png"
    assert rows_of(csv_bytes(("name", "score"), [(name, -3.5)]))[1] == [f"'{name}", "-3.5"]


@pytest.mark.parametrize("name", ["a=b.png", "1-2.png", "'=a.png", "e@f.png", "#1.png"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert rows_of(csv_bytes(("name",), [(name,)]))[1] == [name]


def test_a_row_is_a_line_whatever_a_name_holds() -> None:
    content = csv_bytes(("name", "error"), [("a\nb\r\nc\udcff\t=1\x00.png", "x\u2028y"), ("plain", None)])
    assert len(content.decode("utf-8").splitlines()) == 3
    assert rows_of(content)[1:] == [["a\\nb\\r\\nc\\udcff\\t=1\\x00.png", "x\\u2028y"], ["plain", ""]]


@given(st.lists(st.text(st.characters()), min_size=1, max_size=4))
def test_any_names_make_one_row_each_and_no_cell_begins_like_a_formula(names: list[str]) -> None:
    rows = rows_of(csv_bytes(("name", "score"), [(name, 1.5) for name in names]))
    assert len(rows) == 1 + len(names)
    for (cell, score), name in zip(rows[1:], names, strict=True):
        assert score == "1.5"
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert cell.removeprefix("'") == printable(name).removeprefix("'")
