"""The discriminator's head beside a plain NumPy reference."""

import numpy as np
import pytest

from onlygood.detectors.discriminator.head import Discriminator, discriminator_head
from onlygood.graph.subgraph import join
from reference import evaluate
from textures import Array


def discriminator(d: int = 7, q: int = 5, *, seed: int = 0) -> Discriminator:
    random = np.random.default_rng(seed)
    return Discriminator(
        mean=random.normal(size=d).astype(np.float32),
        weight=random.normal(size=(d, q)).astype(np.float32),
        bias=random.normal(size=q).astype(np.float32),
        output=random.normal(size=q).astype(np.float32),
        offset=0.25,
    )


def head(arrays: Discriminator, embedding: Array, *, top_patches: int) -> dict[str, Array]:
    model = join(discriminator_head(arrays, top_patches=top_patches), outputs=["raw_score", "patch_scores"])
    return evaluate(model, {"embedding": embedding})


def by_hand(arrays: Discriminator, vector: Array) -> float:
    """The output for one patch, unit by unit."""
    output = arrays.offset
    for unit in range(len(arrays.bias)):
        level = float(arrays.bias[unit])
        for place, value in enumerate(vector):
            level += (float(value) - float(arrays.mean[place])) * float(arrays.weight[place, unit])
        output += float(arrays.output[unit]) * (level if level > 0 else 0.2 * level)
    return output


@pytest.mark.parametrize("top_patches", [1, 3, 12])
def test_patch_scores_are_the_networks_outputs_and_the_score_is_the_mean_of_the_highest(top_patches: int) -> None:
    arrays = discriminator()
    embedding = np.random.default_rng(1).normal(size=(2, 3, 4, 7)).astype(np.float32)
    found = head(arrays, embedding, top_patches=top_patches)
    expected = np.array([[[by_hand(arrays, vector) for vector in row] for row in image] for image in embedding])
    np.testing.assert_allclose(found["patch_scores"], expected, rtol=1e-5, atol=1e-5)
    highest = np.sort(expected.reshape(2, -1), axis=1)[:, -top_patches:]
    np.testing.assert_allclose(found["raw_score"], highest.mean(axis=1), rtol=1e-5, atol=1e-5)


def test_another_grid_than_square_keeps_its_places() -> None:
    arrays = discriminator()
    embedding = np.zeros((1, 2, 5, 7), dtype=np.float32)
    embedding[0, 1, 3] = 100 * np.sign(arrays.weight @ arrays.output)
    scores = head(arrays, embedding, top_patches=1)["patch_scores"]
    others = np.delete(scores.ravel(), 1 * 5 + 3)
    assert scores.shape == (1, 2, 5)
    assert np.ptp(others) == 0 and scores[0, 1, 3] != others[0]
