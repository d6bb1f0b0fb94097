"""The colours of pages and charts, on a light screen and on paper, and on a dark screen.

Text and lines reach a contrast of 4.5 to 1 on both backgrounds, marks 3 to 1. A page names each colour once, as a
custom property of its style, and a chart refers to it there: so a chart changes with the page.
"""

PAGE = "#ffffff"
PANEL = "#f5f6f8"
INK = "#1b2430"
MUTED = "#556070"
RULE = "#d5dae1"
GOOD = "#1f5f99"
ANOMALOUS = "#a8400c"
CONFIRMED = "#1d6a3c"
CONTRADICTED = "#a01c1c"
LIGHT = {
    "page": PAGE,
    "panel": PANEL,
    "ink": INK,
    "muted": MUTED,
    "rule": RULE,
    "good": GOOD,
    "anomalous": ANOMALOUS,
    "confirmed": CONFIRMED,
    "contradicted": CONTRADICTED,
}
DARK = {
    "page": "#12161c",
    "panel": "#1c222b",
    "ink": "#e7ebf0",
    "muted": "#a4afbd",
    "rule": "#37414e",
    "good": "#74b3ee",
    "anomalous": "#f2955c",
    "confirmed": "#62c98d",
    "contradicted": "#ff9089",
}
# Of kinds of images, told apart also by their lightness; the second of those for other things beside them.
KINDS = (GOOD, "#d9600f", "#23804d", "#a8327e", "#0b8b99", "#8c3a2b", "#7359c4", "#747a12", "#d64b70", "#3b4a5a")
REFERENCES = ("#868f9b", "#998c74", "#7f9485", "#968799", "#6f7986", "#7f725b")
# The same on a dark screen, in the same order.
DARK_KINDS = (
    "#74b3ee", "#f58a3c", "#55bd83", "#de7fbb", "#38b9c7", "#d18476", "#a994ea", "#b3ba4a", "#f08ba6", "#c3ced9",
)  # fmt: skip
DARK_REFERENCES = ("#8c96a3", "#a0937b", "#7f9485", "#a08fa3", "#77828f", "#8a7c63")


def custom_properties(colours: dict[str, str]) -> str:
    """The colours as declarations of a style sheet: `--page: #ffffff; ...`."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
