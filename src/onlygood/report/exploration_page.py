"""The page of an exploration: images on a plane, to be looked at one by one."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._extras import need_extra
from onlygood._files import write_atomically
from onlygood._parallel import map_in_order
from onlygood._printable import printable
from onlygood._progress import track
from onlygood.datasets.selection import ChosenImage
from onlygood.errors import ImageError
from onlygood.exploration.explore import Exploration
from onlygood.exploration.tsne import Layout
from onlygood.images.channels import shown_channels
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits
from onlygood.inspection import limits_for
from onlygood.rates import Notation
from onlygood.report import formatting, palette
from onlygood.report.facts import model_facts
from onlygood.report.pages import page_path, render_page
from onlygood.thumbnails import draw_thumbnails

# The width of a map in the units of its drawing, its least height, and the room that marks need at its edge.
WIDTH, LEAST_HEIGHT, MARGIN = 500.0, 250.0, 14.0
LISTED_UNREADABLE = 50
# Up to so many images, so large a thumbnail: 2,000 of them stay below 10 MB.
_THUMBNAILS = ((500, 192), (1000, 144))
_SMALLEST_THUMBNAIL = 96
_QUALITY = 65
# Up to so many images, so large a mark.
_MARKS = ((200, 5.0), (700, 4.0))
_SMALLEST_MARK = 2.8


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Images of one label.

    Attributes:
        name: the label.
        colour: of their marks.
        dark_colour: of the same on a dark screen.
        is_hollow: whether the marks are outlines, where all colours were used already.
        found: how many there are.
        shown: how many of them are on the page.
        anomalous: how many of those the model calls anomalous.
    """

    name: str
    colour: str
    dark_colour: str
    is_hollow: bool
    found: int
    shown: int
    anomalous: int


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An image's place on a map.

    Attributes:
        number: of the image.
        kind: the position of its kind.
        is_anomalous: the verdict.
        x: from the left.
        y: from the top.
        title: what the image is, in a line.
    """

    number: int
    kind: int
    is_anomalous: bool
    x: float
    y: float
    title: str


@dataclass(frozen=True, kw_only=True)
class DrawnMap:
    """One map as the page shows it.

    Attributes:
        identifier: for the page's own references.
        title: what it is a map of.
        facts: a sentence on how it came about.
        marks: those below others first.
    """

    identifier: str
    title: str
    facts: str
    marks: list[Mark]


def exploration_path(path: str | os.PathLike[str]) -> Path:
    """Where the page goes.

    Raises:
        SettingError: the name does not end in .html or .htm.
        MissingExtraError: Jinja2, which draws the page, is not installed.
    """
    page = page_path(path, "a map", "one page for any browser")
    need_extra("Jinja2", module="jinja2", extra="report", purpose="explore")
    return page


def write_exploration(
    path: str | os.PathLike[str],
    exploration: Exploration,
    *,
    model_name: str,
    threads: int = 0,
    limits: ReadingLimits = DEFAULT_LIMITS,
    written_at: datetime | None = None,
    progress: bool = False,
) -> None:
    """Write one HTML page for any browser. The images are read again to be made small.

    Args:
        path: of the page, ending in .html.
        exploration: what `onlygood.explore` returned.
        model_name: what the page calls the model, such as its file's name.
        threads: images drawn at once; 0 for one a core.
        limits: bounds on pixels and bytes.
        written_at: the date and time that the page bears; None for now.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError, MissingExtraError: as `exploration_path`.
        WriteError: the file cannot be written.
    """
    page = exploration_path(path)
    scores = [each.score for each in exploration.inspections]
    rates = (exploration.metadata.guarantee.requested_rate,)
    notation = formatting.percent_notation(rates)
    format_score = formatting.score_format(scores)
    kinds = _kinds(exploration)
    titles = [
        f"{image.name}, {kinds[image.label].name}, called {_verdict(found.is_anomaly)}, score "
        f"{format_score(found.score)}, p-value {formatting.format_p_value(found.p_value)}"
        for image, found in zip(exploration.images, exploration.inspections, strict=True)
    ]
    maps, height = _maps(exploration, titles, notation)
    thumbnails = _thumbnails(exploration, threads=threads, limits=limits, progress=progress)
    script = resources.files("onlygood.report").joinpath("templates", "exploration.js").read_text(encoding="utf-8")
    content = render_page(
        "exploration",
        model_name=model_name,
        written_at=written_at,
        scores=scores,
        rates=rates,
        exploration=exploration,
        kinds=kinds,
        maps=maps,
        width=WIDTH,
        height=height,
        mark_size=_for_count(len(scores), _MARKS, _SMALLEST_MARK),
        anomalous=sum(each.is_anomaly for each in exploration.inspections),
        found=sum(label.found for label in exploration.labels),
        model=model_facts(exploration.metadata, model_name, notation),
        unreadable=exploration.unreadable[:LISTED_UNREADABLE],
        data=_data(exploration, format_score, thumbnails, maps),
        script=script,
        # The one script that a browser may run on this page is this one, whatever an image is called.
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    write_atomically(page, content)


def _kinds(exploration: Exploration) -> list[Kind]:
    kinds = []
    used = {False: 0, True: 0}
    for number, label in enumerate(exploration.labels):
        verdicts = [
            found.is_anomaly
            for image, found in zip(exploration.images, exploration.inspections, strict=True)
            if image.label == number
        ]
        colours = palette.REFERENCES if label.is_reference else palette.KINDS
        turn, place = divmod(used[label.is_reference], len(colours))
        used[label.is_reference] += 1
        kinds.append(
            Kind(
                name=printable(label.name),
                colour=colours[place],
                dark_colour=(palette.DARK_REFERENCES if label.is_reference else palette.DARK_KINDS)[place],
                is_hollow=turn % 2 == 1,
                found=label.found,
                shown=len(verdicts),
                anomalous=sum(verdicts),
            )
        )
    return kinds


def _maps(exploration: Exploration, titles: Sequence[str], notation: Notation) -> tuple[list[DrawnMap], float]:
    """Before and after training, or the one that there is; and their height."""
    layouts = [layout for layout in (exploration.before, exploration.after) if layout is not None]
    fitted = [_fit_width(layout.points) for layout in layouts]
    height = max(LEAST_HEIGHT, *(float(np.ptp(places[:, 1])) + 2 * MARGIN for places in fitted))

    def draw(identifier: str, title: str, layout: Layout, places: NDArray[np.float64]) -> DrawnMap:
        places = np.round(places * (1, -1) + (WIDTH / 2, height / 2), 1)
        # References lie below all others, and what is anomalous above.
        order = sorted(
            range(len(titles)),
            key=lambda number: (
                not exploration.labels[exploration.images[number].label].is_reference,
                exploration.inspections[number].is_anomaly,
                number,
            ),
        )
        return DrawnMap(
            identifier=identifier,
            title=title,
            facts=_facts(layout, exploration.dimensions, notation),
            marks=[
                Mark(
                    number=number,
                    kind=exploration.images[number].label,
                    is_anomalous=exploration.inspections[number].is_anomaly,
                    x=float(places[number, 0]),
                    y=float(places[number, 1]),
                    title=titles[number],
                )
                for number in order
            ],
        )

    names = [("map", "Map of the images")]
    if len(layouts) > 1:
        names = [("before", "Before training"), ("after", "After training")]
    return [draw(*name, *drawn) for name, drawn in zip(names, zip(layouts, fitted, strict=True), strict=True)], height


def _facts(layout: Layout, dimensions: int, notation: Notation) -> str:
    share = notation.share(layout.variance_kept, 3)
    return (
        f"{layout.components} principal components of {dimensions:,} dimensions keep {share} of the variance; "
        f"perplexity {layout.perplexity:.4g}."
    )


def _fit_width(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points around 0 as far apart as the map's width allows in both directions, at one scale."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    placed: NDArray[np.float64] = (points - (low + high) / 2) * ((WIDTH - 2 * MARGIN) / extent)
    return placed


def _thumbnails(
    exploration: Exploration, *, threads: int, limits: ReadingLimits, progress: bool
) -> list[tuple[str, int, int] | None]:
    """Each image made small: its data, width and height; None if it cannot be read any more."""
    black, white = exploration.metadata.input.window
    limits = limits_for(exploration.metadata, limits)
    long_side = _for_count(len(exploration.images), _THUMBNAILS, _SMALLEST_THUMBNAIL)

    def draw(image: ChosenImage) -> tuple[str, int, int] | None:
        try:
            pixels = shown_channels(image.file.read(limits), has_mask=limits.alpha == "mask")
        except ImageError:
            return None
        window = (float(black), float(white))
        plain, _ = draw_thumbnails(
            pixels, None, levels=(0.0, 1.0), window=window, long_side=int(long_side), quality=_QUALITY
        )
        return plain.uri, plain.width, plain.height

    drawn = map_in_order(draw, exploration.images, threads=threads)
    return list(track(drawn, total=len(exploration.images), description="drawing", show=progress))


def _for_count(count: int, sizes: Sequence[tuple[int, float]], otherwise: float) -> float:
    return next((size for most, size in sizes if count <= most), otherwise)


def _data(
    exploration: Exploration,
    format_score: Any,
    thumbnails: Sequence[tuple[str, int, int] | None],
    maps: Sequence[DrawnMap],
) -> dict[str, Any]:
    """What the page's script needs: each image, and the place of each on each map."""
    return {
        "images": [
            {
                "name": printable(image.name),
                "kind": image.label,
                "anomalous": found.is_anomaly,
                "score": format_score(found.score),
                "p_value": formatting.format_p_value(found.p_value),
                "thumbnail": thumbnail,
            }
            for image, found, thumbnail in zip(exploration.images, exploration.inspections, thumbnails, strict=True)
        ],
        # Numbers of images, the most anomalous first.
        "highest_scoring": sorted(range(len(exploration.images)), key=lambda n: (-exploration.inspections[n].score, n)),
        "places": [[[mark.x, mark.y] for mark in sorted(each.marks, key=lambda mark: mark.number)] for each in maps],
    }


def _verdict(is_anomaly: bool) -> str:
    return "anomalous" if is_anomaly else "good"
