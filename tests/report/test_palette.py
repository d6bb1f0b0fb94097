import re

import pytest

from onlygood.report import palette


def contrast(one: str, other: str) -> float:
    """Of WCAG 2.2."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def style_of_page() -> str:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("onlygood.report"))
    environment.globals["palette"] = palette
    return environment.get_template("style.css.j2").render()


def colours_of(scheme: str) -> dict[str, str]:
    """What the style of a page says, in a scheme."""
    found = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", style_of_page().split("@media", 1)[0]))
    if scheme == "dark":
        dark = re.search(r"@media screen and \(prefers-color-scheme: dark\) \{(.*?)\n\}", style_of_page(), re.DOTALL)
        assert dark is not None and "color-scheme: dark" in dark[1]
        found |= dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", dark[1]))
    return found


SCHEMES = ["light", "dark"]
BACKGROUNDS = ["page", "panel"]


def test_the_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("colour", ["ink", "muted", "good", "anomalous", "confirmed", "contradicted"])
def test_text_can_be_read_on_both_backgrounds_in_both_schemes(scheme: str, background: str, colour: str) -> None:
    colours = colours_of(scheme)
    assert contrast(colours[colour], colours[background]) >= 4.5


@pytest.mark.parametrize(
    ("scheme", "marks"),
    [("light", (*palette.KINDS, *palette.REFERENCES)), ("dark", (*palette.DARK_KINDS, *palette.DARK_REFERENCES))],
)
def test_marks_can_be_seen_on_the_page_in_both_schemes(scheme: str, marks: tuple[str, ...]) -> None:
    page = colours_of(scheme)["page"]
    for colour in marks:
        assert contrast(colour, page) >= 3, colour


def test_every_colour_of_a_kind_has_one_for_a_dark_screen() -> None:
    for light, dark in ((palette.KINDS, palette.DARK_KINDS), (palette.REFERENCES, palette.DARK_REFERENCES)):
        assert len(set(light)) == len(light) == len(dark) == len(set(dark))
    assert palette.LIGHT.keys() == palette.DARK.keys()
    assert len(set(palette.LIGHT.values())) == len(palette.LIGHT), "a chart finds a colour's name by its value"


def test_a_page_is_light_on_paper_and_where_nothing_else_is_asked_for() -> None:
    style = style_of_page()
    assert colours_of("light") == palette.LIGHT and colours_of("dark") == palette.DARK
    assert "color-scheme: light;" in style.split("@media", 1)[0]
    assert style.count("prefers-color-scheme") == style.count("@media screen and (prefers-color-scheme: dark)") == 1


@pytest.mark.parametrize(
    "colours", [(palette.GOOD, palette.ANOMALOUS), (palette.DARK["good"], palette.DARK["anomalous"])]
)
def test_good_and_anomalous_differ_also_for_those_who_see_no_red_or_no_green(colours: tuple[str, str]) -> None:
    """Blue against orange: the blue channel tells them apart, which protanopes and deuteranopes see."""
    blue = [int(colour[5:7], 16) for colour in colours]
    assert blue[0] - blue[1] > 100
