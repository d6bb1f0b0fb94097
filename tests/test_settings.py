import inspect
import json
import math
from typing import Any

import pytest

import onlygood
from flat import METHODS, kind_of
from onlygood.architectures import DOC, PRETRAINED
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import SettingError
from onlygood.settings import FitSettings

BAD: list[tuple[str, Any, str]] = [
    ("calibration", "none", "calibration must be one of leave-one-out, split, cross-fit, got 'none'"),
    ("near_duplicates", "drop", "near_duplicates must be one of group, ignore, got 'drop'"),
    *(
        ("false_alarm_rate", rate, "false_alarm_rate must be between 0 and 1, both excluded (0.01 is one good image in")
        for rate in (0, 1, -0.1, 1.5, math.nan, math.inf, "0.1", None)
    ),
    *(
        ("calibration_fraction", share, f"calibration_fraction must be between 0 and 1, both excluded, got {share!r}")
        for share in (0, 1, -1.0, math.nan, "0.5", True)
    ),
    *(
        (name, number, f"{name} must be a whole number of at least {least}, got {number!r}")
        for name, least in (("max_pixels", 1), ("max_bytes", 1))
        for number in (-1, 1.5, "3", None, True)
    ),
    *(
        ("threads", number, f"threads must be a whole number from 0 to 4096, got {number!r}")
        for number in (-1, 1.5, "3", None, True, 4097, 2**63)
    ),
    *(
        ("false_alarm_rate", rate, "false_alarm_rate must be from 1e-09 to 0.999999999, since no number of images says")
        for rate in (5e-324, 1e-320, 1e-310, 9.9e-10, 0.9999999999999999, 1 - 1e-16 * 2)
    ),
    *((name, 0, f"{name} must be a whole number of at least 1") for name in ("max_pixels", "max_bytes")),
    *(("seed", seed, "seed must be a whole number from 0 to 4294967295") for seed in (-1, 1.5, "3", None, True, 2**32)),
    ("threshold_rule", "median", "threshold_rule must be one of auto, conformal, estimated, got 'median'"),
    *(("exclude", names, "exclude must be a sequence of names of images") for names in ("a.png", ("",), (1,))),
    *(
        ("window", window, "window must be two levels, black and white")
        for window in ((1,), (1, 2, 3), (1, "2"), (0, math.inf), 5, {0: 1, 1: 2})
    ),
    *(
        ("channels", number, f"channels must be a whole number from 1 to 16, got {number!r}")
        for number in (0, 17, 2.5, "4", True)
    ),
    ("align", "affine", "align must be one of translation, rigid, got 'affine'"),
    *(
        ("align_degrees", degrees, f"align_degrees must be above 0 and at most 180, got {degrees!r}")
        for degrees in (0, -5.0, 181, math.nan, "20", True)
    ),
    ("alpha", "white", "alpha must be one of black, mask, got 'white'"),
    *(
        (
            "tiles",
            text,
            f"tiles must be 'auto', a side such as '320', or side and overlap such as '320,40', got {text!r}",
        )
        for text in ("large", "-3", "320,", 5, ("a",))
    ),
    ("tiles", "16", "tiles must have sides of at least 32 pixels and overlap by half of a side at most, got '16'"),
    ("align_degrees", 5.0, "align_degrees goes with align='rigid', got it with none"),
    ("group_by", 3, "group_by must be 'folder' or a regular expression, got 3"),
    ("skip_unreadable", "no", "skip_unreadable must be True or False, got 'no'"),
    ("golden", "no", "golden must be True or False, got 'no'"),
    *(
        ("rotations", number, f"rotations must be a whole number from 1 to 72, got {number!r}")
        for number in (0, -1, 73, 2.5, "8", True, None)
    ),
    *(
        ("sizes", sizes, "sizes must be long sides in pixels, each at least 8, got ")
        for sizes in (0, (0,), ("64",), "64", (7,), (64.0,), (True,))
    ),
    ("sizes", (64, 32, 64), r"sizes must differ from one another, got (64, 32, 64): name each once"),
    *(
        ("augment", number, f"augment must be a whole number of at least 3, got {number!r}")
        for number in (2, 0, -5, 9.5, "9", True)
    ),
    ("augmentation", AugmentationSettings(shift=0.2), "augmentation goes with augment or golden, got it without"),
    ("augmentation", "wide", "augmentation must be AugmentationSettings, got 'wide'"),
]
REFERENCE = {"reference": "others"}
METHOD_BAD: list[tuple[str, str, Any, str]] = [
    *(
        ("knn", name, number, f"{name} must be a whole number of at least 1, got {number!r}")
        for name in ("bank_size", "num_neighbors")
        for number in (-1, 0, 1.5, "3", True)
    ),
    *(
        ("patch", "top_fraction", share, f"top_fraction must be between 0 and 1, both excluded, got {share!r}")
        for share in (0, 1, -1.0, math.nan, "0.5", True, None)
    ),
    ("lof", "metric", "manhattan", "metric must be one of euclidean, cosine, whitened, got 'manhattan'"),
    *(
        ("mahalanobis", "input_size", size, "input_size must be a whole number of pixels from 16 to 4096")
        for size in (0, -32, 64.0, "64", True)
    ),
    *(("patch", "taps", taps, "taps must be a sequence of names") for taps in ("stage2", (1, 2))),
    ("patch", "backbone", 3, "backbone must be a name or a path as text, got 3"),
    *(
        ("doc", "trained_layers", number, f"trained_layers must be a whole number of at least 1, got {number!r}")
        for number in (0, 1.5, None)
    ),
    (
        "deep-svdd",
        "network",
        "vgg",
        "network must be one of conv-128, lenet-mnist, lenet-cifar10, pretrained, got 'vgg'",
    ),
    ("deep-svdd", "objective", "hard", "objective must be one of one-class, soft-boundary, got 'hard'"),
    *(("deep-svdd", "nu", nu, f"nu must be above 0 and at most 1, got {nu!r}") for nu in (0, 1.01, math.nan, None)),
    ("deep-svdd", "pretrain_epochs", -1, "pretrain_epochs must be a whole number of at least 0, got -1"),
    ("deep-svdd", "warmup_epochs", 0.5, "warmup_epochs must be a whole number of at least 1, got 0.5"),
    ("doc", "epochs", 0, "epochs must be a whole number of at least 1, got 0"),
    ("doc", "batch_size", 1, "batch_size must be a whole number of at least 2, got 1"),
    ("doc", "learning_rate", 0.0, "learning_rate must be above 0 and at most 1000, got 0.0"),
    ("doc", "learning_rate", 1e200, "learning_rate must be above 0 and at most 1000, got 1e+200"),
    ("discriminator", "weight_decay", 1e200, "weight_decay must be a number from 0 to 1000, got 1e+200"),
    *(("discriminator", "noise_std", std, f"noise_std must be a number above 0, got {std!r}") for std in (0, None)),
    ("doc", "head", "mahalanobis", "head must be one of knn, lof, got 'mahalanobis'"),
    ("doc", "compactness_weight", -0.1, "compactness_weight must be a number of at least 0, got -0.1"),
    ("deep-svdd", "weight_decay", -1.0, "weight_decay must be a number from 0 to 1000, got -1.0"),
    ("discriminator", "accelerator", "abacus", "accelerator must be one of auto, cpu, gpu, got 'abacus'"),
    ("doc", "reference", None, "reference must be given for method doc, got none"),
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


@pytest.mark.parametrize(("method", "name", "value", "message"), METHOD_BAD)
def test_a_bad_value_of_a_methods_setting_is_refused(method: str, name: str, value: Any, message: str) -> None:
    beside = REFERENCE if method == "doc" else {}
    with pytest.raises(SettingError) as caught:
        onlygood.make_method(method, **{**beside, name: value})
    assert str(caught.value).startswith(message)


def test_every_setting_is_refused_for_some_value() -> None:
    assert {name for name, _, _ in BAD} == set(FitSettings.model_fields)
    of_methods = {name for method in METHODS for name in kind_of(method).model_fields}
    assert {name for _, name, _, _ in METHOD_BAD} == of_methods


def test_a_name_that_does_not_exist_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(
        SettingError, match=r"settings of method knn must be among .*, got num_neighbours: did you mean"
    ):
        onlygood.Knn(num_neighbours=3)  # type: ignore[call-arg]
    with pytest.raises(SettingError, match=r"a keyword of fit must be one of .*, got threads_: did you mean 'threads'"):
        onlygood.fit([], threads_=1)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"num_neighbors is a setting of method knn.*: give method=Knn\(num_neigh"):
        onlygood.fit([], method="knn", num_neighbors=3)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"method must be one of patch, .*, got 'KNN': did you mean 'knn'\?"):
        onlygood.make_method("KNN")
    with pytest.raises(SettingError, match=r"method must be one of patch, .*, got 'pach': did you mean 'patch'\?"):
        onlygood.fit([], method="pach")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"method must be one of patch, .*, or settings such as .*, got 3"):
        onlygood.fit([], method=3)  # type: ignore[arg-type]


def test_every_setting_says_what_it_is() -> None:
    for kind in (FitSettings, AugmentationSettings, *map(kind_of, METHODS)):
        for name, field in kind.model_fields.items():
            assert field.description, name


def test_the_keywords_of_fit_are_the_settings_with_the_same_defaults() -> None:
    keywords = inspect.signature(onlygood.fit).parameters
    others = {"images", "method", "groups", "channel_order", "roi", "align_to"}
    others |= {"checkpoint", "resume", "progress", "unknown"}
    assert set(keywords) - others == set(FitSettings.model_fields)
    for name, field in FitSettings.model_fields.items():
        assert keywords[name].default == field.default, name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"taps": ("stage4",)}, "taps goes with network pretrained, got it with conv-128"),
        ({"backbone": "x.onnx"}, "backbone goes with network pretrained, got it with conv-128"),
        ({"trained_layers": 2}, "trained_layers goes with network pretrained, got it with conv"),
        (
            {"network": "pretrained", "pretrain_epochs": 3},
            "pretrain_epochs goes with network conv-128, lenet-mnist or lenet-cifar10, got it with pretrained",
        ),
        ({"warmup_epochs": 2}, "warmup_epochs goes with objective soft-boundary, got it with on"),
    ],
)
def test_a_setting_that_deep_svdd_does_not_read_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        onlygood.DeepSvdd(**settings)
    name, other = message.split(" goes with ")[0], message.split(" goes with ")[1].split()[0]
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f": leave {name} out, or choose such a {other}")


def test_what_the_method_decides_is_filled_in() -> None:
    patch = FitSettings().resolved(onlygood.Patch())
    assert (patch.calibration, patch.augment, patch.augmentation) == ("leave-one-out", None, None)
    assert patch.resolved(onlygood.Patch()) == patch
    golden = FitSettings(golden=True).resolved(onlygood.DeepSvdd())
    assert (golden.calibration, golden.augment, golden.augmentation) == ("split", 200, AugmentationSettings())


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        (
            "patch",
            {"calibration_fraction": 0.2},
            "calibration_fraction goes with calibration split, got it with",
        ),
        (
            "discriminator",
            {"calibration": "cross-fit", "calibration_fraction": 0.2},
            "calibration_fraction goes with calibration split, got it with cross-fit",
        ),
        (
            "patch",
            {"calibration": "cross-fit"},
            "calibration must be leave-one-out or split for method patch, got",
        ),
        (
            "deep-svdd",
            {"calibration": "leave-one-out"},
            "calibration must be split for method deep-svdd, got leave-one-out: a network that was trained on an image",
        ),
    ],
)
def test_a_calibration_that_the_method_does_not_have_is_refused(
    method: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        FitSettings(**given).resolved(kind_of(method)())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("warmup", "epochs"), [(10, 10), (12, 10), (None, 1)])
def test_a_warm_up_after_which_nothing_comes_is_refused(warmup: int | None, epochs: int) -> None:
    with pytest.raises(
        SettingError, match=rf"warmup_epochs must be below epochs.*got {warmup or 1} of {epochs}: .*raise"
    ):
        onlygood.DeepSvdd(objective="soft-boundary", warmup_epochs=warmup, epochs=epochs)
    onlygood.DeepSvdd(objective="soft-boundary", warmup_epochs=warmup, epochs=epochs + 10)


def test_settings_are_plain_json() -> None:
    settings = FitSettings(window=(0, 4095), group_by="folder")
    assert json.loads(json.dumps(settings.to_dict())) == {**settings.to_dict(), "window": [0, 4095]}
    patch = onlygood.Patch(taps=("stage2",), backbone="folder/net.onnx")
    assert json.loads(json.dumps(patch.to_dict())) == {**patch.to_dict(), "taps": ["stage2"], "backbone": "net.onnx"}
    assert "reference" not in onlygood.Doc(reference="others").to_dict()


def test_settings_are_shown_by_what_was_given_and_never_change() -> None:
    settings = onlygood.Knn(num_neighbors=3)
    assert "num_neighbors=3" in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.num_neighbors = 4  # type: ignore[misc]
    assert settings.replaced(metric="euclidean") == onlygood.Knn(num_neighbors=3, metric="euclidean")
