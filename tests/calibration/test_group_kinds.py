"""Whether groups look like different products."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from onlygood.calibration.group_kinds import LEAST_IMAGES, LEAST_SILHOUETTE, group_kinds_note, group_silhouette


def clouds(apart: float, count: int = 3, images: int = 8) -> tuple[np.ndarray, list[str], list[str]]:
    """Groups of points around centres of that distance in units of the points' own; their labels and names."""
    random = np.random.default_rng(0)
    centres = np.eye(16)[:count] * apart
    points = np.concatenate([centre + random.normal(0, 1, (images, 16)) for centre in centres]).astype(np.float32)
    labels = [f"group {number}" for number in range(count) for _ in range(images)]
    return points, labels, [f"{label}/{place}.png" for place, label in enumerate(labels)]


@pytest.mark.parametrize("apart", [0.0, 3.0, 30.0])
def test_the_silhouette_is_that_of_scikit_learn(apart: float) -> None:
    points, labels, _ = clouds(apart)
    keep = [*range(8), *range(8, 13), 16]  # groups of 8, 5 and 1
    points, labels = points[keep], [labels[each] for each in keep]
    theirs = silhouette_samples(points.astype(np.float64), labels)
    by_group = [
        np.mean([each for each, other in zip(theirs, labels, strict=True) if other == label]) for label in set(labels)
    ]
    assert group_silhouette(points, labels) == pytest.approx(np.mean(by_group), abs=1e-6)


def test_groups_that_are_far_apart_are_noted_with_an_image_of_two() -> None:
    said = group_kinds_note(*clouds(30.0))
    assert said is not None
    assert said.startswith(
        "The 3 groups that are kept together look like different products, such as group 0/0.png and group 1/8.png: "
    )
    assert "--product-by instead of --group-by" in said


def test_groups_that_overlap_are_not() -> None:
    points, labels, names = clouds(0.5)
    assert group_silhouette(points, labels) < LEAST_SILHOUETTE
    assert group_kinds_note(points, labels, names) is None


def test_few_images_of_each_part_and_one_group_are_not_looked_at() -> None:
    assert group_kinds_note(*clouds(30.0, images=LEAST_IMAGES - 1)) is None
    assert group_kinds_note(*clouds(30.0, count=1)) is None
    points, labels, names = clouds(30.0, count=2)
    only_one_is_large = labels[:8] + [f"part {number}" for number in range(8)]
    assert group_kinds_note(points, only_one_is_large, names) is None


def test_many_images_are_looked_at_within_bounds() -> None:
    said = group_kinds_note(*clouds(30.0, images=700))
    assert said is not None
