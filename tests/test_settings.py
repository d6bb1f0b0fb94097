import dataclasses
import json
import math
from typing import Any

import pytest

from flat import fit
from onlygood.architectures import DOC, PRETRAINED
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import SettingError
from onlygood.settings import METHODS, FitSettings, make_settings

BAD: list[tuple[str, Any, str]] = [
    ("method", "magic", "method must be one of patch, knn, lof, mahalanobis, doc, deep-svdd, discriminator, got"),
    ("calibration", "none", "calibration must be one of leave-one-out, split, cross-fit, got 'none'"),
    ("near_duplicates", "drop", "near_duplicates must be one of group, ignore, got 'drop'"),
    *(
        ("false_alarm_rate", rate, "the false-alarm rate must be between 0 and 1, both excluded")
        for rate in (0, 1, -0.1, 1.5, math.nan, math.inf, "0.1", None)
    ),
    *(
        (name, share, f"{name} must be between 0 and 1, both excluded, got {share!r}")
        for name in ("calibration_fraction", "top_fraction")
        for share in (0, 1, -1.0, math.nan, "0.5", True)
    ),
    *(
        (name, number, f"{name} must be a whole number of at least")
        for name in ("bank_size", "num_neighbors", "trained_layers", "max_pixels", "max_bytes", "threads")
        for number in (-1, 1.5, "3", None, True)
        if not (number is None and name in ("bank_size", "num_neighbors"))
    ),
    *(("seed", seed, "seed must be a whole number from 0 to 4294967295") for seed in (-1, 1.5, "3", None, True, 2**32)),
    ("threshold_rule", "median", "threshold_rule must be one of auto, conformal, estimated, got 'median'"),
    *(("exclude", names, "exclude must be a sequence of names of images") for names in ("a.png", ("",), (1,))),
    ("metric", "manhattan", "metric must be one of euclidean, cosine, whitened, got 'manhattan'"),
    *((name, 0, f"{name} must be a whole number of at least 1") for name in ("bank_size", "max_pixels", "max_bytes")),
    *((("input_size", size, "input_size must be a whole number of pixels")) for size in (0, -32, 64.0, "64", True)),
    *(
        ("window", window, "window must be two levels, black and white")
        for window in ((1,), (1, 2, 3), (1, "2"), (0, math.inf), 5, {0: 1, 1: 2})
    ),
    *((("taps", taps, "taps must be a sequence of names")) for taps in ("stage2", (1, 2))),
    ("backbone", 3, "backbone must be a name or a path as text, got 3"),
    ("network", "vgg", "network must be one of conv-128, lenet-mnist, lenet-cifar10, pretrained, got 'vgg'"),
    ("objective", "hard", "objective must be one of one-class, soft-boundary, got 'hard'"),
    ("nu", 0, "nu must be above 0 and at most 1, got 0"),
    ("pretrain_epochs", -1, "pretrain_epochs must be a whole number of at least 0, got -1"),
    ("epochs", 0, "epochs must be a whole number of at least 1, got 0"),
    ("warmup_epochs", 0.5, "warmup_epochs must be a whole number of at least 1, got 0.5"),
    ("batch_size", 1, "batch_size must be a whole number of at least 2, got 1"),
    ("learning_rate", 0.0, "learning_rate must be a number above 0, got 0.0"),
    ("noise_std", 0, "noise_std must be a number above 0, got 0"),
    ("noise_std", None, "noise_std must be a number above 0, got None"),
    ("head", "mahalanobis", "head must be one of knn, lof, got 'mahalanobis'"),
    ("compactness_weight", -0.1, "compactness_weight must be a number of at least 0, got -0.1"),
    ("weight_decay", -1.0, "weight_decay must be a number of at least 0, got -1.0"),
    ("accelerator", "abacus", "accelerator must be one of auto, cpu, gpu, got 'abacus'"),
    ("group_by", 3, "group_by must be 'folder' or a regular expression, got 3"),
    ("skip_unreadable", "no", "skip_unreadable must be True or False, got 'no'"),
    ("golden", "no", "golden must be True or False, got 'no'"),
    *(
        ("rotations", number, f"rotations must be a whole number from 1 to 72, got {number!r}")
        for number in (0, -1, 73, 2.5, "8", True, None)
    ),
    *(
        ("augment", number, f"augment must be a whole number of at least 3, got {number!r}")
        for number in (2, 0, -5, 9.5, "9", True)
    ),
    ("augmentation", AugmentationSettings(shift=0.2), "settings that begin with augment_ go with augment or g"),
    ("augmentation", {"shift": 0.2}, "augmentation must be AugmentationSettings, got {'shift': 0.2}"),
]


@pytest.mark.parametrize(("images", "epochs"), [(10, 50), (500, 32), (1000, 16), (6000, 3), (100_000, 3)])
def test_of_many_images_doc_needs_few_epochs(images: int, epochs: int) -> None:
    assert DOC.epochs_for(images) == epochs
    assert PRETRAINED.epochs_for(images) == 100


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_value_is_refused_with_what_it_must_be(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        FitSettings(**{name: value})
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ValueError)


def test_every_setting_is_refused_for_some_value() -> None:
    assert {name for name, _, _ in BAD} == {entry.name for entry in dataclasses.fields(FitSettings)}


def test_a_setting_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(
        SettingError, match=r"a setting must be one of method, false_alarm_rate, .* got alpha, banksize"
    ):
        make_settings(banksize=3, alpha=0.1)
    with pytest.raises(SettingError, match="got alpha"):
        fit([], alpha=0.1)


def test_the_defaults_are_fine_and_every_setting_says_what_it_is() -> None:
    for entry in dataclasses.fields(FitSettings()):
        assert entry.metadata["help"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_neighbors": 3}, "num_neighbors goes with method knn, lof or doc, got it with patch"),
        ({"method": "knn", "head": "lof"}, "head goes with method doc, got it with knn"),
        (
            {"method": "mahalanobis", "bank_size": 5},
            "bank_size goes with method patch, knn, lof or doc, got it with ma",
        ),
        ({"method": "doc", "nu": 0.2}, "nu goes with method deep-svdd, got it with doc"),
        ({"method": "deep-svdd", "taps": ("stage4",)}, "taps goes with network pretrained, got it with conv-128"),
        ({"method": "deep-svdd", "backbone": "x.onnx"}, "backbone goes with network pretrained, got it with conv-128"),
        ({"method": "deep-svdd", "trained_layers": 2}, "trained_layers goes with network pretrained, got it with conv"),
        (
            {"method": "deep-svdd", "network": "pretrained", "pretrain_epochs": 3},
            "pretrain_epochs goes with network conv-128, lenet-mnist or lenet-cifar10, got it with pretrained",
        ),
        (
            {"method": "deep-svdd", "warmup_epochs": 2},
            "warmup_epochs goes with objective soft-boundary, got it with on",
        ),
        ({"calibration_fraction": 0.2}, "calibration_fraction goes with calibration split, got it with leave-one-out"),
        (
            {"method": "discriminator", "calibration": "cross-fit", "calibration_fraction": 0.2},
            "calibration_fraction goes with calibration split, got it with cross-fit",
        ),
        ({"noise_std": 0.5}, "noise_std goes with method discriminator, got it with patch"),
        (
            {"method": "discriminator", "trained_layers": 2},
            "trained_layers goes with method doc or deep-svdd, got it with discriminator",
        ),
        (
            {"method": "discriminator", "bank_size": 5},
            "bank_size goes with method patch, knn, lof or doc, got it with discriminator",
        ),
        ({"epochs": 3}, "epochs goes with method doc, deep-svdd or discriminator, got it with patch"),
    ],
)
def test_a_setting_that_is_not_read_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        FitSettings(**given)
    name, other = message.split(" goes with ")[0], message.split(" goes with ")[1].split()[0]
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f": leave {name} out, or choose such a {other}")


@pytest.mark.parametrize(
    "given",
    [
        {"method": "doc", "trained_layers": 2, "taps": ("stage4",), "metric": "euclidean", "calibration_fraction": 0.2},
        {"method": "deep-svdd", "network": "pretrained", "trained_layers": 2, "backbone": "x.onnx"},
        {"method": "deep-svdd", "objective": "soft-boundary", "warmup_epochs": 2, "nu": 0.2},
        {"calibration": "split", "calibration_fraction": 0.2},
        {"method": "discriminator", "calibration": "cross-fit", "top_fraction": 0.02, "noise_std": 0.5, "epochs": 3},
        {"method": "discriminator", "taps": ("stage2", "stage4"), "backbone": "x.onnx", "input_size": 256},
    ],
)
def test_a_setting_that_is_read_is_taken_and_survives_a_copy(given: dict[str, Any]) -> None:
    settings = FitSettings(**given)
    assert all(getattr(settings, name) == value for name, value in given.items())
    assert dataclasses.replace(settings, threads=2).to_dict() == {**settings.to_dict(), "threads": 2}


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_does_not_read_is_not_filled_in(method: str) -> None:
    settings = FitSettings(method=method).filled_in()
    for entry in dataclasses.fields(settings):
        methods = entry.metadata.get("goes_with", {}).get("method", METHODS)
        if method not in methods:
            assert getattr(settings, entry.name) == entry.default, entry.name


def test_what_other_settings_decide_is_filled_in() -> None:
    patch, knn = FitSettings().filled_in(), FitSettings(method="knn", calibration="split").filled_in()
    assert (patch.bank_size, patch.calibration, patch.calibration_fraction) == (500, "leave-one-out", None)
    assert (knn.bank_size, knn.calibration, knn.calibration_fraction) == (1000, "split", None)
    golden = FitSettings(method="doc", golden=True, metric="euclidean", weight_decay=0.1).filled_in()
    assert (golden.calibration, golden.calibration_fraction) == ("split", None)
    assert (golden.compactness_weight, golden.weight_decay) == (0.1, 0.1)
    assert patch.filled_in() == patch


@pytest.mark.parametrize("method", METHODS)
def test_settings_can_be_copied_for_another_method(method: str) -> None:
    assert dataclasses.replace(FitSettings(), method=method) == FitSettings(method=method)


@pytest.mark.parametrize(("warmup", "epochs"), [(10, 10), (12, 10), (None, 1)])
def test_a_warm_up_after_which_nothing_comes_is_refused(warmup: int | None, epochs: int) -> None:
    soft: dict[str, Any] = {"method": "deep-svdd", "objective": "soft-boundary"}
    with pytest.raises(
        SettingError, match=rf"warmup_epochs must be below epochs.*got {warmup or 1} of {epochs}: .*raise"
    ):
        FitSettings(**soft, warmup_epochs=warmup, epochs=epochs)
    FitSettings(**soft, warmup_epochs=warmup, epochs=epochs + 10)


def test_settings_are_plain_json() -> None:
    settings = FitSettings(window=(0, 4095), taps=("stage2",), group_by="folder")
    assert json.loads(json.dumps(settings.to_dict())) == {
        **settings.to_dict(),
        "window": [0, 4095],
        "taps": ["stage2"],
    }
