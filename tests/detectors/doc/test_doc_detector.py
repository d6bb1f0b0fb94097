"""`--method doc`: features trained on good and reference images, then neighbours among the good ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onlygood
from command_line import Ran
from finding import check_that_defects_are_found
from flat import fit
from onlygood.errors import CheckpointError, FolderError, SettingError
from textures import FAST_DOC, Array, numbered, reference_images, save, texture, textures, twelve_bit, with_defect

QUICK: dict[str, Any] = {"method": "doc", **FAST_DOC, "reference": reference_images()}
LINE = [part for key, value in FAST_DOC.items() for part in (f"--{key.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def doc() -> onlygood.Model:
    return fit(textures(30), **QUICK)


@pytest.fixture
def reference_folder(tmp_path: Path) -> Path:
    images = {
        f"{label}/{name}": image
        for label, group in reference_images().items()
        for name, image in numbered(group).items()
    }
    return save(tmp_path / "reference", images)


def test_it_learns_says_so_and_finds_a_defect(doc: onlygood.Model) -> None:
    assert doc.metadata.detector["reference"]["classes"] == {"across": 6, "along": 6}
    assert doc.metadata.detector["templates"] == 20, "all that are not held out to calibrate"
    losses = doc.metadata.training.losses["doc"]
    assert losses[-1] < losses[0]
    assert doc.metadata.title == (
        "doc: knn, cosine vectors, the mean of head over all places, 1 neighbour among 20 templates; the last 4 layers "
        f"as after epoch {doc.metadata.detector['chosen_epoch']} of {len(losses)} beside 12 reference images of 2 "
        "classes"
    )
    check_that_defects_are_found(doc)


def test_what_it_scores_with_is_the_distance_to_the_nearest_good_image_in_trained_features(
    doc: onlygood.Model,
) -> None:
    vectors = pooled_vectors(doc, textures(30))
    held_out = np.array([image.calibrates for image in doc.good_images])
    new = with_defect(texture(300))
    units, unit = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, pooled_vectors(doc, [new])))
    expected = np.linalg.norm(units[~held_out] - unit, axis=1).min()
    score = onlygood.Inspector(doc)(new).score + doc.calibration.threshold
    assert score == pytest.approx(expected, rel=1e-4)


def test_the_papers_own_settings_compare_vectors_as_they_are() -> None:
    model = fit(textures(30), **QUICK, metric="euclidean")
    assert model.metadata.detector["compactness_weight"] == 0.1
    vectors = pooled_vectors(model, textures(30))
    held_out = np.array([image.calibrates for image in model.good_images])
    new = texture(300)
    expected = np.linalg.norm(vectors[~held_out] - pooled_vectors(model, [new]), axis=1).min()
    score = onlygood.Inspector(model)(new).score + model.calibration.threshold
    assert score == pytest.approx(expected, rel=1e-4)


def pooled_vectors(model: onlygood.Model, images: list[Array]) -> Array:
    """The model's own pooled vectors, [n, c]."""
    import onnx

    graph = onnx.load_from_string(model.file.content)
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info("pooled_vector"))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["pooled_vector"], {"image": image[None, :, :, None]})[0] for image in images])


def test_the_local_outlier_factor_is_another_head() -> None:
    model = fit(textures(30), **QUICK, head="lof")
    assert model.metadata.detector["num_neighbors"] == 5
    assert model.metadata.detector["head"] == "lof"
    # Of images like the others the factor is about 1.
    assert 0.8 < np.median(model.calibration.scores) < 1.5


def test_reference_images_may_have_another_bit_depth() -> None:
    model = fit([twelve_bit(seed) for seed in range(12)], **QUICK)
    assert model.metadata.input.dtype == "uint16"


def test_other_reference_images_make_another_model(doc: onlygood.Model) -> None:
    other = fit(textures(30), **{**QUICK, "reference": reference_images(8)})
    assert other.metadata.detector["reference"]["sha256"] != doc.metadata.detector["reference"]["sha256"]
    image = with_defect(texture(400))
    assert onlygood.Inspector(other)(image).score != onlygood.Inspector(doc)(image).score


def test_from_the_command_line_with_a_folder(
    good_folder: Path, reference_folder: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    path = tmp_path / "part.onnx"
    ran = run("fit", good_folder, "-o", path, "--method", "doc", "--reference", reference_folder, *LINE)
    assert ran.code == 0, ran.err
    metadata = onlygood.Inspector(path).metadata
    assert metadata.detector["reference"]["count"] == 12
    assert str(reference_folder) not in str(metadata.to_dict()), "no paths in the file"


def test_resume_ends_at_the_same_file_and_knows_its_reference_images(
    good_folder: Path,
    reference_folder: Path,
    tmp_path: Path,
    run: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    line = ["--method", "doc", "--reference", reference_folder, *LINE]
    assert run("fit", good_folder, "-o", whole, *line).code == 0
    from onlygood.training.loop import AuxiliaryImages

    order, stopped = AuxiliaryImages.order, []

    def stopping_once(auxiliary: AuxiliaryImages, count: int, *, seed: int, epoch: int) -> Any:
        if epoch == 2 and not stopped:
            stopped.append(epoch)
            raise KeyboardInterrupt
        return order(auxiliary, count, seed=seed, epoch=epoch)

    monkeypatch.setattr(AuxiliaryImages, "order", stopping_once)
    assert run("fit", good_folder, "-o", part, *line).code == 130
    (reference_folder / "along" / "05.png").rename(tmp_path / "05.png")
    assert "with reference '" in run("fit", good_folder, "-o", part, *line, "--resume").err
    (tmp_path / "05.png").rename(reference_folder / "along" / "05.png")
    assert run("fit", good_folder, "-o", part, *line, "--resume").code == 0
    assert part.read_bytes() == whole.read_bytes()


STRIPES = reference_images()["along"]


@pytest.mark.parametrize("head", ["knn", "lof"])
@pytest.mark.parametrize("settings", [{}, {"augment": 30}])
def test_five_good_images_are_enough(head: str, settings: dict[str, Any]) -> None:
    model = fit(textures(5), **{**QUICK, **settings}, head=head)
    assert np.isfinite(onlygood.Inspector(model)(texture(50)).score)


def test_images_that_are_there_twice_are_watched_together() -> None:
    model = fit([*textures(16), *textures(16)], **QUICK)
    watched = model.metadata.detector["watched"]
    assert watched["target"] == 2
    assert len(model.metadata.training.losses["doc"]) == 4, "two copies have no variance, and stop nothing"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"reference": None}, SettingError, "reference must be given for method doc, got none: images of other"),
        (
            {"reference": {"along": STRIPES}},
            FolderError,
            "reference images must be of at least 2 classes, got along in a mapping",
        ),
        ({"reference": {}}, FolderError, "reference images must be of at least 2 classes, got none in a mapping"),
        (
            {"reference": STRIPES},
            FolderError,
            "reference must be a folder, or sequences of images by class, got list",
        ),
        (
            {"reference": {"one": STRIPES, "two": [texture(5), texture(77)]}},
            FolderError,
            "reference images must show other things than the good ones, got 1 that are among the good ones, too, "
            "the first: two: image 0 is image 5",
        ),
        (
            {"reference": {"one": STRIPES, "two": [np.zeros((9, 9), np.uint16)]}},
            FolderError,
            "reference images must all have one bit depth",
        ),
        ({"reference": {"one": STRIPES, "two": [b"no image"]}}, FolderError, "reference images must be readable"),
        ({"batch_size": 1}, SettingError, "batch_size must be a whole number of at least 2, got 1"),
        ({"calibration": "leave-one-out"}, SettingError, "calibration must be split for method doc"),
        (
            {"num_neighbors": 22},
            SettingError,
            "num_neighbors must be at most 20 for knn with 20 templates, got 22: add good images",
        ),
    ],
)
def test_what_it_cannot_use_is_one_sentence(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        fit(textures(30), **{**QUICK, **settings})
    assert message in str(caught.value)


def test_reference_images_for_another_method_are_refused() -> None:
    reference = {"one": STRIPES, "two": [texture(77)]}
    with pytest.raises(SettingError, match=r"a keyword of fit must be one of .*, progress, got reference"):
        fit(textures(5), method="knn", reference=reference)
    with pytest.raises(SettingError, match=r"settings of method knn must be among .*, got reference$"):
        onlygood.make_method("knn", reference=reference)


@pytest.mark.parametrize("seed", range(3))
def test_copies_beside_others_leave_something_to_compare_with(seed: int) -> None:
    images = [*[texture(0)] * 4, *textures(5)[1:]]
    model = fit(images, **{**QUICK, "head": "lof", "seed": seed})
    assert np.isfinite(model.calibration.scores).all()


def test_one_array_is_no_class_of_reference_images() -> None:
    reference = {"along": texture(0), "across": [texture(1)]}
    with pytest.raises(FolderError, match="must have a sequence of images for each class, got ndarray for 'along'"):
        fit(textures(8), **{**QUICK, "reference": reference})


def test_masks_are_no_reference_images(reference_folder: Path) -> None:
    before = fit(textures(12), **{**QUICK, "reference": reference_folder}).metadata.detector["reference"]
    save(reference_folder / "along" / "ground_truth", {"mask.png": texture(3)})
    after = fit(textures(12), **{**QUICK, "reference": reference_folder}).metadata.detector["reference"]
    assert after == before


def test_a_reference_folder_needs_sub_folders(reference_folder: Path) -> None:
    with pytest.raises(FolderError) as caught:
        fit(textures(8), **{**QUICK, "reference": reference_folder / "along"})
    assert str(caught.value).startswith("reference images must lie in one sub-folder a class, got 6 of 6 in ")
    with pytest.raises(FolderError, match="does not exist"):
        fit(textures(8), **{**QUICK, "reference": reference_folder / "nowhere"})


def test_reference_images_that_cannot_be_read_are_left_out_if_asked(reference_folder: Path) -> None:
    (reference_folder / "along" / "broken.png").write_bytes(b"no image")
    settings = {**QUICK, "reference": reference_folder}
    with pytest.raises(FolderError, match="reference images must be readable, got 1 of 13"):
        fit(textures(12), **settings)
    model = fit(textures(12), **settings, skip_unreadable=True)
    assert any("1 reference image is left out" in note for note in model.notes)


def test_a_checkpoint_of_another_method_is_refused(good_folder: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "part.onnx.training"
    torch.save({"format": 2, "fingerprint": {"method": "deep-svdd"}, "stages": {}}, path)
    with pytest.raises(CheckpointError, match="must be of a fit with method 'doc', got 'deep-svdd'"):
        fit(good_folder, **QUICK, checkpoint=path, resume=True)
