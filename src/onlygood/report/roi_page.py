"""The page on which a person draws a region of interest: one file, offline, with a few good images inside it."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood._extras import need_extra
from onlygood._files import write_atomically
from onlygood._parallel import map_in_order
from onlygood._printable import printable
from onlygood._spacing import evenly_spaced
from onlygood.datasets.sources import Source
from onlygood.errors import FolderError, ImageError
from onlygood.images.reading import ImageArray
from onlygood.images.window import FULL_8_BIT, LevelHistogram
from onlygood.report.pages import page_path, render_page
from onlygood.thumbnails import Thumbnail, draw_thumbnails

# Images to look through, evenly spaced among the good ones, and their long side in pixels.
SHOWN = 6
LONG_SIDE = 1024
_QUALITY = 85
# The long side of the mask that the page writes, and of the one that it begins with.
MOST_SIDE = 2048
_SUBJECT = "a page to draw on"


def roi_page_path(path: str | os.PathLike[str]) -> Path:
    """Where the page goes.

    Raises:
        SettingError: the name does not end in .html or .htm.
        MissingExtraError: Jinja2, which writes pages, is not installed.
    """
    page = page_path(path, _SUBJECT, "one page for any browser")
    need_extra("Jinja2", module="jinja2", extra="report", purpose="--page")
    return page


def write_roi_page(
    path: str | os.PathLike[str],
    sources: Sequence[Source],
    *,
    size: tuple[int, int],
    data_name: str,
    given: str = "good/",
    mask: NDArray[np.bool_] | None = None,
    written_at: datetime | None = None,
    threads: int = 0,
) -> None:
    """Write a page on which polygons and boxes are drawn, and from which a mask or JSON is saved.

    Args:
        path: of the page, ending in .html.
        sources: the good images, of which a few are shown.
        size: height and width of the images, in pixels; the mask has this size, or one in proportion to it.
        data_name: what the page calls the images.
        given: the paths of the images, for the command that the page shows.
        mask: bool [h, w], a region to begin with; None for none.
        written_at: the date and time that the page bears; None for now.
        threads: images drawn at once; 0 for one a core.

    Raises:
        SettingError: a path that does not end in .html.
        MissingExtraError: Jinja2 is not installed.
        FolderError: none of the images that would be shown can be read.
        WriteError: the file cannot be written.
    """
    page = roi_page_path(path)
    shown = _draw([sources[place] for place in evenly_spaced(len(sources), SHOWN)], threads)
    scale = min(1.0, MOST_SIDE / max(size))
    script = resources.files("onlygood.report").joinpath("templates", "roi.js").read_text(encoding="utf-8")
    content = render_page(
        "roi",
        model_name=data_name,
        written_at=written_at,
        scores=(),
        rates=(),
        given=given,
        width=size[1],
        height=size[0],
        data={
            "images": [{"name": printable(name), "uri": each.uri} for name, each in shown],
            "width": size[1],
            "height": size[0],
            "maskWidth": max(1, round(size[1] * scale)),
            "maskHeight": max(1, round(size[0] * scale)),
            "mask": None if mask is None else _png_uri(mask),
        },
        first=shown[0],
        script=script,
        # The one script that a browser may run on this page is this one, whatever an image is called.
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    write_atomically(page, content)


def _draw(sources: Sequence[Source], threads: int) -> list[tuple[str, Thumbnail]]:
    """Names and pictures of those that can be read."""
    problems: list[str] = []

    def draw(source: Source) -> tuple[str, Thumbnail] | None:
        try:
            image = source.read()
        except ImageError as error:
            problems.append(str(error))
            return None
        drawn = draw_thumbnails(
            image, None, levels=(0.0, 1.0), window=_window(image), long_side=LONG_SIDE, quality=_QUALITY
        )
        return source.name, drawn[0]

    shown = [each for each in map_in_order(draw, sources, threads=threads) if each is not None]
    if not shown:
        raise FolderError(f"a page to draw on needs images that can be read, got none of {len(sources)}: {problems[0]}")
    return shown


def _window(image: ImageArray) -> tuple[float, float]:
    """The levels of black and white for eyes."""
    if image.dtype == np.uint8:
        return FULL_8_BIT.black, FULL_8_BIT.white
    histogram = LevelHistogram()
    histogram.add(image)
    window = histogram.window()
    return window.black, window.white


def _png_uri(mask: NDArray[np.bool_]) -> str:
    """A mask as a data URI, at most MOST_SIDE long."""
    scale = min(1.0, MOST_SIDE / max(mask.shape))
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    buffer = io.BytesIO()
    Image.fromarray(mask[rows[:, None], columns]).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
