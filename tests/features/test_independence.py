"""What a fit says of groups that look like different products."""

import numpy as np
import pytest

import onlygood
from onlygood.errors import FolderError
from product_line import COUNT, OPTIONS, stripes
from textures import Array, textures


def grey(seed: int) -> Array:
    """A good image of a third product: a level of its own, and noise."""
    random = np.random.default_rng(seed)
    return np.asarray(np.clip(random.normal(60 + 4 * (seed % 5), 20, (96, 96)), 0, 255).astype(np.uint8))


BOLTS, NUTS = textures(COUNT), [stripes(number) for number in range(COUNT)]
THIRD = [grey(number) for number in range(COUNT)]
GROUPS = [name for name in ("bolt", "nut", "plate") for _ in range(COUNT)]


def product_notes(model: onlygood.Model) -> list[str]:
    return [note for note in model.notes if "look like different products" in note]


def test_groups_that_look_like_products_are_noted_with_the_option_for_these() -> None:
    (note,) = product_notes(onlygood.fit([*BOLTS, *NUTS, *THIRD], groups=GROUPS, **OPTIONS))
    assert note.startswith(
        "The 3 groups that are kept together look like different products, such as image 0 and image 10"
    )
    assert "--product-by instead of --group-by" in note


def test_sessions_of_one_product_are_not_and_neither_are_images_without_groups() -> None:
    assert product_notes(onlygood.fit(textures(3 * COUNT), groups=GROUPS, **OPTIONS)) == []
    assert product_notes(onlygood.fit([*BOLTS, *NUTS, *THIRD], **OPTIONS)) == []


def test_turned_copies_are_no_groups() -> None:
    assert product_notes(onlygood.fit([*BOLTS[:5], *NUTS[:5], *THIRD[:5]], rotations=6, **OPTIONS)) == []


def test_two_products_are_too_few_groups_and_the_error_names_the_option() -> None:
    with pytest.raises(FolderError, match=r"got 20 images in 2 groups .* fit a model to each with --product-by"):
        onlygood.fit([*BOLTS, *NUTS], groups=GROUPS[: 2 * COUNT], **OPTIONS)
    with pytest.raises(FolderError) as caught:
        onlygood.fit(textures(2 * COUNT), groups=GROUPS[: 2 * COUNT], **OPTIONS)
    assert "product" not in str(caught.value)
