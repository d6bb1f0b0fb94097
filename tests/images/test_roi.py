"""Regions of interest: masks, and what annotation tools write, each with the error that it gives where it is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import SettingError
from onlygood.images.limits import ReadingLimits
from onlygood.images.roi import read_roi

HEIGHT, WIDTH = 40, 60
BOX = np.zeros((HEIGHT, WIDTH), bool)
BOX[10:30, 20:50] = True
TRIANGLE = [[0, 0], [40, 0], [0, 40]]


def in_triangle() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return x + y < 40


def write(folder: Path, content: Any) -> Path:
    path = folder / "roi.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def save(folder: Path, pixels: Any, name: str = "roi.png", **how: Any) -> Path:
    path = folder / name
    Image.fromarray(pixels).save(path, **how)
    return path


# Masks


@pytest.mark.parametrize("levels", [(0, 255), (0, 1), (20, 236), (254, 255)])
def test_of_two_levels_the_higher_is_looked_at(tmp_path: Path, levels: tuple[int, int]) -> None:
    pixels = np.where(BOX, levels[1], levels[0]).astype(np.uint8)
    assert np.array_equal(read_roi(save(tmp_path, pixels)), BOX)
    assert np.array_equal(read_roi(pixels), BOX)
    assert np.array_equal(read_roi(pixels.astype(np.int64)), BOX)


def test_masks_of_one_bit_16_bits_and_palettes_and_arrays_of_true_and_false(tmp_path: Path) -> None:
    assert np.array_equal(read_roi(save(tmp_path, BOX)), BOX)
    assert np.array_equal(read_roi(save(tmp_path, BOX.astype(np.uint16) * 65535, "roi.tif")), BOX)
    palette = Image.fromarray(BOX.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_roi(tmp_path / "palette.png"), BOX)
    given = BOX.copy()
    mask = read_roi(given)
    assert np.array_equal(mask, BOX)
    mask[:] = False
    assert given.any()  # the array that was given is left alone


def test_smooth_borders_and_lossy_compression_are_cut_at_half(tmp_path: Path) -> None:
    path = save(tmp_path, BOX.astype(np.uint8) * 255, "roi.jpg", quality=85)
    assert (read_roi(path) != BOX).mean() < 0.01
    large = np.zeros((200, 200), np.uint8)
    large[50:150, 50:150] = 255
    large[50:150, 50] = 100
    large[50:150, 149] = 140
    mask = read_roi(save(tmp_path, large))
    assert not mask[60, 50] and mask[60, 149]


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    pixels[:, :, 3] = BOX * 255
    assert np.array_equal(read_roi(save(tmp_path, pixels)), BOX)


def test_an_image_that_is_all_white_is_looked_at_everywhere(tmp_path: Path) -> None:
    assert read_roi(save(tmp_path, np.full((HEIGHT, WIDTH), 255, np.uint8))).all()


def test_masks_that_say_nothing_or_too_much(tmp_path: Path) -> None:
    def refused(pixels: Any, pattern: str) -> None:
        path = save(tmp_path, pixels)
        with pytest.raises(SettingError, match=pattern):
            read_roi(path)

    refused(np.zeros((HEIGHT, WIDTH), np.uint8), r"roi\.png must be white where .* got black everywhere")
    ramp = np.tile(np.arange(WIDTH, dtype=np.uint8) * 4, (HEIGHT, 1))
    refused(ramp, r"must have two levels, black and white, got 60 with 6\d% of its pixels between")
    refused(ramp // 8, r"must have two levels, black and white, got \d+ with no white")
    colours = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    colours[BOX] = (255, 0, 0)
    refused(colours, r"must be black and white, .* got colours on 25% of its pixels")
    black = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    black[:, :, 3] = BOX * 255  # drawn in black, with the rest transparent
    refused(black, r"got black everywhere: .*what is transparent is black")


@pytest.mark.parametrize(
    ("array", "pattern"),
    [
        (np.zeros((4, 5), bool), "the array of the region of interest must be white where"),
        (np.zeros((4, 5, 3), np.uint8), r"must have the shape \[H, W\], got \[4, 5, 3\]"),
        (np.zeros((0, 5)), r"must have the shape \[H, W\], got \[0, 5\]"),
        (np.arange(12.0).reshape(3, 4), "must have two levels, got 12"),
        (np.full((2, 2), np.nan), "must be of numbers or of True and False, got float64"),
        (np.array([["a"]]), "must be of numbers or of True and False, got <U1"),
        (None, r"must have the shape \[H, W\], got \[\]"),
    ],
)
def test_arrays_that_are_no_mask(array: Any, pattern: str) -> None:
    with pytest.raises(SettingError, match=pattern):
        read_roi(array)


def test_files_that_are_no_region(tmp_path: Path) -> None:
    def refused(data: bytes, pattern: str, name: str = "roi.png") -> None:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(SettingError, match=pattern):
            read_roi(path, limits=ReadingLimits(max_bytes=10_000, max_pixels=10_000))

    refused(b"", r"roi\.png is empty \(0 bytes\)")
    refused(b"no image", r"the region of interest must be a mask or JSON with polygons: .*roi\.png is a")
    refused(b"<annotations/>", r"must be an image or JSON, got XML or SVG: export it as COCO")
    refused(b'{"shapes": [', r"is no JSON \(Expecting value")
    refused(b"[" * 9_000, r"is no JSON \(")
    refused(b"x" * 10_001, "has more than 10,000 bytes")
    refused(b'{"shapes": [], "imageHeight": 1000, "imageWidth": 1000}', "must have at least one polygon or box")
    with pytest.raises(SettingError, match="does not exist: check the path"):
        read_roi(tmp_path / "missing.png")
    with pytest.raises(SettingError, match="is a folder where a region of interest is meant"):
        read_roi(tmp_path)
    with pytest.raises(SettingError, match="a path must not be empty"):
        read_roi("")
    big = {"imageHeight": 1000, "imageWidth": 1000, "shapes": [{"points": TRIANGLE}]}
    with pytest.raises(SettingError, match="drawn on an image of 1000 x 1000 pixels, and at most 10,000 are read"):
        read_roi(write(tmp_path, big), limits=ReadingLimits(max_pixels=10_000))


# Annotation tools


def labelme(*shapes: Any) -> Any:
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imageHeight": HEIGHT, "imageWidth": WIDTH}


def coco(*annotations: Any) -> Any:
    return {
        "images": [{"id": 7, "file_name": "1.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"id": number, "image_id": 7, **each} for number, each in enumerate(annotations)],
        "categories": [{"id": 1, "name": "part"}],
    }


def datumaro(*annotations: Any) -> Any:
    return {"info": {}, "items": [{"id": "1", "annotations": annotations, "image": {"size": [HEIGHT, WIDTH]}}]}


def supervisely(*objects: Any) -> Any:
    return {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects, "tags": []}


def via(*shapes: Any) -> Any:
    regions = [{"shape_attributes": shape, "region_attributes": {}} for shape in shapes]
    return {"1.png1234": {"filename": "1.png", "size": 1234, "regions": regions, "file_attributes": {}}}


def label_studio(*values: Any, **sizes: Any) -> Any:
    sizes = sizes or {"original_height": HEIGHT, "original_width": WIDTH}
    result = [{"type": "rectanglelabels", "value": value, **sizes} for value in values]
    return [{"id": 1, "data": {"image": "1.png"}, "annotations": [{"id": 1, "result": result}], "predictions": []}]


PERCENT = {"x": 100 / 3, "y": 25, "width": 50, "height": 50, "rotation": 0}
BOXES = {
    "labelme": labelme({"shape_type": "rectangle", "points": [[50, 30], [20, 10]], "label": "roi"}),
    "labelme, four corners": labelme({"shape_type": "rectangle", "points": [[20, 10], [50, 10], [50, 30], [20, 30]]}),
    "COCO": coco({"bbox": [20, 10, 30, 20], "segmentation": []}),
    "Datumaro": datumaro({"type": "bbox", "bbox": [20, 10, 30, 20]}, {"type": "label", "label_id": 0}),
    "Supervisely": supervisely({"geometryType": "rectangle", "points": {"exterior": [[20, 10], [50, 30]]}}),
    "VIA": via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 20}),
    "VIA, a project": {
        "_via_settings": {},
        "_via_img_metadata": via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 20}),
    },
    "CVAT": {"version": 0, "shapes": [{"type": "rectangle", "points": [20, 10, 50, 30], "frame": 0}]},
    "CVAT, turned by a quarter": {"shapes": [{"type": "rectangle", "points": [25, 5, 45, 35], "rotation": 90}]},
    "Label Studio": label_studio(PERCENT),
    "Label Studio, turned": label_studio({"x": 250 / 3, "y": 25, "width": 100 / 3, "height": 75, "rotation": 90}),
    "Label Studio, JSON-MIN": [
        {"image": "1.png", "label": [PERCENT | {"original_height": HEIGHT, "original_width": WIDTH}]}
    ],
    "Label Studio, no size": label_studio(PERCENT, to_name="image"),
}
POLYGONS = {
    "labelme": labelme({"shape_type": "polygon", "points": TRIANGLE}),
    "labelme, before it named shapes": labelme({"points": TRIANGLE}),
    "COCO": coco({"segmentation": [[0, 0, 40, 0, 0, 40]], "bbox": [0, 0, 40, 40]}),
    "Datumaro": datumaro({"type": "polygon", "points": [0, 0, 40, 0, 0, 40]}),
    "Supervisely": supervisely({"geometryType": "polygon", "points": {"exterior": TRIANGLE, "interior": []}}),
    "VIA": via({"name": "polygon", "all_points_x": [0, 40, 0], "all_points_y": [0, 0, 40]}),
    "VIA 1": {
        "1.png": {
            "regions": {
                "0": {"shape_attributes": {"name": "polygon", "all_points_x": [0, 40, 0], "all_points_y": [0, 0, 40]}}
            }
        }
    },
    "CVAT": {"shapes": [{"type": "polygon", "points": [0, 0, 40, 0, 0, 40]}]},
    "Label Studio": label_studio({"points": [[0, 0], [200 / 3, 0], [0, 100]], "polygonlabels": ["part"]}),
}


@pytest.mark.parametrize("tool", BOXES)
def test_a_box_of_each_tool(tmp_path: Path, tool: str) -> None:
    assert np.array_equal(read_roi(write(tmp_path, BOXES[tool]), size=(HEIGHT, WIDTH)), BOX)


@pytest.mark.parametrize("tool", POLYGONS)
def test_a_polygon_of_each_tool(tmp_path: Path, tool: str) -> None:
    assert np.array_equal(read_roi(write(tmp_path, POLYGONS[tool]), size=(HEIGHT, WIDTH)), in_triangle())


@pytest.mark.parametrize(
    "content",
    [
        labelme({"shape_type": "circle", "points": [[30, 20], [40, 20]]}),
        via({"name": "circle", "cx": 30, "cy": 20, "r": 10}),
        via({"name": "ellipse", "cx": 30, "cy": 20, "rx": 10, "ry": 10, "theta": 1.0}),
        {"shapes": [{"type": "ellipse", "points": [30, 20, 40, 10]}]},
        label_studio({"x": 50, "y": 50, "radiusX": 100 / 6, "radiusY": 25, "rotation": 30}),
    ],
)
def test_circles(tmp_path: Path, content: Any) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = np.hypot(x - 30, y - 20) < 10
    assert (read_roi(write(tmp_path, content), size=(HEIGHT, WIDTH)) != expected).sum() <= 4


def test_several_outlines_are_looked_at_together_and_holes_of_one_are_not(tmp_path: Path) -> None:
    box = {"shape_type": "rectangle", "points": [[20, 10], [50, 30]]}
    both = read_roi(write(tmp_path, labelme(box, {"points": TRIANGLE})))
    assert np.array_equal(both, BOX | in_triangle())
    hole = [[25, 15], [30, 15], [30, 20], [25, 20]]
    corners = [[20, 10], [50, 10], [50, 30], [20, 30]]
    ring = supervisely({"geometryType": "polygon", "points": {"exterior": corners, "interior": [hole]}})
    expected = BOX.copy()
    expected[15:20, 25:30] = False
    assert np.array_equal(read_roi(write(tmp_path, ring)), expected)
    parts = coco({"segmentation": [[0, 0, 40, 0, 0, 40], [20, 10, 50, 10, 50, 30, 20, 30]]})
    assert np.array_equal(read_roi(write(tmp_path, parts)), both)


def test_what_is_partly_outside_is_cut_off(tmp_path: Path) -> None:
    mask = read_roi(write(tmp_path, labelme({"shape_type": "rectangle", "points": [[-20, 30], [10, 400]]})))
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask[30:, :10].all() and mask.sum() == 100


def test_a_size_that_the_file_states_counts_more_than_the_one_given(tmp_path: Path) -> None:
    assert read_roi(write(tmp_path, BOXES["labelme"]), size=(80, 120)).shape == (HEIGHT, WIDTH)
    assert read_roi(write(tmp_path, BOXES["VIA"]), size=(80, 120)).shape == (80, 120)


def test_one_image_with_outlines_among_several_is_taken(tmp_path: Path) -> None:
    files = via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 20})
    files |= {"2.png": {"filename": "2.png", "regions": []}}
    assert np.array_equal(read_roi(write(tmp_path, files), size=(HEIGHT, WIDTH)), BOX)
    files["2.png"] = files["1.png1234"]
    with pytest.raises(SettingError, match="must have polygons and boxes of one image, got those of 2"):
        read_roi(write(tmp_path, files), size=(HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ({"a": 1}, "must be JSON of labelme, COCO, .* got JSON of another kind"),
        ([], "got JSON of another kind"),
        ([1, 2], "got JSON of another kind"),
        (labelme(), "must have at least one polygon or box, got none"),
        (coco(), "must have at least one polygon or box, got none"),
        (labelme({"points": TRIANGLE[:2]}), r"shape 1 of .*roi\.json must have at least three corners, got 2"),
        (labelme({"points": [[0, 0], [1, "a"], [2, 2]]}), "shape 1 of .* must have corners with x and y, got"),
        (labelme({"points": [[0, 0], [1, 1e12], [2, 2]]}), "must have corners with x and y, got"),
        (labelme({"points": [[0, 0], [1, 10**400], [2, 2]]}), "must have corners with x and y, got"),
        (labelme({"points": None}), "must have corners with x and y, got None"),
        (labelme({"shape_type": "line", "points": TRIANGLE[:2]}), "got a shape of type 'line': remove it"),
        (labelme({"shape_type": "point", "points": [[1, 1]]}), "got a shape of type 'point'"),
        (
            labelme({"shape_type": "rectangle", "points": [[70, 50], [80, 60]]}),
            "must lie in the image of 60 x 40 pixels, got x from 70 to 80 and y from 50 to 60",
        ),
        (
            labelme({"points": TRIANGLE}, {"points": [[-9, -9], [-1, -9], [-1, 50]]}),
            "shape 2 of .* must lie in the image",
        ),
        (labelme({"points": [[3, 3], [3.1, 3], [3, 3.1]]}), "shape 1 of .* must hold at least one pixel"),
        (labelme({"points": TRIANGLE}) | {"imageHeight": 0}, "must state the size of its image in pixels, got 60 x 0"),
        (
            labelme({"points": TRIANGLE}) | {"imageHeight": None},
            "must state the size of the image that it was drawn on",
        ),
        (coco({"segmentation": {"counts": [1, 2], "size": [40, 60]}}), "got a shape of type 'run-length mask'"),
        (coco({"segmentation": [[0, 0, 4]]}), "must have x and y of its corners in turn"),
        (coco({"segmentation": []}), "annotation 1 of .* must have a polygon or a box, got neither"),
        (coco({"bbox": [1, 2, 3]}), r"must have 4 numbers, got \[1, 2, 3\]"),
        (coco({"bbox": [1, 2, float("nan"), 4]}), "must have 4 numbers, got"),
        (coco({"bbox": [1, 2, 0, 4]}), "must hold at least one pixel"),
        (datumaro({"type": "polyline", "points": [0, 0, 1, 1]}), "got a shape of type 'polyline'"),
        (
            supervisely({"geometryType": "bitmap", "bitmap": {}, "points": {"exterior": []}}),
            "got a shape of type 'bitmap'",
        ),
        (via({"name": "polygon", "all_points_x": [0, 1], "all_points_y": [0]}), "must have as many x as y"),
        (via({"name": "polyline"}), "got a shape of type 'polyline'"),
        (via({"name": "rect", "x": 20, "y": 10, "width": 30, "height": 20}), "must state the size of the image"),
        ({"shapes": [{"type": "skeleton", "points": []}]}, "got a shape of type 'skeleton'"),
        (label_studio({"x": 5, "y": 5, "width": 5, "keypointlabels": ["a"]}), "must have 4 numbers"),
        (label_studio({"format": "rle", "rle": [1]}), "got a shape of type 'rectanglelabels'"),
        (label_studio({"choices": ["good"]}), "must have at least one polygon or box, got none"),
        (label_studio(PERCENT, to_name="image"), "must state the size of its image, got none"),
    ],
)
def test_annotations_that_say_nothing_that_can_be_looked_at(tmp_path: Path, content: Any, pattern: str) -> None:
    with pytest.raises(SettingError, match=pattern):
        read_roi(write(tmp_path, content))


def _places(content: Any, place: tuple[Any, ...] = ()) -> Any:
    yield place
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from _places(value, (*place, key))


@pytest.mark.parametrize("name", [*BOXES, *(f"{tool}, polygon" for tool in POLYGONS)])
def test_whatever_stands_anywhere_in_a_file_is_read_or_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    content = POLYGONS[name.removesuffix(", polygon")] if name.endswith(", polygon") else BOXES[name]
    read = refused = 0
    for place in _places(json.loads(json.dumps(content))):
        for value in (None, -1, 10**400, "x", [[1]], {}, float("nan")):
            changed = json.loads(json.dumps(content))
            holder = changed
            for key in place[:-1]:
                holder = holder[key]
            if place:
                holder[place[-1]] = value
            else:
                changed = value
            try:
                read += read_roi(write(tmp_path, changed), size=(HEIGHT, WIDTH)).any()
            except SettingError as error:
                assert not str(error).endswith(".")
                refused += 1
    assert read and refused
