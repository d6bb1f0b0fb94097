"""`--method deep-svdd --network pretrained`: the end of the backbone drawn towards the good images' centre."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import onlygood
from command_line import Ran
from finding import check_that_defects_are_found
from flat import fit
from onlygood.errors import BackboneError, SettingError
from textures import textures

QUICK: dict[str, Any] = {
    "method": "deep-svdd",
    "network": "pretrained",
    "input_size": 64,
    "false_alarm_rate": 0.2,
    "batch_size": 8,
    "epochs": 4,
}


@pytest.fixture(scope="module")
def tuned() -> onlygood.Model:
    return fit(textures(30), **QUICK)


def test_it_learns_says_so_and_finds_a_defect(tuned: onlygood.Model) -> None:
    described = tuned.metadata.detector
    assert (described["network"], described["latent"], described["objective"]) == ("pretrained", 1280, "one-class")
    assert "efficientnet-lite0, head, the last 4 layers trained" in described["source"]
    losses = tuned.metadata.training.losses["hypersphere"]
    assert losses[-1] < losses[0]
    check_that_defects_are_found(tuned)


def test_training_ends_when_it_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**QUICK, "epochs": 60, "learning_rate": 1e-3}
    losses = fit(textures(30), **settings).metadata.training.losses["hypersphere"]
    assert len(losses) < 60
    monkeypatch.setattr("onlygood.training.fine_tuning.ENOUGH_VARIANCE", 0.0)
    patient = fit(textures(30), **{**settings, "epochs": len(losses) + 1})
    assert len(patient.metadata.training.losses["hypersphere"]) == len(losses) + 1


def test_a_soft_boundary_does_not_end_in_its_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood.training.fine_tuning.ENOUGH_VARIANCE", 1e9)
    described = fit(textures(30), **{**QUICK, "objective": "soft-boundary"}).metadata
    assert described.detector["warmup_epochs"] == 1
    assert len(described.training.losses["hypersphere"]) == 2
    described = fit(textures(30), **QUICK).metadata
    assert len(described.training.losses["hypersphere"]) == 1


def test_the_same_seed_gives_the_same_file(tuned: onlygood.Model) -> None:
    assert fit(textures(30), **QUICK).file.content == tuned.file.content


LINE = [part for key, value in QUICK.items() for part in (f"--{key.replace('_', '-')}", str(value))]


def test_resume_ends_at_the_same_file_also_after_enough(
    good_folder: Path, tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [*LINE, "--learning-rate", "0.001", "--epochs", "60"]
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    assert run("fit", good_folder, "-o", whole, *line).code == 0

    def stop(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("onlygood.detectors.deep_svdd.pretrained.learn_whitening", stop)
        assert run("fit", good_folder, "-o", part, *line).code == 130
    assert run("fit", good_folder, "-o", part, *line, "--resume").code == 0
    assert part.read_bytes() == whole.read_bytes()


def test_a_checkpoint_of_another_backbone_is_refused(
    good_folder: Path, tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same path may hold another file tomorrow."""
    model = tmp_path / "part.onnx"

    def stop(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("onlygood.detectors.deep_svdd.pretrained.learn_whitening", stop)
        assert run("fit", good_folder, "-o", model, *LINE).code == 130
    kept = torch.load(f"{model}.training", weights_only=True)
    assert kept["fingerprint"]["learning_rate"] == 5e-5, "the network's own, which another version may change"
    kept["fingerprint"]["backbone"] = "0" * 64
    torch.save(kept, f"{model}.training")
    ran = run("fit", good_folder, "-o", model, *LINE, "--resume")
    assert (ran.code, "must be of a fit with backbone '" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pretrain_epochs": 3}, SettingError, "pretrain_epochs goes with network conv-128, lenet-mnist or lenet-cif"),
        ({"taps": ("stage2", "stage4")}, SettingError, "taps must be one name for methods on the pooled output"),
        ({"trained_layers": 50}, BackboneError, "trained_layers must be from 1 to 49"),
        (
            {"taps": ("stage0",), "trained_layers": 3},
            SettingError,
            "trained_layers must leave the first layer of the backbone as it is, got 3, all up to stage0: lower it",
        ),
        ({"trained_layers": 0}, SettingError, "trained_layers must be a whole number of at least 1, got 0"),
    ],
)
def test_settings_that_it_cannot_use_are_refused(
    settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        fit(textures(8), **{**QUICK, **settings})
    assert message in str(caught.value)


def test_another_tap_and_the_soft_boundary() -> None:
    model = fit(
        textures(20),
        **{**QUICK, "taps": ("stage4",), "objective": "soft-boundary", "warmup_epochs": 2, "trained_layers": 3},
    )
    assert model.metadata.detector["latent"] == 112
    assert "nu 0.1" in model.metadata.title
