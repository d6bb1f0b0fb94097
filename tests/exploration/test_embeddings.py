"""Vectors out of a model file, beside what the backbone alone gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import onlygood
from flat import fit
from onlygood.datasets.selection import ChosenImage, choose_images
from onlygood.errors import BackboneError, FolderError, ModelFormatError, SettingError
from onlygood.exploration.embeddings import Embeddings, embeddings
from onlygood.graph.model_file import pack
from onlygood.graph.runtime import open_session, run
from textures import Array, as_colour, numbered, save, texture, textures, with_defect
from tiny_backbone import tiny_card, tiny_model, write_backbone

SIZE = 64  # as the backbone takes them: nothing is resized
NEW = [*(texture(300 + number, (SIZE, SIZE)) for number in range(4)), with_defect(texture(310, (SIZE, SIZE)))]
TUNED: dict[str, Any] = {
    "method": "deep-svdd",
    "network": "pretrained",
    "trained_layers": 1,
    "false_alarm_rate": 0.2,
    "batch_size": 8,
    "epochs": 3,
    "learning_rate": 1e-2,
}


def trainable_model() -> Any:
    """The tiny backbone, of operators that can be trained."""
    model = tiny_model()
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            node.op_type = "GlobalAveragePool"
            del node.input[1], node.attribute[:]
    return model


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbone"), trainable_model(), tiny_card())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("new"), numbered(NEW))


@pytest.fixture(scope="module")
def tuned(backbone: Path) -> onlygood.Model:
    pytest.importorskip("torch")
    images = [texture(seed, (SIZE, SIZE)) for seed in range(20)]
    return fit(images, backbone=str(backbone), **TUNED)


def chosen(folder: Path) -> tuple[ChosenImage, ...]:
    return choose_images([folder], most=100, seed=0).images


def by_hand(weights: dict[str, Array], *, unit: bool = True) -> Array:
    """Pooled vectors of NEW by the tiny backbone, with other values in some of its initializers."""
    model = trainable_model()
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    card = tiny_card()
    planes = np.stack([as_colour(image) for image in NEW]).astype(np.float64)
    planes = ((planes - card["mean"]) / card["std"]).transpose(0, 3, 1, 2).astype(np.float32)
    (maps,) = run(open_session(model.SerializeToString()), ["deep"], {"pixels": planes})
    pooled = maps.astype(np.float64).mean(axis=(2, 3))
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True) if unit else pooled


@pytest.mark.parametrize(("metric", "source"), [("cosine", "unit_vector"), ("euclidean", "pooled_vector")])
def test_neighbours_are_looked_for_among_the_backbones_pooled_outputs(
    backbone: Path, folder: Path, metric: str, source: str
) -> None:
    images = [texture(seed, (SIZE, SIZE)) for seed in range(12)]
    model = fit(images, method="knn", metric=metric, backbone=str(backbone), false_alarm_rate=0.2)
    found = embeddings(model, chosen(folder))
    assert found.source == source
    np.testing.assert_allclose(found.vectors, by_hand({}, unit=metric == "cosine"), rtol=1e-4, atol=1e-5)
    assert found.vectors_before is None and found.before_note is None


def test_before_training_the_vectors_are_the_backbones_and_after_it_those_of_what_was_learned(
    tuned: onlygood.Model, backbone: Path, folder: Path
) -> None:
    found = embeddings(tuned, chosen(folder), backbone=backbone)
    learned = {
        tensor.name.rpartition("/")[2]: numpy_helper.to_array(tensor)
        for tensor in onnx.load_model_from_string(tuned.file.content).graph.initializer
        if tensor.name.startswith("tail/")
    }
    assert set(learned) == {"block.weight"}
    assert found.vectors_before is not None
    np.testing.assert_allclose(found.vectors_before, by_hand({}), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.vectors, by_hand(learned), rtol=1e-4, atol=1e-5)
    assert np.abs(found.vectors - found.vectors_before).max() > 0.01, "training changed something"


def test_without_its_backbone_a_model_has_no_before_and_says_what_to_give(tuned: onlygood.Model, folder: Path) -> None:
    found = embeddings(tuned, chosen(folder))
    assert found.vectors_before is None
    assert found.before_note == (
        "There is no map before training: the backbone that the fit began with, tiny.onnx, is not part of this "
        "onlygood. Give its file with --backbone to see both."
    )


def test_a_shipped_backbone_need_not_be_given(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    save(tmp_path, numbered(textures(2)))
    model = fit(textures(12), **{**TUNED, "epochs": 1, "input_size": 64, "taps": ("stage2",)})
    found = embeddings(model, chosen(tmp_path))
    assert found.vectors_before is not None and found.vectors_before.shape == found.vectors.shape
    np.testing.assert_allclose(np.linalg.norm(found.vectors_before, axis=1), 1, rtol=1e-5)


def test_another_backbone_than_the_models_is_refused(tuned: onlygood.Model, folder: Path, tmp_path: Path) -> None:
    other = write_backbone(tmp_path, tiny_model(), {**tiny_card(), "name": "other"})
    with pytest.raises(BackboneError, match=r"must be the one that the model was fitted with, tiny with .* got other"):
        embeddings(tuned, chosen(folder), backbone=other)


def test_a_backbone_for_a_model_that_trained_none_is_refused(
    model: onlygood.Model, folder: Path, backbone: Path
) -> None:
    with pytest.raises(SettingError) as caught:
        embeddings(model, chosen(folder), backbone=backbone)
    assert str(caught.value) == (
        "backbone goes with a model that trained the end of one, got one of method patch, which did not: leave it out"
    )


def test_the_verdicts_are_those_of_an_inspection(fitted: onlygood.Model, inspect: Any, new_folder: Path) -> None:
    found = embeddings(fitted, chosen(new_folder))
    assert np.isfinite(found.vectors).all()
    assert found.vectors.shape[0] == 3 and found.vectors.shape[1] > 1
    for image, one in zip(found.images, found.inspections, strict=True):
        expected = inspect(image.file.path, name=image.name)
        scale = max(1.0, abs(expected.score), abs(found.metadata.calibration.threshold))
        assert one.score == pytest.approx(expected.score, abs=1e-4 * scale)
        assert (one.name, one.p_value, one.is_anomaly) == (expected.name, expected.p_value, expected.is_anomaly)


@pytest.mark.parametrize("method", ["deep-svdd"], indirect=True)
def test_a_latent_vector_is_as_far_from_the_centre_as_the_score_says(
    fitted: onlygood.Model, method: str, new_folder: Path
) -> None:
    found = embeddings(fitted, chosen(new_folder))
    assert found.source == "latent"
    assert found.before_note == "There is no map before training: this network was trained from nothing."
    graph = onnx.load_model_from_string(fitted.file.content).graph
    (center,) = [numpy_helper.to_array(each) for each in graph.initializer if each.name == "center"]
    squared = np.square(found.vectors - center.reshape(-1)).sum(axis=1)
    raw = [one.score + fitted.calibration.threshold for one in found.inspections]
    np.testing.assert_allclose(squared, raw, rtol=1e-4)


def test_of_patches_the_vector_is_their_mean(model: onlygood.Model, new_folder: Path) -> None:
    found: Embeddings = embeddings(model, chosen(new_folder))
    assert found.source == "embedding"
    graph = onnx.load_model_from_string(model.file.content)
    graph.graph.output.append(onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, None))
    (patches,) = run(open_session(graph.SerializeToString()), ["embedding"], {"image": texture(100)[None, :, :, None]})
    np.testing.assert_allclose(found.vectors[0], patches.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-4, atol=1e-6)


def test_a_file_without_any_such_value_is_refused(model: onlygood.Model, new_folder: Path, tmp_path: Path) -> None:
    graph = onnx.load_model_from_string(model.file.content)
    for node in graph.graph.node:
        node.input[:] = ["hidden" if name == "embedding" else name for name in node.input]
        node.output[:] = ["hidden" if name == "embedding" else name for name in node.output]
    path = tmp_path / "old.onnx"
    path.write_bytes(pack(graph, model.metadata).content)
    with pytest.raises(ModelFormatError) as caught:
        embeddings(path, chosen(new_folder))
    assert re.fullmatch(
        r"the model .*old.onnx must have one of the values unit_vector, pooled_vector, latent, embedding to have an "
        r"embedding, got none of them: fit it again",
        str(caught.value),
    )


def test_images_that_cannot_be_read_are_named_and_the_others_embedded(model: onlygood.Model, tmp_path: Path) -> None:
    save(tmp_path, numbered(textures(2)))
    (tmp_path / "torn.png").write_bytes(b"no image")
    found = embeddings(model, chosen(tmp_path))
    assert [image.name for image in found.images] == ["00.png", "01.png"]
    assert len(found.vectors) == len(found.inspections) == 2
    assert [name for name, _ in found.unreadable] == ["torn.png"]
    (tmp_path / "00.png").unlink()
    (tmp_path / "01.png").unlink()
    with pytest.raises(FolderError, match="at least one image that this model can inspect, and none of 1 is; the fi"):
        embeddings(model, chosen(tmp_path))


def test_a_model_of_the_first_format_can_be_explored(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "models" / "format-1.onnx"
    metadata = onlygood.Inspector(old).metadata.input
    image = texture(1).astype(metadata.dtype)
    save(tmp_path, {"a.png": image if metadata.channels == 1 else as_colour(image)})
    assert embeddings(old, chosen(tmp_path)).vectors.shape[0] == 1
