"""Polygons and boxes as annotation tools write them in JSON: labelme, COCO, VIA, CVAT and Datumaro, Label Studio and
Supervisely.

Each of them is told by the names of its fields. Of several images in one file only one may have outlines.

    labelme         `shapes` with `points` and `shape_type`, `imageWidth`, `imageHeight`
    COCO            `images` with `width` and `height`, `annotations` with `segmentation` or `bbox`
    VIA             `regions` with `shape_attributes`; it does not state the size of the image
    CVAT            `shapes` with `type` and `points` in one row, as its server gives them, without a size
    Datumaro        `items` with `annotations` and the size of `image`, to which CVAT exports, too
    Label Studio    `result` with `value` in percent and `original_width`, or tasks with `label` (JSON-MIN)
    Supervisely     `size`, and `objects` with `geometryType` and `points`
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import SettingError
from onlygood.images.outlines import Outline, box_corners, ellipse_corners, turned
from onlygood.validation import one_of

Size = tuple[int, int]

# Numbers beyond this are no pixels.
_FARTHEST = 1e9
_TOOLS = "labelme, COCO, VIA, CVAT, Datumaro, Label Studio or Supervisely"


@dataclass(frozen=True)
class Drawn:
    """What is drawn on one image.

    Attributes:
        outlines: in pixels of an image of this size, or of whatever size it has.
        size: height and width of the image, in pixels; None where the file does not state it.
    """

    outlines: Sequence[Outline]
    size: Size | None


def read_annotations(content: Any, shown: str, *, size: Size | None = None) -> Drawn:
    """The outlines in a file of an annotation tool, of which one image has any.

    Args:
        content: as `json.loads` gives it.
        shown: what errors call the file.
        size: height and width of the image where the file does not state it.

    Raises:
        SettingError: it is of no tool that is known, has no outlines or those of several images, or has points, lines
            or other shapes that have no inside.
    """
    for read in (_labelme, _coco, _datumaro, _supervisely, _via, _cvat, _label_studio):
        found = read(content, shown, size)
        if found is not None:
            break
    else:
        raise SettingError(
            f"{shown} must be JSON of {_TOOLS}, with polygons or boxes, got JSON of another kind: export it as one of "
            "these"
        )
    with_outlines = [each for each in found if each.outlines]
    if not with_outlines:
        raise SettingError(f"{shown} must have at least one polygon or box, got none: draw what is to be looked at")
    if len(with_outlines) > 1:
        raise SettingError(
            f"{shown} must have polygons and boxes of one image, got those of {len(with_outlines)}: export one image"
        )
    return with_outlines[0]


# Tools


def _labelme(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    shapes = _list_in(content, "shapes")
    if shapes is None or not ("imageHeight" in content or any("shape_type" in each for each in shapes)):
        return None
    outlines = []
    for each, name in _numbered(shapes, shown):
        kind = each.get("shape_type") or "polygon"
        points = _pairs(each.get("points"), name)
        if kind == "rectangle" and len(points) == 2:
            outlines.append(Outline(_between(*points), shown=name))
        elif kind == "circle" and len(points) == 2:
            radius = float(np.linalg.norm(points[1] - points[0]))
            outlines.append(Outline(ellipse_corners(points[0][0], points[0][1], radius, radius), shown=name))
        elif kind in ("polygon", "rectangle", "rotation", "oriented_rectangle"):
            outlines.append(Outline(_ring(points, name), shown=name))
        else:
            raise _no_inside(name, kind)
    return [Drawn(outlines, _size(content.get("imageHeight"), content.get("imageWidth"), shown))]


def _coco(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    images, annotations = _list_in(content, "images"), _list_in(content, "annotations")
    if images is None or annotations is None:
        return None
    by_image: dict[str, list[Outline]] = {}
    for each, name in _numbered(annotations, shown, "annotation"):
        segmentation = each.get("segmentation")
        own = by_image.setdefault(repr(each.get("image_id")), [])
        if isinstance(segmentation, Mapping):
            raise _no_inside(name, "run-length mask")
        if segmentation:
            is_one = not isinstance(segmentation, list) or not isinstance(segmentation[0], list)
            rings = [segmentation] if is_one else segmentation
            own += [Outline(_ring(_flat(ring, name), name), shown=name) for ring in rings]
        elif each.get("bbox"):
            own.append(Outline(box_corners(*_numbers(each["bbox"], 4, name)), shown=name))
        else:
            raise SettingError(f"{name} must have a polygon or a box, got neither: draw it, or remove it")
    sizes = {repr(each.get("id")): _size(each.get("height"), each.get("width"), shown) for each in images}
    return [Drawn(outlines, sizes.get(image)) for image, outlines in by_image.items()]


def _datumaro(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    items = _list_in(content, "items")
    if items is None:
        return None
    drawn = []
    for item in items:
        outlines = []
        for each, name in _numbered(_list_in(item, "annotations") or [], shown, "annotation"):
            kind = each.get("type")
            if kind == "bbox":
                outlines.append(Outline(box_corners(*_numbers(each.get("bbox"), 4, name)), shown=name))
            elif kind == "polygon":
                outlines.append(Outline(_ring(_flat(each.get("points"), name), name), shown=name))
            elif kind != "label":
                raise _no_inside(name, kind)
        stated = _object(item.get("image")).get("size")
        height, width = stated if isinstance(stated, list) and len(stated) == 2 else (None, None)
        drawn.append(Drawn(outlines, _size(height, width, shown)))
    return drawn


def _supervisely(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    objects = _list_in(content, "objects")
    if objects is None or not isinstance(content.get("size"), Mapping):
        return None
    outlines = []
    for each, name in _numbered(objects, shown, "object"):
        kind, points = each.get("geometryType"), _object(each.get("points"))
        exterior = _pairs(points.get("exterior"), name)
        if kind == "rectangle" and len(exterior) == 2:
            outlines.append(Outline(_between(*exterior), shown=name))
        elif kind == "polygon":
            interior = points.get("interior")
            holes = [_ring(_pairs(hole, name), name) for hole in (interior if isinstance(interior, list) else [])]
            outlines.append(Outline(_ring(exterior, name), holes, name))
        else:
            raise _no_inside(name, kind)
    return [Drawn(outlines, _size(content["size"].get("height"), content["size"].get("width"), shown))]


def _via(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    if not isinstance(content, Mapping):
        return None
    files = content.get("_via_img_metadata", content)
    if not isinstance(files, Mapping) or not files:
        return None
    entries = list(files.values())
    if not all(isinstance(each, Mapping) and "regions" in each for each in entries):
        return None
    drawn = []
    for entry in entries:
        regions = entry["regions"]
        regions = list(regions.values()) if isinstance(regions, Mapping) else regions
        if not isinstance(regions, list):
            return None
        outlines = []
        for each, name in _numbered(regions, shown, "region"):
            shape = _object(each.get("shape_attributes"))
            outlines.append(Outline(_via_corners(shape, name), shown=name))
        drawn.append(Drawn(outlines, size))
    return drawn


def _via_corners(shape: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    kind = shape.get("name")

    def numbers(*fields: str) -> list[float]:
        return _numbers([shape.get(field) for field in fields], len(fields), name)

    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise SettingError(f"{name} must have as many x as y of its corners: export it again")
        return _ring(_pairs([list(pair) for pair in zip(xs, ys, strict=True)], name), name)
    if kind == "rect":
        return box_corners(*numbers("x", "y", "width", "height"))
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return ellipse_corners(x, y, radius, radius)
    if kind == "ellipse":
        x, y, radius_x, radius_y = numbers("cx", "cy", "rx", "ry")
        angle = _numbers([shape.get("theta", 0.0)], 1, name)[0]
        return turned(ellipse_corners(x, y, radius_x, radius_y), math.degrees(angle), x, y)
    raise _no_inside(name, kind)


def _cvat(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    shapes = _list_in(content, "shapes")
    if shapes is None or not all(isinstance(each, Mapping) and "type" in each for each in shapes):
        return None
    by_frame: dict[str, list[Outline]] = {}
    for each, name in _numbered(shapes, shown):
        kind, own = each["type"], by_frame.setdefault(repr(each.get("frame")), [])
        degrees = _numbers([each.get("rotation") or 0.0], 1, name)[0]
        if kind == "rectangle":
            left, top, right, bottom = _numbers(each.get("points"), 4, name)
            corners = box_corners(left, top, right - left, bottom - top)
            corners = turned(corners, degrees, (left + right) / 2, (top + bottom) / 2)
        elif kind == "polygon":
            corners = _ring(_flat(each.get("points"), name), name)
        elif kind == "ellipse":  # its middle, then how far it reaches to the right and up
            x, y, right, top = _numbers(each.get("points"), 4, name)
            corners = turned(ellipse_corners(x, y, abs(right - x), abs(y - top)), degrees, x, y)
        else:
            raise _no_inside(name, kind)
        own.append(Outline(corners, shown=name))
    return [Drawn(outlines, size) for outlines in by_frame.values()]


def _label_studio(content: Any, shown: str, size: Size | None) -> list[Drawn] | None:
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(task, Mapping) for task in tasks):
        return None
    found = [list(_label_studio_results(task)) for task in tasks]
    if not any("annotations" in task or "result" in task or "label" in task for task in tasks):
        return None
    drawn = []
    for results in found:
        outlines, stated = [], None
        for each, name in _numbered(results, shown, "result"):
            stated = _size(each.get("original_height"), each.get("original_width"), shown) or size
            if stated is None:
                raise SettingError(f"{shown} must state the size of its image, got none: export it as COCO")
            corners = _label_studio_corners(each, name, stated)
            if corners is not None:
                outlines.append(Outline(corners, shown=name))
        drawn.append(Drawn(outlines, stated))
    return drawn


def _label_studio_results(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is drawn in a task: of its last annotation, or as JSON-MIN has it."""
    annotations = _list_in(task, "annotations") or []
    result = annotations[-1].get("result") if annotations else task.get("result") or task.get("label")
    for each in result if isinstance(result, list) else []:
        if isinstance(each, Mapping):
            yield each


def _label_studio_corners(each: Mapping[str, Any], name: str, size: Size) -> NDArray[np.float64] | None:
    """Corners in pixels; None for what is no shape, such as a choice for the whole image."""
    value = each.get("value") if isinstance(each.get("value"), Mapping) else each
    assert isinstance(value, Mapping)
    scale = np.array([size[1] / 100.0, size[0] / 100.0])
    if "points" in value:
        return np.asarray(_ring(_pairs(value["points"], name), name) * scale)
    degrees = _numbers([value.get("rotation") or 0.0], 1, name)[0]
    if "radiusX" in value:
        numbers = _numbers([value.get(field) for field in ("x", "y", "radiusX", "radiusY")], 4, name)
        x, y, radius_x, radius_y = np.array(numbers) * np.tile(scale, 2)
        return turned(ellipse_corners(x, y, radius_x, radius_y), degrees, x, y)
    if "width" in value and "x" in value:
        numbers = _numbers([value.get(field) for field in ("x", "y", "width", "height")], 4, name)
        left, top, width, height = np.array(numbers) * np.tile(scale, 2)
        return turned(box_corners(left, top, width, height), degrees, left, top)
    if "x" in value or "rle" in value or "format" in value:
        raise _no_inside(name, each.get("type") or "point")
    return None


# Parts


def _list_in(content: Any, field: str) -> list[Any] | None:
    """The list of objects of this name; None where there is none."""
    if not isinstance(content, Mapping) or not isinstance(content.get(field), list):
        return None
    listed: list[Any] = content[field]
    return listed if all(isinstance(each, Mapping) for each in listed) else None


def _object(value: Any) -> Mapping[str, Any]:
    """The object; an empty one where it is something else."""
    return value if isinstance(value, Mapping) else {}


def _numbered(objects: Sequence[Any], shown: str, noun: str = "shape") -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each object and what errors call it."""
    for number, each in enumerate(objects, start=1):
        name = f"{noun} {number} of {shown}"
        if not isinstance(each, Mapping):
            raise SettingError(f"{name} must be an object with a polygon or a box, got {type(each).__name__}")
        yield each, name


def _size(height: Any, width: Any, shown: str) -> Size | None:
    """Height and width; None where either is missing."""
    if height is None or width is None:
        return None
    if not all(_is_number(side) and side >= 1 for side in (height, width)):
        raise SettingError(f"{shown} must state the size of its image in pixels, got {width!r} x {height!r}")
    return round(height), round(width)


def _numbers(values: Any, count: int, name: str) -> list[float]:
    """So many finite numbers."""
    if not isinstance(values, list) or len(values) != count or not all(_is_number(value) for value in values):
        raise SettingError(f"{name} must have {count} number{'s' * (count > 1)}, got {_short(values)}: export it again")
    return [float(value) for value in values]


def _pairs(points: Any, name: str) -> NDArray[np.float64]:
    """Corners, float64 [n, 2], of pairs of numbers or of objects with x and y."""
    if isinstance(points, list):
        points = [[each.get("x"), each.get("y")] if isinstance(each, Mapping) else each for each in points]
        if all(isinstance(each, list) and len(each) == 2 and all(map(_is_number, each)) for each in points):
            return np.array(points, dtype=np.float64).reshape(-1, 2)
    raise SettingError(f"{name} must have corners with x and y, got {_short(points)}: export it again")


def _flat(values: Any, name: str) -> NDArray[np.float64]:
    """Corners, float64 [n, 2], of x and y in turn."""
    if not isinstance(values, list) or len(values) % 2 or not all(_is_number(value) for value in values):
        raise SettingError(f"{name} must have x and y of its corners in turn, got {_short(values)}: export it again")
    return np.array(values, dtype=np.float64).reshape(-1, 2)


def _ring(corners: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """The corners, if they are at least three."""
    if len(corners) < 3:
        raise SettingError(f"{name} must have at least three corners, got {len(corners)}: draw it again, or remove it")
    return corners


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a box between two opposite ones."""
    left, top = np.minimum(one, other)
    width, height = np.abs(one - other)
    return box_corners(left, top, width, height)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FARTHEST


def _no_inside(name: str, kind: Any) -> SettingError:
    return SettingError(
        f"{name} must be {one_of(('a polygon', 'a box', 'an ellipse'))}, got a shape of type {kind!r}: remove it, or "
        "draw it as one of these"
    )


def _short(values: Any) -> str:
    text = repr(values)
    return text if len(text) <= 60 else f"{text[:57]}..."
