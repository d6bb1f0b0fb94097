"""In what an image differs in kind from the good images of a model, and what to say of many that do.

A model says nothing reliable of images of another kind: their scores are high, or low, for what they are and not for
what they show. So each inspection carries the differences, and each command that looks at many images sums them up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onlygood._plurals import name_some
from onlygood.images.channels import name_channels
from onlygood.images.kinds import ImageKind
from onlygood.metadata import GoodImagesFacts, KindsFacts

Aspect: TypeAlias = Literal["size", "aspect ratio", "format", "depth", "colour", "sharpness", "channel order"]

# Good images of several sizes, or aspect ratios, stand for those within this factor of theirs.
_SIZE_FACTOR = 1.25
# Sharpness that no good image had is beyond theirs by this factor, or by half of their own range where that is more.
_SHARPNESS_FACTOR = 1.5
# Images of fewer bits by so many look as if a camera had been set to another depth.
_FEWER_BITS = 3
# Ratios below this need more digits than two behind the point.
_SMALL_RATIO = 0.1
# How many names a note gives.
_SHOWN = 2

# What to do, the aspects that say most first: where there are several, the first is named.
_REMEDIES: dict[Aspect, str] = {
    "channel order": "arrays must be red, green, blue, in Python and where a file is saved: OpenCV gives blue first, "
    "say channel_order='bgr'",
    "depth": "set the camera or the export as it was for the good images, or fit with images like these",
    "colour": "inspect images in the colour of the good ones, or fit with images like these",
    "size": "fit with images of the size that will be inspected, or with --sizes",
    "aspect ratio": "crop them as the good images are, or fit with images like these",
    "format": "save good and inspected images in one format, as compression leaves traces that look like defects",
    "sharpness": "check focus, lens, motion and whether the images were enlarged or made smaller",
}


@dataclass(frozen=True)
class Difference:
    """One thing in which an image is as no good image was.

    Attributes:
        aspect: which.
        found: what this image is: "1440 x 1440 pixels".
        expected: what the good ones were: "256 x 256".
    """

    aspect: Aspect
    found: str
    expected: str

    @property
    def sentence(self) -> str:
        """The difference in words."""
        return f"no good image had this {self.aspect}: {self.found}, the good ones {self.expected}"

    def to_dict(self) -> dict[str, str]:
        """The difference as plain JSON values."""
        return {"aspect": self.aspect, "found": self.found, "expected": self.expected}


def kinds_facts(kinds: Sequence[ImageKind]) -> KindsFacts:
    """What is written into a model file of the kinds of its good images, at least one."""
    ratios = [kind.width / kind.height for kind in kinds]
    sharpness = [kind.sharpness for kind in kinds if kind.sharpness is not None]
    tints = [kind.red_minus_blue for kind in kinds if kind.red_minus_blue is not None]
    formats = {kind.file_format for kind in kinds}
    return KindsFacts(
        aspect_ratios=_span(ratios),
        bits=(min(kind.bits for kind in kinds), max(kind.bits for kind in kinds)),
        sharpness=_span(sharpness) if sharpness else None,
        red_minus_blue=_span(tints) if tints else None,
        channels=tuple(sorted({kind.channels for kind in kinds})),
        # With images in memory among them, files of any format may be what those were read from.
        formats=tuple(sorted(each for each in formats if each is not None)) if None not in formats else (),
    )


def good_sizes_notes(names: Sequence[str], kinds: Sequence[ImageKind]) -> list[str]:
    """What to say of good images whose sizes differ by more than cropping does; nothing where they do not.

    Args:
        names: of the images.
        kinds: of each.
    """
    heights, widths = ([kind.height for kind in kinds], [kind.width for kind in kinds])
    if max(heights) <= _SIZE_FACTOR * min(heights) and max(widths) <= _SIZE_FACTOR * min(widths):
        return []
    by_size = sorted(zip(heights, widths, names, strict=True), key=lambda one: (one[0] * one[1], one[2]))
    least, most = (f"{width} x {height} ({name})" for height, width, name in (by_size[0], by_size[-1]))
    return [
        f"The good images differ in size, from {least} to {most} pixels: all are resized to one input, so that parts "
        "are seen at different scales. Fit a model for each size, or crop the images alike; --sizes is for one model "
        "at several sizes."
    ]


def differences(kind: ImageKind, good: GoodImagesFacts) -> tuple[Difference, ...]:
    """In what an image is as no good image was.

    Args:
        kind: of the image.
        good: of the model; files of an older onlygood say less of them, so less is compared.
    """
    found = [_size(kind, good)]
    if good.kinds is not None:
        found += [
            _aspect_ratio(kind, good, good.kinds),
            _format(kind, good.kinds),
            _depth(kind, good.kinds),
            _colour(kind, good.kinds),
            _sharpness(kind, good.kinds),
        ]
    return tuple(each for each in found if each is not None)


def aspects_of(found: Sequence[Difference]) -> str | None:
    """The aspects in which an image differs, with commas between; None where it does in none."""
    return ", ".join(difference.aspect for difference in found) or None


def may_be_swapped(kind: ImageKind, good: GoodImagesFacts) -> bool:
    """Whether an image with red and blue swapped would have the tint of the good ones, and has another as it is."""
    tint = kind.red_minus_blue
    if tint is None or good.kinds is None or good.kinds.red_minus_blue is None:
        return False
    low, high = good.kinds.red_minus_blue
    middle = (low + high) / 2
    return not low <= tint <= high and 2 * abs(-tint - middle) < abs(tint - middle)


def difference_notes(images: Iterable[tuple[str, Sequence[Difference]]], total: int) -> list[str]:
    """One sentence on the images that differ in kind from the good ones, and one on those with red and blue swapped.

    Args:
        images: the name of each, and its differences.
        total: how many images there are.
    """
    by_aspect: dict[Aspect, list[tuple[str, Difference]]] = {}
    for name, found in images:
        for difference in found:
            by_aspect.setdefault(difference.aspect, []).append((name, difference))
    notes = _swapped_note(by_aspect.pop("channel order", []), total)
    names = {name for those in by_aspect.values() for name, _ in those}
    if not names:
        return notes
    aspects = sorted(by_aspect, key=list(_REMEDIES).index)
    said = ", ".join(_in_short(aspect, by_aspect[aspect], len(names)) for aspect in aspects)
    differ = "differs" if len(names) == 1 else "differ"
    return [
        *notes,
        f"{len(names):,} of {total:,} images {differ} in kind from all good ones, so that scores and the false-alarm "
        f"rate may not hold: {said}; {_REMEDIES[aspects[0]]}.",
    ]


def _swapped_note(those: Sequence[tuple[str, Difference]], total: int) -> list[str]:
    if not those:
        return []
    return [
        f"{len(those):,} of {total:,} images {'fits' if len(those) == 1 else 'fit'} the good ones much better with red "
        f"and blue swapped ({name_some([name for name, _ in those], _SHOWN)}; the first: {those[0][1].found}): "
        f"{_REMEDIES['channel order']}."
    ]


def _in_short(aspect: Aspect, those: Sequence[tuple[str, Difference]], differing: int) -> str:
    """An aspect, what the images are and what the good ones were: "size (300 x 300 pixels; good ones 96 x 96)"."""
    kinds = name_some(list(dict.fromkeys(difference.found for _, difference in those)), _SHOWN)
    which = f"of {name_some([name for name, _ in those], _SHOWN)}: " if len(those) < differing else ""
    return f"{aspect} ({which}{kinds}; good ones {those[0][1].expected})"


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest, to four digits: the file says the same as what it was made from."""
    return float(f"{min(values):.4g}"), float(f"{max(values):.4g}")


def _size(kind: ImageKind, good: GoodImagesFacts) -> Difference | None:
    (lowest, highest), (narrowest, widest) = good.heights, good.widths
    is_one = lowest == highest and narrowest == widest
    factor = 1.0 if is_one else _SIZE_FACTOR
    fits = lowest / factor <= kind.height <= highest * factor and narrowest / factor <= kind.width <= widest * factor
    if fits:
        return None
    expected = f"{widest} x {highest}" if is_one else f"{narrowest} x {lowest} to {widest} x {highest}"
    return Difference("size", f"{kind.width} x {kind.height} pixels", expected)


def _aspect_ratio(kind: ImageKind, good: GoodImagesFacts, kinds: KindsFacts) -> Difference | None:
    low, high = kinds.aspect_ratios
    factor = 1.02 if good.heights[0] == good.heights[1] and good.widths[0] == good.widths[1] else _SIZE_FACTOR
    ratio = kind.width / kind.height
    if low / factor <= ratio <= high * factor:
        return None
    form = ".2f" if min(ratio, low) >= _SMALL_RATIO else ".2g"
    return Difference("aspect ratio", format(ratio, form), _range(low, high, form))


def _format(kind: ImageKind, kinds: KindsFacts) -> Difference | None:
    if kind.file_format is None or not kinds.formats or kind.file_format in kinds.formats:
        return None
    return Difference("format", kind.file_format, ", ".join(kinds.formats))


def _depth(kind: ImageKind, kinds: KindsFacts) -> Difference | None:
    low, high = kinds.bits
    if low - _FEWER_BITS < kind.bits <= high:
        return None
    return Difference("depth", f"levels up to {kind.bits} bits", f"{_range(low, high, 'd')} bits")


def _colour(kind: ImageKind, kinds: KindsFacts) -> Difference | None:
    if kind.channels in kinds.channels:
        return None
    return Difference("colour", name_channels(kind.channels), " and ".join(map(name_channels, kinds.channels)))


def _sharpness(kind: ImageKind, kinds: KindsFacts) -> Difference | None:
    if kinds.sharpness is None or kind.sharpness is None or kinds.sharpness[0] <= 0 or kind.sharpness <= 0:
        return None
    low, high = kinds.sharpness
    factor = max(_SHARPNESS_FACTOR, math.sqrt(high / low))
    if low / factor <= kind.sharpness <= high * factor:
        return None
    word = "blurred" if kind.sharpness < low else "sharper or noisier"
    return Difference("sharpness", f"{word} ({kind.sharpness:.2g})", _range(low, high, ".2g"))


def _range(low: float, high: float, form: str) -> str:
    least, greatest = format(low, form), format(high, form)
    return least if least == greatest else f"{least} to {greatest}"
