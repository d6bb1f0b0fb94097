"""`--method deep-svdd` as people use it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import onlygood
from command_line import Ran, one_sentence
from flat import fit
from onlygood.architectures import ARCHITECTURES
from onlygood.datasets.splits import hold_out
from onlygood.errors import FolderError, MissingExtraError, SettingError, WriteError
from textures import FAST_TRAINING, texture, textures, with_defect

QUICK = {**FAST_TRAINING, "method": "deep-svdd"}


def test_a_score_is_the_squared_distance_to_the_center_less_the_squared_radius() -> None:
    """By torch, from the image on: preprocessing, network and threshold are those of the file."""
    captured = {}
    from onlygood.training import deep_svdd

    original = deep_svdd.train_deep_svdd

    def capture(*arguments: object, **named: object) -> object:
        captured["images"] = arguments[2]
        captured["trained"] = original(*arguments, **named)  # type: ignore[arg-type]
        return captured["trained"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep_svdd, "train_deep_svdd", capture)
        model = fit(textures(20), **QUICK)
    trained = captured["trained"]
    inspect = onlygood.Inspector(model)
    image = np.full((128, 128), 60, np.uint8)
    image[30:50, 40:90] = 200
    shown = torch.from_numpy(image[None, None].astype(np.float32) / 255)
    with torch.no_grad():
        squared = float((trained.encoder(shown).flatten() - trained.center).square().sum())
    assert inspect(image).score == pytest.approx(squared - model.calibration.threshold, rel=1e-4)
    # What it was trained on went through the same graph: the good images that were not held out.
    assert captured["images"].shape == (14, 1, 128, 128)
    assert 0 <= captured["images"].min() < captured["images"].max() <= 1


def test_the_file_remembers_objective_nu_and_radius(tmp_path: Path) -> None:
    model = fit(textures(16), objective="soft-boundary", nu=0.25, warmup_epochs=2, **QUICK)
    model.save(tmp_path / "part.onnx")
    described = onlygood.Inspector(tmp_path / "part.onnx").metadata
    found = described.detector
    assert (found["objective"], found["nu"], found["network"], found["latent"]) == (
        "soft-boundary",
        0.25,
        "conv-128",
        512,
    )
    assert found["trained_radius"] > 0
    assert [len(described.training.losses[stage]) for stage in ("autoencoder", "hypersphere")] == [4, 6]
    assert described.calibration.method == "split"


def test_a_soft_boundary_begins_within_the_epochs_that_there_are() -> None:
    """Eight epochs are fewer than the network's warm-up of ten: with that, none would have a radius."""
    settings = {**QUICK, "epochs": 8}
    hard = fit(textures(16), **settings).metadata
    soft = fit(textures(16), objective="soft-boundary", **settings).metadata
    assert soft.detector["warmup_epochs"] == 4 and "warmup_epochs" not in hard.detector
    losses, others = (found.training.losses["hypersphere"] for found in (soft, hard))
    assert losses[:4] == others[:4] and losses[4] != pytest.approx(others[4], rel=0.02)


def test_a_warm_up_longer_than_the_networks_own_epochs_is_refused() -> None:
    with pytest.raises(SettingError, match=r"warmup_epochs must be below epochs.*got 70 of 60: lower it"):
        fit(textures(16), method="deep-svdd", objective="soft-boundary", warmup_epochs=70)


def test_the_file_says_with_which_numbers_it_was_trained() -> None:
    given = fit(textures(16), **QUICK).metadata.training
    assert (given.batch_size, given.learning_rate, given.weight_decay) == (QUICK["batch_size"], 1e-3, 5e-7)


def test_images_smaller_than_the_network_are_noted() -> None:
    images = [*textures(8), *(texture(seed, (128, 128)) for seed in range(100, 106)), texture(106, (40, 200))]
    model = fit(images, **QUICK)
    assert model.notes[-1] == (
        "9 of 15 good images are smaller than the 128 x 128 pixels that the network takes (down to 200 x 40): "
        "they are enlarged, which adds time and no detail."
    )
    assert not fit([texture(seed, (128, 128)) for seed in range(14)], **QUICK).notes


def test_one_golden_image_is_enough_and_a_defect_is_outside() -> None:
    golden = texture(0, (128, 128)).copy()
    golden[40:80, 40:80] = 230
    model = fit(
        golden,
        golden=True,
        augment=60,
        method="deep-svdd",
        pretrain_epochs=8,
        epochs=8,
        batch_size=8,
        false_alarm_rate=0.1,
    )
    assert (model.guarantee.golden_images, model.guarantee.fitted_images) == (1, 30)
    inspect = onlygood.Inspector(model)
    assert not inspect(golden).is_anomaly
    assert inspect(with_defect(golden, 0)).score > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nu": 0.0}, "nu must be above 0 and at most 1, got 0.0"),
        ({"nu": 1.5}, "nu must be above 0 and at most 1, got 1.5"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2, got 1"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0 and at most 1000, got -1.0"),
        (
            {"network": "resnet"},
            "network must be one of conv-128, lenet-mnist, lenet-cifar10, pretrained, got 'resnet'",
        ),
        ({"objective": "hard"}, "objective must be one of one-class, soft-boundary, got 'hard'"),
        ({"calibration": "leave-one-out"}, "calibration must be split for method deep-svdd, got leave-one-out"),
        ({"network": "lenet-mnist", "input_size": 32}, "input_size must be 28 for network lenet-mnist, got 32"),
        ({"input_size": 100}, "input_size must be a multiple of 32 for network conv-128, got 100"),
        ({"resume": True}, "resume needs a checkpoint, got none"),
    ],
)
def test_settings_that_no_training_can_use_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        fit(textures(8), method="deep-svdd", **settings)
    assert message in str(caught.value)


def test_a_number_of_numpys_can_be_resumed_from(tmp_path: Path) -> None:
    settings = {**QUICK, "nu": np.float64(0.2), "checkpoint": tmp_path / "kept"}
    one = fit(textures(16), **settings)
    assert (tmp_path / "kept").exists(), "the model is in memory alone"
    assert fit(textures(16), **settings, resume=True).file.content == one.file.content


@pytest.mark.parametrize("network", ["lenet-mnist", "lenet-cifar10"])
def test_flat_images_are_no_contrast_to_learn_from(network: str) -> None:
    """Their rounded means are not their levels, to one part in ten million: stretched, that is a pattern."""
    images = [texture(0, (28, 28)), *(np.full((28, 28), level, np.uint8) for level in range(60, 83))]
    seed = next(seed for seed in range(100) if hold_out(range(24), 0.3, seed=seed)[0])
    settings = {**QUICK, "network": network, "near_duplicates": "ignore", "seed": seed}
    with pytest.raises(FolderError, match="good images must show something, got 16 to train on in which every pixel"):
        fit(images, **settings)


def test_few_images_are_refused_with_what_to_do() -> None:
    message = "fit needs good images of at least 3 independent things beside those held out, got 2 of 3: "
    with pytest.raises(FolderError, match=f"{message}add images of other parts$"):
        fit(textures(3), **QUICK)
    with pytest.raises(FolderError, match=f"{message}raise augment$"):
        fit(texture(0), golden=True, augment=3, **{**QUICK, "calibration_fraction": 0.3})
    with pytest.raises(FolderError, match=f"{message}add images of other parts, or calibrate with leave-one-out$"):
        fit(textures(3), calibration="split")
    with pytest.raises(FolderError, match=r"got 2 of 4: add images of other parts, or lower calibration_fraction$"):
        fit(textures(4), calibration_fraction=0.3, **QUICK)
    assert fit(textures(4), **QUICK).guarantee.fitted_images == 3


def test_one_image_without_golden_is_refused_with_an_offer() -> None:
    with pytest.raises(FolderError, match="add --golden to learn from augmentations of this one"):
        fit(texture(0), **QUICK)


def test_without_torch_the_error_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood._extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"run pip install 'onlygood\[train\]'"):
        fit(textures(8), **QUICK)


LINE = (
    "--method",
    "deep-svdd",
    "--pretrain-epochs",
    "2",
    "--epochs",
    "3",
    "--batch-size",
    "4",
    "--false-alarm-rate",
    "0.2",
)


def test_ctrl_c_keeps_what_was_trained_and_resume_ends_at_the_same_file(
    good_folder: Path, tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    assert run("fit", good_folder, "-o", whole, *LINE).code == 0
    assert not Path(f"{whole}.training").exists(), "a checkpoint goes when the model is whole"

    from onlygood.training.deep_svdd import Hypersphere

    original = Hypersphere.after_epoch

    def interrupt(self: Hypersphere, done: int, loss: float) -> bool:
        if done == 2:
            raise KeyboardInterrupt
        return original(self, done, loss)

    with monkeypatch.context() as patch:
        patch.setattr(Hypersphere, "after_epoch", interrupt)
        ran = run("fit", good_folder, "-o", part, *LINE)
    assert ran.code == 130
    assert f"{part}.training holds what was trained so far: the same line with --resume goes on from it" in ran.err
    assert not part.exists()

    def stop(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("onlygood.fitting.extract_features", stop)
        ran = run("fit", good_folder, "-o", part, *LINE)
    assert (ran.code, "holds what was trained" in ran.err) == (130, False), "it is of a line before"
    other = run("fit", good_folder, "-o", part, *LINE, "--nu", "0.5", "--resume")
    assert (other.code, "must be of a fit with nu 0.5, got 0.1" in other.err) == (2, True)
    with monkeypatch.context() as patch:
        # In the first epoch of a new training, which has nothing to keep yet.
        patch.setattr("onlygood.training.loop._epoch", stop)
        ran = run("fit", good_folder, "-o", part, *LINE)
    assert (ran.code, "holds what was trained" in ran.err) == (130, False)

    def full(*_arguments: object, **_named: object) -> None:
        raise WriteError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("onlygood.model.Model.save", full)
        ran = run("fit", good_folder, "-o", part, *LINE, "--resume")
    assert (ran.code, "holds what was trained so far" in ran.err) == (2, True)
    assert run("fit", good_folder, "-o", part, *LINE, "--resume").code == 0
    assert part.read_bytes() == whole.read_bytes()
    assert not Path(f"{part}.training").exists()


def test_resume_of_a_method_that_does_not_train_is_refused(
    good_folder: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", "--resume")
    assert one_sentence(ran) == "resume goes with a method that trains, got it with patch: leave resume out"


def test_info_and_the_report_say_how_it_was_trained(good_folder: Path, tmp_path: Path, run: Callable[..., Ran]) -> None:
    model, page = tmp_path / "part.onnx", tmp_path / "fit.html"
    assert run("fit", good_folder, "-o", model, "--report", page, *LINE).code == 0
    told = run("info", model).out
    assert "deep-svdd: network conv-128, 512-dimensional latent space, objective one-class, 2 epochs (autoen" in told
    described = json.loads(run("info", model, "--json").out)
    assert len(described["training"]["losses"]["hypersphere"]) == 3
    text = page.read_text(encoding="utf-8")
    assert "Loss, autoencoder" in text and "Loss, hypersphere" in text


@pytest.mark.parametrize("network", ["conv-128", "lenet-mnist"])
def test_images_beyond_the_bound_on_memory_are_trained_on_from_a_file(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = fit(textures(12), **{**QUICK, "network": network})
    monkeypatch.setattr("onlygood.detectors.trained.MOST_TRAINING_BYTES", 1000)
    beyond = fit(textures(12), **{**QUICK, "network": network})
    assert beyond.file.content == within.file.content


@pytest.mark.parametrize(("images", "epochs"), [(100, 60), (1000, 60), (3000, 20), (50_000, 10)])
def test_many_images_are_shown_less_often(images: int, epochs: int) -> None:
    assert ARCHITECTURES["conv-128"].epochs_for(60, images) == epochs
    assert ARCHITECTURES["conv-128"].epochs_for(4, images) == 4
    assert ARCHITECTURES["lenet-mnist"].epochs_for(150, images) == 150
