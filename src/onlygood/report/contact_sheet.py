"""A contact sheet of augmentations: what a person calls good when a fit learns from them.

Drawn with Pillow, which every installation has: a fit of one golden image needs no extra, and Jinja2 and matplotlib are
in the extra `report`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias, overload

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from onlygood._integers import check_integer
from onlygood._plurals import pluralize
from onlygood.augmentation.changes import change_image
from onlygood.augmentation.drawing import augmentation_window, augmentations
from onlygood.augmentation.kinds import Kind, kinds_of_change, strongest_changes
from onlygood.augmentation.sources import check_target, read_golden
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.datasets.sources import Source
from onlygood.errors import FolderError
from onlygood.features.input_kind import try_read
from onlygood.heatmap import to_screen
from onlygood.images.channels import shown_channels
from onlygood.images.reading import ImageArray
from onlygood.images.window import Window
from onlygood.settings import FitSettings

WIDTH = 1240
MARGIN = 32
GAP = 10
INSIDE = WIDTH - 2 * MARGIN

PAGE, INK, MUTED, RULE, GUIDE = "#fafafa", "#1b2430", "#556070", "#a9b2be", "#ff4f00"
TITLE, HEADING, TEXT, LABEL = 28, 20, 15, 13
LEADING = 1.4

GOLDEN_BOX = (460, 380)
OTHERS_SHOWN = 8  # given images beside the first
MOST_SHOWN = 1000
DETAIL = 4  # the sides of the detail that shows how far an image moves: a quarter of its own

SEARCHED_SIDE = 1024  # of larger images, every second pixel and so on is looked at to find a detail

Box: TypeAlias = tuple[int, int]
Levels: TypeAlias = tuple[float, float]


def augmentation_sheet(sources: Sequence[Source], settings: FitSettings) -> Image.Image:
    """A sheet on which a person sees what they are calling good: RGB, the first image, its ranges, examples.

    Args:
        sources: the golden images, or those that are filled up.
        settings: of the fit, which augments.

    Raises:
        SettingError: fewer images asked for than there are, or too many golden ones.
        FolderError: no image that can be read.
        ImageError: an image that cannot be read, unless such are to be skipped.
    """
    assert settings.augment is not None and settings.augmentation is not None  # a fit that augments has them
    has_mask = settings.alpha == "mask"
    if settings.golden:
        images: Sequence[ImageArray] = [shown_channels(image, has_mask=has_mask) for image in read_golden(sources)]
    else:
        if settings.skip_unreadable:
            sources = [source for source in sources if try_read(source) is not None]
        check_target(len(sources), settings)
        if not sources:
            raise FolderError("a sheet of augmentations needs an image that can be read, got none")
        images = _Images(sources, has_mask=has_mask)
    return contact_sheet(
        images,
        settings.augment,
        settings.augmentation,
        seed=settings.seed,
        window=settings.window,
        name=sources[0].name,
    )


def contact_sheet(
    images: Sequence[ImageArray],
    count: int,
    settings: AugmentationSettings,
    *,
    seed: int,
    shown: int = 48,
    window: tuple[float, float] | None = None,
    name: str = "golden image",
) -> Image.Image:
    """RGB, 1240 pixels wide: the image with its ranges, both ends of each range, and a grid of augmentations.

    Args:
        images: the given ones, as for `augmentations`; the first is shown large, and the ends of the ranges on it.
            A sequence may read each when it is asked for: none is kept.
        count: images that a fit will see, the given ones among them.
        settings: the ranges.
        seed: of all draws; the grid shows the very images that `augmentations` makes of it.
        shown: most augmentations in the grid, the first; 0 to 1000.
        window: the levels of black and white, as for `augmentations`.
        name: what the sheet calls the first image.

    Raises:
        SettingError: a number that cannot be used.
        FolderError: no images.
        ImageError: something that is no image.
    """
    shown = check_integer("the augmentations shown", shown, 0, MOST_SHOWN)
    made = augmentations(images, count, settings, seed=seed, window=window, start=len(images))
    used = augmentation_window(images, window)
    levels = (used.black, used.white)
    golden, given = images[0], len(images)
    kinds = kinds_of_change(settings, golden.shape[1], golden.shape[0])
    box = _grid_box(golden)

    sections = [_opening(golden, levels, kinds, settings, given, count, seed, name)]
    others = [(_fit(to_screen(image, levels), box), [""]) for image in islice(images, 1, 1 + OTHERS_SHOWN)]
    if others:
        some = "" if len(others) == given - 1 else f" ({len(others)} of {given - 1:,})"
        sections += [_heading(f"The other images{some}, as they are"), _grid(others, box)]
    if any(kind.ends for kind in kinds):
        told = "Whatever lies between the ends is good. If one of them should not pass, make its range smaller."
        sections += [
            _heading("The limits: both ends of each range, everything else as given", told),
            _limits(golden, levels, [kind for kind in kinds if kind.ends], settings),
        ]
    tiles = []
    for each in islice(made, shown):
        H, W = each.image.shape[:2]
        words = strongest_changes(each.change, settings, W, H) or ["as given"]
        words[0] = f"{each.number}: {words[0]}"
        tiles.append((_fit(to_screen(each.image, levels), box), words))
    if tiles:
        some = f"{len(tiles):,} of " if len(tiles) < count - given else ""
        title = f"{some}{pluralize(count - given, 'augmentation')}, as a fit makes them"
        told = "Under each: the three changes that use most of their range."
        sections += [_heading(title, told), _grid(tiles, box)]

    sheet = Image.new("RGB", (WIDTH, sum(section.height for section in sections) + MARGIN), PAGE)
    top = 0
    for section in sections:
        sheet.paste(section, (0, top))
        top += section.height
    return sheet


# Sections


def _opening(
    golden: ImageArray,
    levels: Levels,
    kinds: list[Kind],
    settings: AugmentationSettings,
    given: int,
    count: int,
    seed: int,
    name: str,
) -> Image.Image:
    """The title, the golden image, and beside it what is allowed."""
    image = _framed(_fit(to_screen(golden, levels), GOLDEN_BOX))
    left = MARGIN + GOLDEN_BOX[0] + 40
    line = round(TEXT * LEADING) + 3
    top = MARGIN + round(TITLE * LEADING) + 2 * round(TEXT * LEADING) + 24
    rows = [*((kind.name, kind.allowed) for kind in kinds), ("at the border", _border(settings))]
    table = round(HEADING * LEADING) + 8 + line * len(rows)
    height = top + max(image.height + 8 + round(LABEL * LEADING), table) + 16
    section = Image.new("RGB", (WIDTH, height), PAGE)
    draw = ImageDraw.Draw(section)
    _write(draw, (MARGIN, MARGIN), "What this model will call good", TITLE, INK, INSIDE)
    made = count - given
    of_it = f" and {pluralize(made, 'augmentation')} of {'it' if given == 1 else 'them'}" if made else ""
    at = MARGIN + round(TITLE * LEADING) + 6
    _write(draw, (MARGIN, at), f"Told as good: {pluralize(given, 'image')}{of_it} (seed {seed}).", TEXT, MUTED, INSIDE)
    at += round(TEXT * LEADING)
    told = "Whatever differs by more than these ranges, or in another way, is meant to stand out."
    _write(draw, (MARGIN, at), told, TEXT, MUTED, INSIDE)
    section.paste(image, (MARGIN, top))
    size = f"{golden.shape[1]:,} x {golden.shape[0]:,} pixels, {8 * golden.dtype.itemsize} bits"
    caption = f"{name}: {size}, {'grey' if golden.shape[2] == 1 else 'colour'}"
    _write(draw, (MARGIN, top + image.height + 6), caption, LABEL, MUTED, GOLDEN_BOX[0])
    _write(draw, (left, top - 4), "Ranges", HEADING, INK, INSIDE)
    at = top - 4 + round(HEADING * LEADING) + 8
    for what, allowed in rows:
        quiet = allowed == "never"
        _write(draw, (left, at), what, TEXT, MUTED if quiet else INK, 130)
        _write(draw, (left + 140, at), allowed, TEXT, MUTED if quiet else INK, WIDTH - MARGIN - left - 140)
        at += line
    return section


def _border(settings: AugmentationSettings) -> str:
    """What comes into view, in words."""
    if settings.border == "mirror":
        return "the image mirrored"
    if settings.border == "edge":
        return "its outermost pixels repeated"
    level = settings.border_level
    return "the median level of its outermost pixels" if level is None else f"level {level:g}"


def _heading(text: str, below: str = "") -> Image.Image:
    """A heading, with a line above it and a sentence below."""
    height = 28 + round(HEADING * LEADING) + (round(TEXT * LEADING) + 4 if below else 0) + 12
    section = Image.new("RGB", (WIDTH, height), PAGE)
    draw = ImageDraw.Draw(section)
    draw.line([(MARGIN, 8), (WIDTH - MARGIN, 8)], fill=RULE)
    _write(draw, (MARGIN, 24), text, HEADING, INK, INSIDE)
    if below:
        _write(draw, (MARGIN, 24 + round(HEADING * LEADING) + 2), below, TEXT, MUTED, INSIDE)
    return section


def _limits(golden: ImageArray, levels: Levels, kinds: list[Kind], settings: AugmentationSettings) -> Image.Image:
    """A row of three tiles for each kind, two kinds beside each other."""
    between = 44
    block = (INSIDE - between) // 2
    width = (block - 2 * GAP) // 3
    box = (width, _tile_height(golden, width))
    name_height, label_height = round(TEXT * LEADING) + 6, round(LABEL * LEADING)
    pitch = name_height + box[1] + 4 + label_height + 22
    section = Image.new("RGB", (WIDTH, pitch * -(-len(kinds) // 2)), PAGE)
    draw = ImageDraw.Draw(section)
    views = {kind.name: _view(kind, settings) for kind in kinds}
    places = {view: _place(golden, view, box) for view in sorted(set(views.values()))}
    for index, kind in enumerate(kinds):
        left, top = MARGIN + (index % 2) * (block + between), (index // 2) * pitch
        view = views[kind.name]
        place, note = places[view]
        _write(draw, (left, top), f"{kind.name[0].upper()}{kind.name[1:]}{note}", TEXT, INK, block)
        for column, (label, change) in enumerate(kind.ends):
            changed = change_image(
                golden,
                change,
                window=Window(*levels),
                border=settings.border,
                border_level=settings.border_level,
                noise=np.random.Generator(np.random.PCG64(0)),
            )
            tile = _fit(to_screen(changed, levels).crop(place), box)
            if view == "moved":
                _mark_middle(tile)
            x = left + column * (width + GAP)
            section.paste(_framed(tile), (x, top + name_height))
            _write(draw, (x, top + name_height + box[1] + 6), label, LABEL, MUTED, width)
    return section


def _grid(tiles: list[tuple[Image.Image, list[str]]], box: Box) -> Image.Image:
    """Tiles that fit a box in rows, each with its lines of text below."""
    columns = (INSIDE + GAP) // (box[0] + GAP)
    line = round(LABEL * 1.25)
    pitch = box[1] + 8 + line * max(len(words) for _, words in tiles) + 14
    section = Image.new("RGB", (WIDTH, pitch * -(-len(tiles) // columns)), PAGE)
    draw = ImageDraw.Draw(section)
    for index, (tile, words) in enumerate(tiles):
        left, top = MARGIN + (index % columns) * (box[0] + GAP), (index // columns) * pitch
        section.paste(_framed(tile), (left, top))
        for number, text in enumerate(words):
            _write(draw, (left, top + box[1] + 6 + number * line), text, LABEL, MUTED if number else INK, box[0])
    return section


# Pieces


def _grid_box(golden: ImageArray) -> Box:
    """The size of a tile of the grid: fewer and wider ones for wider images."""
    columns = max(4, min(7, round(7 * (golden.shape[0] / golden.shape[1]) ** 0.5)))
    width = (INSIDE + GAP) // columns - GAP
    return width, _tile_height(golden, width)


def _tile_height(golden: ImageArray, width: int) -> int:
    """The height of a tile of this width for images of these proportions, neither a thread nor a tower."""
    proportion: float = golden.shape[0] / golden.shape[1]
    return round(width * min(1.5, max(0.25, proportion)))


def _fit(image: Image.Image, box: Box) -> Image.Image:
    """As large as the box allows: reduced smoothly, or enlarged with its pixels to be seen."""
    factor = min(box[0] / image.width, box[1] / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS)


def _framed(image: Image.Image) -> Image.Image:
    """With a thin line along its border, so that a white image ends somewhere."""
    framed = image.copy()
    ImageDraw.Draw(framed).rectangle((0, 0, framed.width - 1, framed.height - 1), outline=RULE)
    return framed


def _mark_middle(tile: Image.Image) -> None:
    """Dashes through the middle, the same on every tile: what has moved is seen against them."""
    draw = ImageDraw.Draw(tile)
    x, y = tile.width // 2, tile.height // 2
    for start in range(0, max(tile.size), 8):
        draw.line([(start, y), (start + 2, y)], fill=GUIDE)
        draw.line([(x, start), (x, start + 2)], fill=GUIDE)


def _view(kind: Kind, settings: AugmentationSettings) -> str:
    """How a kind of change is best seen: "whole", or a detail, "fine" of few pixels or "moved" of a share of the sides.

    A detail of an image that moves far would show another place.
    """
    if kind.name in ("blur", "sensor noise", "JPEG"):
        return "fine"
    moves_little = {
        "shift": settings.shift <= 0.1,
        "rotation": settings.rotation <= 15,
        "scale": settings.scale <= 0.2,
    }
    return "moved" if moves_little.get(kind.name, False) else "whole"


def _place(golden: ImageArray, view: str, box: Box) -> tuple[tuple[int, int, int, int], str]:
    """Where to look (left, top, right, bottom), which is where there is most to see, and a note that says so."""
    H, W = golden.shape[:2]
    if view == "whole":
        return (0, 0, W, H), ""
    if view == "moved":
        width, height = max(1, W // DETAIL), max(1, H // DETAIL)
        note = " (detail: a quarter of each side, away from the middle)"
    else:
        width, height = min(W, box[0] // 2), min(H, box[1] // 2)
        note = "" if (width, height) == (W, H) else " (detail, enlarged)"
    step = max(1, max(H, W) // SEARCHED_SIDE)
    means = golden[::step, ::step].mean(axis=2)
    h, w = means.shape
    differences = np.zeros((h + 1, w + 1))
    differences[2:, 1:] += np.abs(np.diff(means, axis=0))
    differences[1:, 2:] += np.abs(np.diff(means, axis=1))
    sums = differences.cumsum(axis=0).cumsum(axis=1)
    down, right = max(1, height // step), max(1, width // step)
    inside = sums[down:, right:] - sums[:-down, right:] - sums[down:, :-right] + sums[:-down, :-right]
    if view == "moved":  # what turns and grows about the middle hardly moves there
        rows, columns = np.ogrid[: inside.shape[0], : inside.shape[1]]
        inside = inside * np.hypot(rows - (h - down) / 2, columns - (w - right) / 2)
    most = np.unravel_index(int(inside.argmax()), inside.shape)
    top, left = min(int(most[0]) * step, H - height), min(int(most[1]) * step, W - width)
    return (left, top, left + width, top + height), note


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, width: int) -> None:
    """One line of text, cut to a width in pixels. Pillow's font has little beyond ASCII: accents go, others are ?."""
    font = ImageFont.load_default(size)
    plain = (mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
    text = "".join(mark if mark == "°" or " " <= mark <= "~" else "?" for mark in plain)
    if font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1]
        text += "..."
    draw.text(at, text, font=font, fill=colour)


class _Images(Sequence[ImageArray]):
    """The images of sources, each read whenever it is asked for."""

    def __init__(self, sources: Sequence[Source], *, has_mask: bool) -> None:
        self.sources = sources
        self.has_mask = has_mask

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> ImageArray: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageArray]: ...

    def __getitem__(self, index: int | slice) -> ImageArray | Sequence[ImageArray]:
        if isinstance(index, slice):
            return _Images(self.sources[index], has_mask=self.has_mask)
        return shown_channels(self.sources[index].read(), has_mask=self.has_mask)
