"""Reads an HTML page as strictly as a person who relies on it: everything closed, named, and in the page itself."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "br", "hr", "link", "input", "wbr"}
FORBIDDEN = {
    "script",
    "link",
    "iframe",
    "object",
    "embed",
    "base",
    "form",
    "input",
    "button",
    "foreignobject",
    "animate",
}
HEADINGS = ("h1", "h2", "h3", "h4")


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, white space collapsed."""
        return " ".join("".join(self.pieces).split())

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        """Elements below it with one of these tags and all of these attributes (class: one of its classes)."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}  # class_: a word of Python's
        found = []
        for child in self.children:
            fits = all(
                value in child.attributes.get(name, "").split()
                if name == "class"
                else child.attributes.get(name) == value
                for name, value in wanted.items()
            )
            if child.tag in tags and fits:
                found.append(child)
            found += child.all(*tags, **attributes)
        return found

    def one(self, *tags: str, **attributes: str) -> Element:
        found = self.all(*tags, **attributes)
        assert len(found) == 1, (tags, attributes, len(found))
        return found[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {}, None)
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"an attribute twice in {tag}: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open[-1])
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.pieces.append(data)


def read_page(content: bytes) -> Element:
    """The page as a tree."""
    text = content.decode("utf-8")
    assert text.startswith("<!doctype html>\n")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root], [element.tag for element in reader.open]
    return reader.root


def section(page: Element, heading: str) -> Element:
    """The section that this heading names."""
    return next(each for each in page.all("section") if each.attributes["aria-labelledby"] == heading)


def check_page(content: bytes, *, with_script: bool = False, with_verdicts: bool = True) -> Element:
    """The page as a tree, after checks of all that holds of every report.

    Args:
        content: of the file.
        with_script: whether it has one of its own.
        with_verdicts: whether each image is described by its verdict, and else by its name.
    """
    page = read_page(content)
    elements = page.all(*{element.tag for element in _walk(page)})

    assert not (FORBIDDEN - {"script"} if with_script else FORBIDDEN) & {element.tag for element in elements}
    assert not [name for element in elements for name in element.attributes if name.startswith("on")]
    stripped = re.sub(rb"data:image/jpeg;base64,[A-Za-z0-9+/=]+", b"", content)
    for outside in (b"//", b"@import", b"javascript:", b"file:"):
        assert outside not in stripped, outside
    for element in elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            value = element.attributes.get(name, "#")
            assert value.startswith(("#", "data:image/jpeg;base64,")), value
        for inside in re.findall(r"url\(([^)]*)\)", " ".join(element.attributes.values())):
            assert inside.startswith("#")

    identifiers = [element.attributes["id"] for element in elements if "id" in element.attributes]
    assert len(set(identifiers)) == len(identifiers)
    for element in elements:
        values = " ".join(value for name, value in element.attributes.items() if name != "src")
        referred = re.findall(r"url\(#([^)]*)\)", values)
        referred += [element.attributes["href"][1:]] if "href" in element.attributes else []
        referred += element.attributes.get("aria-labelledby", "").split()
        assert set(referred) <= set(identifiers), referred

    assert page.one("html").attributes["lang"] == "en"
    assert page.one("head").one("title").text
    for landmark in ("header", "nav", "main", "footer"):
        page.one(landmark)
    skip = page.one("body").children[0]
    assert (skip.tag, skip.attributes["href"]) == ("a", "#" + page.one("main").attributes["id"])
    levels = [int(element.tag[1]) for element in page.all(*HEADINGS)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert all(element.text for element in page.all(*HEADINGS))
    for image in page.all("img"):
        said = image.attributes["alt"]
        is_verdict = re.search(r", called (good|anomalous), score (0|[+\N{MINUS SIGN}]\d+\.?\d*)$", said)
        assert is_verdict if with_verdicts else said
        assert int(image.attributes["width"]) > 0 and int(image.attributes["height"]) > 0
    for svg in page.all("svg"):
        assert svg.attributes["role"] == "img"
        assert [child.tag for child in svg.children[:2]] == ["title", "desc"]
        assert all(child.text for child in svg.children[:2])
    for table in page.all("table"):
        assert table.one("caption").text
        assert {head.attributes.get("scope") for head in table.all("th")} <= {"col", "row"}
        widths = {sum(int(cell.attributes.get("colspan", 1)) for cell in row.children) for row in table.all("tr")}
        assert len(widths) == 1, "every row has as many cells"
        region = table.parent
        assert region is not None
        assert (region.attributes["role"], region.attributes["tabindex"]) == ("region", "0")
        assert region.attributes["aria-label"]
    return page


def no_drawing(identifier: str, title: str, description: str, *_: object) -> str:
    """In the place of `svg.figure_as_svg`, where a test is not about charts: the words of the chart alone."""
    names = f"{identifier}-title {identifier}-description"
    return (
        f'<svg role="img" aria-labelledby="{names}"><title id="{identifier}-title">{html.escape(title)}</title>'
        f'<desc id="{identifier}-description">{html.escape(description)}</desc></svg>'
    )


def _walk(element: Element) -> list[Element]:
    return [each for child in element.children for each in (child, *_walk(child))]
