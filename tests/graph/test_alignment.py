"""Registration to a golden sample, and what is made of an image and its map by it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from onlygood.graph.alignment import ALIGNED, ALIGNED_MAP, ALIGNMENT, alignment, map_of_image, small_image
from onlygood.graph.registration import BANDS, band_graph
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.template import Motion, Template, grid_of, make_template, search_angles, smoothing
from parts import HEIGHT, WIDTH, part
from reference import evaluate

Array = NDArray[Any]


def template_of(golden: Array, motion: Motion, most_degrees: float = 180.0) -> Template:
    golden = golden.reshape(*golden.shape[:2], -1)
    grid = grid_of((golden.shape[0], golden.shape[1]))
    graph = join(small_image(grid, dtype=golden.dtype), band_graph(grid), outputs=list(BANDS))
    found = evaluate(graph, {"image": golden[None]})
    bands = [found[name][0] for name in BANDS]
    return make_template(bands, motion, aspect=golden.shape[0] / golden.shape[1], most_degrees=most_degrees)


@cache
def session_of(template: Template, dtype: Any, opset: int) -> Any:
    return open_session(alignment(template, dtype=dtype, opset=opset).SerializeToString(), threads=1)


def aligned(template: Template, *images: Array, opset: int = 18) -> tuple[Array, Array]:
    """The aligned images, and where parts lie: degrees, right, down, correlation."""
    batch = np.stack([image.reshape(*image.shape[:2], -1) for image in images])
    found, where = run(session_of(template, batch.dtype, opset), [ALIGNED, ALIGNMENT], {"image": batch})
    return found, where


def moved(image: Array, right: int, down: int) -> Array:
    """The image shifted by whole pixels; what comes into view is its outermost pixels."""
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    return image[rows][:, columns]


GOLDEN = part()
SHIFTED, RIGID = template_of(GOLDEN, "translation"), template_of(GOLDEN, "rigid")


@pytest.mark.parametrize(("right", "down"), [(0, 0), (1, 0), (-7, 3), (12, -9), (-20, -13), (30, 20)])
def test_a_shift_by_whole_pixels_is_undone_exactly(right: int, down: int) -> None:
    image = moved(GOLDEN, right, down)
    (found,), (where,) = aligned(SHIFTED, image)
    assert where[:3].tolist() == [0, right, down]
    # What lies outside the image is the image, mirrored.
    most = max(abs(right), abs(down), 1)
    wide = np.pad(image, most, mode="symmetric")
    expected = wide[most + down : most + down + HEIGHT, most + right : most + right + WIDTH]
    assert found[..., 0].tolist() == expected.tolist()
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    in_view = (rows + down >= 0) & (rows + down < HEIGHT) & (columns + right >= 0) & (columns + right < WIDTH)
    assert found[in_view, 0].tolist() == GOLDEN[in_view].tolist()


def test_shifts_are_those_of_a_search_among_all_of_them() -> None:
    # The slow reference: the correlation at every shift, of the pixels that both show.
    for seed, (right, down) in enumerate([(4, -6), (-9, 2), (3, 8)], start=1):
        image = part(seed, right=right, down=down, noise=8)

        def correlation(x: int, y: int, image: Array = image) -> float:
            here = image[max(0, y) : HEIGHT + min(0, y), max(0, x) : WIDTH + min(0, x)]
            there = GOLDEN[max(0, -y) : HEIGHT + min(0, -y), max(0, -x) : WIDTH + min(0, -x)]
            return float(np.corrcoef(here.ravel(), there.ravel())[0, 1])

        shifts = [(x, y) for x in range(-12, 13) for y in range(-12, 13)]
        best = max(shifts, key=lambda shift: correlation(*shift))
        assert best == (right, down)
        _, (where,) = aligned(SHIFTED, image)
        assert where[1:3].tolist() == list(best)


@pytest.mark.parametrize("degrees", [0.0, 1.3, -4.0, 12.5, 45.0, 90.0, -117.0, 178.0])
def test_turns_and_shifts_are_found(degrees: float) -> None:
    places = [(0.0, 0.0), (6.4, -3.7), (-11.2, 5.5)]
    images = [part(7, degrees=degrees, right=right, down=down) for right, down in places]
    _, where = aligned(RIGID, *images)
    for found, (right, down) in zip(where, places, strict=True):
        assert abs((found[0] - degrees + 180) % 360 - 180) < 0.2
        assert found[1:3] == pytest.approx((right, down), abs=0.2)
        assert found[3] > 0.95


def test_an_aligned_part_is_the_part_as_it_would_lie() -> None:
    golden = part(noise=0)
    template = template_of(golden, "rigid")
    (image,), _ = aligned(template, part(noise=0, degrees=25, right=4.3, down=-2.6))
    difference = np.abs(image[..., 0].astype(float) - golden)
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) < 12  # between bilinear and exact at edges of 110 levels


def test_light_and_noise_do_not_move_a_part() -> None:
    image = part(3, degrees=20, right=5, down=-4)
    (plain,) = aligned(RIGID, image)[1]
    slope = np.linspace(-30, 30, WIDTH)[None, :] + np.linspace(15, -15, HEIGHT)[:, None]
    others = [
        0.5 * image.astype(float) + 60,
        image + slope,
        image + np.random.default_rng(0).normal(0, 12, image.shape),
    ]
    for other in others:
        (where,) = aligned(RIGID, np.clip(other, 0, 255).astype(np.uint8))[1]
        assert where[0] == pytest.approx(plain[0], abs=0.5)
        assert where[1:3] == pytest.approx(plain[1:3], abs=0.4)


def test_a_defect_does_not_move_a_part() -> None:
    image = part(3, degrees=-15, right=-6, down=4)
    (plain,) = aligned(RIGID, image)[1]
    changed = image.copy()
    changed[40:60, 44:64] = 255
    (where,) = aligned(RIGID, changed)[1]
    assert where[3] < plain[3]
    assert where[0] == pytest.approx(plain[0], abs=0.7)
    assert where[1:3] == pytest.approx(plain[1:3], abs=0.7)


def test_no_larger_angle_than_asked_for_is_undone() -> None:
    template = template_of(GOLDEN, "rigid", 20.0)
    found = aligned(template, part(1, degrees=15), part(1, degrees=60), part(1, degrees=180))[1]
    assert found[0][0] == pytest.approx(15, abs=0.2)
    assert np.abs(found[:, 0]).max() <= 20 + 1e-4
    assert np.degrees(search_angles(20.0)).tolist() == pytest.approx([-20, -15, -10, -5, 0, 5, 10, 15, 20])
    assert len(search_angles(180.0)) == 72


def test_channels_depth_and_size_of_an_image_do_not_matter() -> None:
    image = part(5, degrees=30, right=5, down=-3)
    (grey,) = aligned(RIGID, image)[1]
    (colour,) = aligned(RIGID, np.repeat(image[..., None], 3, axis=2))[1]
    (deep,) = aligned(RIGID, image.astype(np.uint16) * 257)[1]
    np.testing.assert_allclose(colour, grey, atol=1e-3)
    np.testing.assert_allclose(deep, grey, atol=1e-3)
    large = part(5, degrees=30, right=10, down=-6, size=(2 * HEIGHT, 2 * WIDTH), scale=2)
    (where,) = aligned(RIGID, large)[1]
    assert where[0] == pytest.approx(30, abs=0.3)
    assert where[1:3] == pytest.approx((10, -6), abs=0.5)


def test_sixteen_bits_are_kept() -> None:
    image = (part(noise=0).astype(np.uint16) << 8) + np.arange(WIDTH, dtype=np.uint16)
    template = template_of(image, "translation")
    (found,), (where,) = aligned(template, moved(image, 5, -2))
    assert where[1:3].tolist() == [5, -2]
    assert found[2:, :-5, 0].tolist() == image[2:, :-5].tolist()


@pytest.mark.parametrize("template", [SHIFTED, RIGID], ids=["translation", "rigid"])
def test_images_without_anything_are_given_back(template: Template) -> None:
    for image in (np.full((HEIGHT, WIDTH), 90, np.uint8), np.array([[7]], np.uint8), np.zeros((1, 50), np.uint8)):
        (found,), (where,) = aligned(template, image)
        assert np.isfinite(where).all()
        assert found[..., 0].tolist() == image.tolist()


def test_several_images_in_one_run_are_aligned_as_alone() -> None:
    images = [part(1, degrees=40, right=3), part(2, degrees=-100, down=7), part(3)]
    together = aligned(RIGID, *images)
    for number, image in enumerate(images):
        for many, alone in zip(together, aligned(RIGID, image), strict=True):
            np.testing.assert_allclose(many[number].astype(float), alone[0].astype(float), atol=1)


def test_maps_come_back_to_where_the_part_lies() -> None:
    values = np.random.default_rng(0).random((HEIGHT, HEIGHT)).astype(np.float32)

    def back(degrees: float, right: float, down: float) -> Array:
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        x, y = 2 * right / HEIGHT, 2 * down / HEIGHT
        motion = {
            "align_back_cos": cos,
            "align_back_y_right": -sin,
            "align_back_x_down": sin,
            "align_back_to_right": -cos * x - sin * y,
            "align_back_to_down": sin * x - cos * y,
        }
        feeds: dict[str, Any] = {name: np.full((1, 1, 1), value, np.float32) for name, value in motion.items()}
        feeds |= {ALIGNED_MAP: values[None], "image": np.zeros((1, HEIGHT, HEIGHT, 1), np.uint8)}
        graph = join(map_of_image(dtype=np.dtype(np.uint8), outside=-1.0), outputs=["anomaly_map"])
        found: Array = evaluate(graph, feeds)["anomaly_map"]
        return found[0]

    np.testing.assert_allclose(back(0, 0, 0), values, atol=1e-4)
    # A quarter turn clockwise, as one looks at it.
    np.testing.assert_allclose(back(90, 0, 0), np.rot90(values, -1), atol=1e-3)
    shifted = back(0, 5, -3)
    np.testing.assert_allclose(shifted[:-3, 5:], values[3:, :-5], atol=1e-3)
    assert (shifted[-3:] == -1).all()
    assert (shifted[:, :5] == -1).all()


def test_optimising_changes_nothing() -> None:
    graph = alignment(RIGID, dtype=np.dtype(np.uint8)).SerializeToString()
    feeds = {"image": np.stack([part(1, degrees=33, right=4), part(2)])[..., None]}
    found = []
    for level in (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 4
        found.append(onnxruntime.InferenceSession(graph, options).run([ALIGNED, ALIGNMENT], feeds))
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-2)
    np.testing.assert_allclose(found[0][0].astype(float), found[1][0].astype(float), atol=2)


def test_later_opsets_have_another_name_for_bilinear_sampling() -> None:
    image = part(1, degrees=33, right=4)
    for one, other in zip(aligned(RIGID, image), aligned(RIGID, image, opset=20), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("template", [SHIFTED, RIGID, template_of(GOLDEN, "rigid", 30.0)])
def test_every_initializer_is_used(template: Template) -> None:
    graph = alignment(template, dtype=np.dtype(np.uint8)).graph
    used = {name for node in graph.node for name in node.input}
    assert [tensor.name for tensor in graph.initializer if tensor.name not in used] == []
    assert all(isinstance(node, onnx.NodeProto) and node.domain == "" for node in graph.node)


def test_smoothing_keeps_straight_lines_up_to_the_border() -> None:
    line = 3.0 + 0.5 * np.arange(50)
    for sigma in (1.0, 3.0, 16.0):
        np.testing.assert_allclose(smoothing(50, sigma) @ line, line, rtol=1e-4)
    halved = smoothing(50, 2.0, 2) @ line
    np.testing.assert_allclose(halved, 3.0 + 0.5 * (2 * np.arange(25) + 0.5), rtol=1e-4)
