"""Parts of a model file: the names in its graph that the documentation gives, and what comes out there."""

from __future__ import annotations

import numpy as np
import onnxruntime

import onlygood
from benchmarks.fitting import describe
from benchmarks.model_parts import backbone_of, part_of, whole_backbone
from textures import texture


def test_the_shipped_backbone_takes_any_size() -> None:
    trunk, entry = whole_backbone()
    session = onnxruntime.InferenceSession(trunk.SerializeToString())
    for side in (64, 96):
        (features,) = session.run(None, {entry: np.zeros((1, 3, side, side), np.float32)})
        assert features.shape == (1, 1280, side // 32, side // 32)


def test_a_part_gives_what_the_whole_computes(model: onlygood.Model) -> None:
    """From the image to the taps, and from the image to the embedding that is made of them."""
    level = describe(model)["detector"]["levels"][0]
    taps = level["taps"]
    image = {"image": onlygood.read_image(texture(50))[None]}
    together = part_of(model, ["image"], [*(f"backbone/{tap}" for tap in taps), "embedding"])
    *of_taps, embedding = onnxruntime.InferenceSession(together.SerializeToString()).run(None, image)
    assert embedding.shape[1:3] == tuple(level["grid"])
    assert embedding.shape[3] == sum(values.shape[1] for values in of_taps)
    trunk, entry = backbone_of(model, taps)
    (entered,) = onnxruntime.InferenceSession(part_of(model, ["image"], [entry]).SerializeToString()).run(None, image)
    again = onnxruntime.InferenceSession(trunk.SerializeToString()).run(None, {entry: entered})
    for values, expected in zip(again, of_taps, strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
