"""Where things stand in the charts of a page, from their markup, with the widths of the font that matplotlib ships."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath


@dataclass(frozen=True)
class Text:
    """A text and its box, in the units of the chart; y grows downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Text) -> bool:
        return (
            self.left < other.right - 0.5
            and other.left < self.right - 0.5
            and self.top < other.bottom - 0.5
            and other.top < self.bottom - 0.5
        )


def charts_of(markup: str) -> list[ET.Element]:
    """Each chart in the markup."""
    return [ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", markup, re.DOTALL)]


def texts_of(chart: ET.Element) -> list[Text]:
    """The texts that lie, in the order of the chart; those that stand upright beside an axis are left out."""
    found = []
    for element in chart.iter("text"):
        if "rotate(-90" in element.attrib.get("transform", ""):
            continue
        style = element.attrib["style"]
        text = "".join(element.itertext())
        weight = "bold" if "font-weight: 700" in style else "normal"
        size = float(re.search(r"font-size: ([\d.]+)px", style)[1])  # type: ignore[index]
        extents = TextPath((0, 0), text, size=size, prop=FontProperties(weight=weight)).get_extents()
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        anchor = re.search(r"text-anchor: (\w+)", style)[1]  # type: ignore[index]
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * extents.width
        found.append(Text(text, left, y - extents.y1, left + extents.width, y - extents.y0))
    return found


def points_of(chart: ET.Element, colour: str, *, filled: bool = False) -> list[list[tuple[float, float]]]:
    """The corners of each line (or filled shape) that is drawn in a colour of the page."""
    found = []
    for path in chart.iter("path"):
        style = path.attrib.get("style", "")
        if re.search(rf"\b{'fill' if filled else 'stroke'}: var\(--{colour}\)", style):
            numbers = re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path.attrib["d"])
            found.append([(float(x), float(y)) for x, y in numbers])
    return found


def size_of(chart: ET.Element) -> tuple[float, float]:
    """Width and height."""
    _, _, width, height = (float(value) for value in chart.attrib["viewBox"].split())
    return width, height


def uprights_of(chart: ET.Element, colour: str) -> list[tuple[float, float, float]]:
    """The upright lines of two ends in a colour: x, top, bottom."""
    lines = []
    for corners in points_of(chart, colour):
        if len(corners) == 2 and corners[0][0] == corners[1][0] and corners[0] != corners[1]:
            heights = sorted(y for _, y in corners)
            lines.append((corners[0][0], heights[0], heights[1]))
    return lines
