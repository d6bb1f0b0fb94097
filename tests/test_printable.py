"""Names that others chose, on one line and without what steers a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood._printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lot 3/crack.png", "lot 3/crack.png"),
        ("Prüfling é 検査 א ب.png", "Prüfling é 検査 א ب.png"),
        ("a\nb\tc\r.png", "a\\nb\\tc\\r.png"),
        ("\x00\x1b[31m\x7f\x85", "\\x00\\x1b[31m\\x7f\\x85"),
        ("photo\u202egnp.exe", "photo\\u202egnp.exe"),
        ("a\u200bb\u2066c\u2069\ufeff", "a\\u200bb\\u2066c\\u2069\\ufeff"),
        ("bytes\udcff\udc80", "bytes\\udcff\\udc80"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("👩\u200d🔧 \N{ZERO WIDTH NON-JOINER}", "👩\u200d🔧 \N{ZERO WIDTH NON-JOINER}"),
    ],
)
def test_what_is_not_seen_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_whatever_a_name_holds_it_can_be_written_and_seen(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert not [each for each in shown if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [each for each in shown if unicodedata.bidirectional(each) in ("LRO", "RLO", "LRE", "RLE", "LRI", "RLI")]
    assert len(shown.splitlines()) <= 1
