"""The view of an image: what is cut out and what of that is looked at, against NumPy and Pillow."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from onlygood.graph.costs import CostBound
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.view import BEGIN, END, VIEW, Region, View, full_size_map, region_view
from textures import Array, texture


def ellipse(size: tuple[int, int], *, share: float = 0.35, at: tuple[float, float] = (0.5, 0.5)) -> Array:
    rows, columns = np.mgrid[: size[0], : size[1]]
    middle, radii = np.array(at) * size, share * np.array(size)
    inside: Array = ((rows - middle[0]) / radii[0]) ** 2 + ((columns - middle[1]) / radii[1]) ** 2 < 1
    return inside


def box(size: tuple[int, int], top: int, left: int, bottom: int, right: int) -> Array:
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def shown(region: Region, images: Array, **settings: Any) -> tuple[Array, Array, Array]:
    model = join(region_view(region, dtype=images.dtype, **settings), outputs=[VIEW, BEGIN, END])
    view, begin, end = run(open_session(model.SerializeToString()), [VIEW, BEGIN, END], {"image": images})
    return view, begin, end


def as_pillow_scales(mask: Array, size: tuple[int, int]) -> Array:
    scaled: Array = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)) > 0
    return scaled


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_is_cut_out_and_nothing_is_added(dtype: type, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 200, (2, 40, 60, channels)).astype(dtype)
    region = Region(box((40, 60), 5, 10, 33, 51))
    assert region.is_box
    assert region.looked_at == 1.0
    view, begin, end = shown(region, image)
    np.testing.assert_array_equal(view, image[:, 5:33, 10:51])
    assert (begin.tolist(), end.tolist()) == ([5, 10], [33, 51])


@pytest.mark.parametrize("size", [(40, 60), (80, 120), (20, 30), (57, 86), (1, 1)])
def test_another_shape_is_a_mask_behind_the_colours_at_any_size_of_image(size: tuple[int, int]) -> None:
    mask = ellipse((40, 60))
    image = np.random.default_rng(1).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    view, (top, left), (bottom, right) = shown(Region(mask), image)
    np.testing.assert_array_equal(view[..., :3], image[:, top:bottom, left:right])
    wanted = as_pillow_scales(mask, size)
    for each in view[..., 3]:
        # Where two pixels of the mask are equally near, Pillow takes one and we take neither unless both are looked at.
        assert not ((each > 0) & ~wanted[top:bottom, left:right]).any()
        assert ((each > 0) != wanted[top:bottom, left:right]).mean() < (0.02 if size != (20, 30) else 0.1)
    # The box may leave out a pixel of what Pillow has at its border, and never has one that Pillow has not.
    outside = wanted.copy()
    outside[top:bottom, left:right] = False
    assert outside.sum() <= sum(size) or size == (1, 1)


def test_an_image_of_one_pixel_still_has_a_view() -> None:
    view, _, _ = shown(Region(box((40, 60), 5, 10, 33, 51)), np.zeros((1, 1, 1, 1), dtype=np.uint8))
    assert view.shape == (1, 1, 1, 1)


def test_a_mask_that_is_there_and_the_region_are_both_kept() -> None:
    first, second = ellipse((30, 30), at=(0.4, 0.4)), ellipse((30, 30), at=(0.6, 0.6))
    image = np.dstack([texture(0, (30, 30)), first.astype(np.uint8)])[None]
    region = Region(second)
    view, (top, left), (bottom, right) = shown(region, image, has_mask=True)
    assert view.shape[3] == 2
    np.testing.assert_array_equal(view[0, ..., 1] > 0, (first & second)[top:bottom, left:right])


def test_the_size_of_a_view_is_known_before() -> None:
    region = Region(ellipse((40, 60)))
    for size in ((40, 60), (57, 86), (400, 600)):
        view, _, _ = shown(region, np.zeros((1, *size, 1), dtype=np.uint8))
        assert view.shape[1:3] == region.view_size(size)


def test_what_is_not_looked_at_has_one_level_in_the_map() -> None:
    mask = ellipse((40, 60))
    view = View(np.dtype(np.uint8), Region(mask))
    graph = join(*view.subgraphs(), view.map(outside=-7.0), outputs=["anomaly_map"])
    patch_scores = np.random.default_rng(2).random((1, 4, 6), dtype=np.float32)
    feeds = {"image": np.zeros((1, 40, 60, 3), dtype=np.uint8), "patch_scores": patch_scores}
    (found,) = run(open_session(graph.SerializeToString()), ["anomaly_map"], feeds)[0]
    assert found.shape == (40, 60)
    assert (found[~mask] == -7.0).all()
    top, left, bottom, right = view.region.box if view.region else (0, 0, 0, 0)
    plain = join(full_size_map(np.dtype(np.uint8)), outputs=["anomaly_map"])
    cut = {**feeds, "image": feeds["image"][:, top:bottom, left:right]}
    (inside,) = run(open_session(plain.SerializeToString()), ["anomaly_map"], cut)[0]
    np.testing.assert_array_equal(found[mask], inside[mask[top:bottom, left:right]])


@pytest.mark.parametrize("mask", [ellipse((40, 60)), box((40, 60), 3, 4, 30, 50)])
def test_its_cost_is_known_before_it_is_run(mask: Array) -> None:
    model = join(region_view(Region(mask), dtype=np.dtype(np.uint8)), outputs=[VIEW])
    costs = CostBound(model, channels=3, name="made")
    costs.check((1, 3000, 4000, 3))
    _, shape = costs.outputs[VIEW]
    assert shape[1:3] == Region(mask).view_size((480, 640))
