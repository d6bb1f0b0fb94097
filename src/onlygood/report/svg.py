"""Figures as SVG inside a page: no script, no reference outside, no identifier twice, in the colours of the page."""

from __future__ import annotations

import io
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onlygood.report.palette import INK, LIGHT, MUTED, PAGE, RULE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Widths in CSS pixels: a whole page's, half a page's, a phone's. Text is set for them, so charts are never scaled much.
WIDE, HALF, NARROW = 920, 440, 340
# Matplotlib keeps its settings for the whole process: one chart at a time.
_one_at_a_time = threading.Lock()
_NAMES = {colour: name for name, colour in LIGHT.items()}
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
# Attributes of SVG whose value may be a colour; only in a style can that be one of the page's.
_PAINTED = ("fill", "stroke", "color")

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font, and can be searched and selected
    "svg.hashsalt": "onlygood",
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.unicode_minus": True,
    "hatch.linewidth": 1.0,
    "hatch.color": PAGE,
}


def both_forms(
    identifier: str, title: str, description: str, form: Callable[[int], tuple[Callable[[Figure], None], int]]
) -> str:
    """The chart for wide screens and paper, and the one for phones; the page's style shows one of them."""
    drawn = ""
    for width, name in ((WIDE, "wide"), (NARROW, "narrow")):
        draw, height = form(width)
        svg = figure_as_svg(f"{identifier}-{name}", title, description, draw, width, height)
        drawn += f'<div class="{name}">{svg}</div>'
    return drawn


def figure_as_svg(
    identifier: str, title: str, description: str, draw: Callable[[Figure], None], width: int, height: int
) -> str:
    """A figure that `draw` fills, of so many CSS pixels, as SVG with a title and a description for screen readers."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    # Not what this machine or program prefers: the same chart everywhere.
    settings: dict[Any, Any] = dict(matplotlib.rcParamsDefault)
    del settings["backend"]
    settings.update(_STYLE)
    with _one_at_a_time, matplotlib.rc_context(settings):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return _inlined(buffer.getvalue(), identifier, title, description)


def _inlined(svg: bytes, identifier: str, title: str, description: str) -> str:
    """A page's own element: without namespaces, styles for the whole page, or identifiers of other charts."""
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        parent.tag = _local(parent.tag)
        parent.attrib = {_local(key): value for key, value in parent.attrib.items()}
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        _use_colours_of_page(element)
    _rename(root, identifier)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{identifier}-title {identifier}-description",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{identifier}-{'title' if tag == 'title' else 'description'}"})
        element.text = text
        root.insert(position, element)
    return ET.tostring(root, encoding="unicode")


def _use_colours_of_page(element: ET.Element) -> None:
    """Colours of the palette by the names that they have in the page's style, so that they change with it."""
    style = [element.attrib["style"]] if "style" in element.attrib else []
    style += [f"{name}: {element.attrib.pop(name)}" for name in _PAINTED if name in element.attrib]
    if style:
        element.attrib["style"] = _COLOUR.sub(lambda found: f"var(--{_NAMES[found[0]]})", "; ".join(style))


def _rename(root: ET.Element, identifier: str) -> None:
    """Keep the identifiers that are referred to, under names of this chart."""
    texts = [value for element in root.iter() for key, value in element.attrib.items() if key != "id"]
    names: dict[str, str] = {}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own is not None and any(f"#{own}" in text for text in texts):
            names[own] = element.attrib["id"] = f"{identifier}-{len(names) + 1}"
    for element in root.iter():
        for key, value in element.attrib.items():
            if "#" in value and key != "id":
                for own, name in names.items():
                    value = value.replace(f"url(#{own})", f"url(#{name})")
                    value = f"#{name}" if value == f"#{own}" else value
                element.attrib[key] = value


def _local(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition("}")[2]
