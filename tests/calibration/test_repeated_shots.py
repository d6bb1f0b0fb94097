"""Near-duplicates through the real embedding: which images a fit takes for one part, and how many it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flat import fit
from onlygood.errors import FolderError
from repeated_shots import COLOURS, GREY, repeated, video
from textures import texture, textures

Array = NDArray[Any]
Case = tuple[list[Array], list[int]]

# The real backbone, at a smaller input than its card's: a quarter of the time.
QUICK: dict[str, Any] = {"input_size": 128, "bank_size": 100, "false_alarm_rate": 0.2}


def groups_of(images: list[Array]) -> tuple[list[int], tuple[str, ...]]:
    model = fit(images, **QUICK)
    return [image.group for image in model.good_images], model.notes


def pairs(labels: list[int]) -> NDArray[np.bool_]:
    column = np.array(labels)[:, None]
    return np.asarray((column == column.T)[np.triu_indices(len(labels), 1)])


def sized() -> Case:
    images, owners = repeated(32, 1)
    sizes = [96, 88, 80, 72]
    return [
        np.asarray(Image.fromarray(image).resize((sizes[number % 4],) * 2)) for number, image in enumerate(images)
    ], owners


def with_another_colour() -> Case:
    most, owners = repeated(40, 1)
    others, more = repeated(10, 1, colours=COLOURS[1:2], start=500)
    return most + others, owners + more


@pytest.mark.parametrize(
    ("parts", "each", "how"),
    [
        pytest.param(4, 22, {"noise": 2}, id="4x22"),
        pytest.param(12, 5, {"noise": 0}, id="12x5, no noise"),
        pytest.param(12, 5, {"noise": 6}, id="12x5, strong noise"),
        pytest.param(8, 6, {"jpeg": 85}, id="8x6, JPEG"),
        pytest.param(30, 2, {"noise": 1}, id="30x2"),
        pytest.param(12, 4, {"colours": COLOURS}, id="12x4 in four colours"),
        pytest.param(3, 60, {"noise": 2}, id="3x60", marks=pytest.mark.slow),
        pytest.param(12, 22, {"noise": 2}, id="12x22", marks=pytest.mark.slow),
        pytest.param(12, 22, {"noise": 6}, id="12x22, strong noise", marks=pytest.mark.slow),
        pytest.param(100, 2, {"noise": 1}, id="100x2", marks=pytest.mark.slow),
    ],
)
def test_shots_of_one_part_are_found_and_different_parts_stay_apart(parts: int, each: int, how: dict[str, Any]) -> None:
    images, owners = repeated(parts, each, **how)
    groups, notes = groups_of(images)
    found, expected = pairs(groups), pairs(owners)
    assert (found & expected).sum() >= 0.9 * expected.sum()
    assert (found & ~expected).sum() <= 0.02 * expected.sum()
    (note,) = (note for note in notes if "stand" not in note)  # a part may stand apart by its score
    assert "are near-duplicates of one another" in note
    assert note.endswith("if a set holds different parts, add --near-duplicates ignore.") == (each > 6)


@pytest.mark.parametrize("step", [1, 2])
def test_frames_of_a_passing_part_are_found(step: int) -> None:
    images, owners = video(4, 14, step=step)
    groups, _ = groups_of(images)
    found, expected = pairs(groups), pairs(owners)
    assert (found & expected).sum() >= 0.9 * expected.sum()
    assert not (found & ~expected).any()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(lambda: repeated(40, 1, noise=1), id="one kind"),
        pytest.param(lambda: repeated(40, 1, noise=2, colours=COLOURS), id="four colours"),
        pytest.param(lambda: repeated(40, 1, noise=2, colours=(GREY, COLOURS[2])), id="two colours"),
        pytest.param(sized, id="four sizes"),
        pytest.param(with_another_colour, id="some of another colour"),
        pytest.param(
            lambda: repeated(80, 1, noise=2, colours=COLOURS), id="80 in four colours", marks=pytest.mark.slow
        ),
    ],
)
def test_different_parts_and_their_variants_are_left_alone(case: Callable[[], Case]) -> None:
    images, _ = case()
    groups, _ = groups_of(images)
    assert len(set(groups)) >= 0.85 * len(images)
    assert np.bincount(groups).max() <= 4


def test_two_parts_in_many_images_are_refused_with_what_helps_if_they_are_more() -> None:
    images, _ = repeated(2, 8)
    with pytest.raises(FolderError, match=r"in 2 groups .*: add other parts, or if these differ, add --near-dup"):
        fit(images, **QUICK)
    assert fit(images, near_duplicates="ignore", **QUICK).guarantee.groups == 16


def test_pronounced_clusters_that_are_wider_than_noise_are_named_unless_groups_were_given() -> None:
    materials = [texture(seed, (12, 12)) for seed in range(10)]
    images = [
        *textures(10),
        *(np.kron(material, np.ones((8, 8), np.uint8)) for material in materials),
    ]
    model = fit(images, **QUICK)
    assert model.guarantee.groups == 20
    (note,) = model.notes
    assert note.startswith(
        "20 of 20 good images fall into 2 clusters of similar images that differ by more than camera"
    )
    labels = [str(number // 2) for number in range(20)]
    (note,) = fit(images, groups=labels, **QUICK).notes
    assert note.startswith("The good images are of two kinds, 5 and 5, such as")  # of each group one
