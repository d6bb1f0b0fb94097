"""`onlygood.compare`: methods fitted and measured on the same images."""

import json
from pathlib import Path

import numpy as np
import pytest

import onlygood
from onlygood.comparison import compare as comparing
from onlygood.comparison.compare import DEFAULT_METHODS, TIMED_IMAGES, outcome_of
from onlygood.comparison.methods import method_label
from onlygood.errors import SettingError
from textures import DEFECT, SIZE, save, texture, with_defect

PATCH = onlygood.Patch(input_size=64, bank_size=300)
KNN = onlygood.Knn(input_size=64, taps=("stage4",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MVTec's layout with masks: 10 images to learn from; 5 good ones, 3 with a black patch and a torn file to test."""
    root = tmp_path_factory.mktemp("parts")
    holes = {f"hole/{number}.png": with_defect(texture(300 + number)) for number in range(3)}
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[DEFECT] = 255
    save(root / "train" / "good", {f"{number:02}.png": texture(number) for number in range(10)})
    save(root / "test", {f"good/{number}.png": texture(200 + number) for number in range(5)} | holes)
    save(root / "ground_truth", {name.replace(".png", "_mask.png"): mask for name in holes})
    (root / "test" / "good" / "torn.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def comparison(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> onlygood.Comparison:
    models = tmp_path_factory.mktemp("kept") / "models"
    return onlygood.compare(folder, [PATCH, "doc", KNN], false_alarm_rate=0.2, threads=1, seed=3, models=models)


def test_every_method_is_fitted_on_the_same_images_and_measured_on_the_same_others(
    comparison: onlygood.Comparison,
) -> None:
    patch, knn = comparison.measured
    assert [patch.method, knn.method] == [PATCH, KNN]
    assert comparison.learned_images == 10
    for method in (patch, knn):
        metadata = method.evaluation.metadata
        assert metadata.good_images.count == 10
        assert (metadata.settings["false_alarm_rate"], metadata.settings["seed"]) == (0.2, 3)
    assert patch.evaluation.metadata.good_images.sha256 == knn.evaluation.metadata.good_images.sha256
    tested = [[each.labelled.name for each in method.evaluation.images] for method in (patch, knn)]
    assert tested[0] == tested[1] and len(tested[0]) == 8


def test_figures_are_those_of_a_fit_and_an_evaluation(comparison: onlygood.Comparison, folder: Path) -> None:
    """By hand, with the images as they lie in their folders."""
    model = onlygood.fit(folder / "train" / "good", method=PATCH, false_alarm_rate=0.2, threads=1, seed=3)
    evaluation = onlygood.evaluate(model, folder, threads=1)
    patch = comparison.measured[0].evaluation
    assert patch.image == evaluation.image
    assert patch.pixel == evaluation.pixel and patch.pixel is not None
    assert [each.score for each in patch.images] == [each.score for each in evaluation.images]
    assert patch.guarantee == evaluation.guarantee


def test_model_files_are_kept_under_the_names_of_the_methods(comparison: onlygood.Comparison) -> None:
    for method in comparison.measured:
        assert method.file is not None and method.file.name == method.label.replace("/", "_") + ".onnx"
        assert method.megabytes == pytest.approx(method.file.stat().st_size / 1e6)
        assert onlygood.Inspector(method.file).metadata == method.evaluation.metadata
    assert [method.label for method in comparison.measured] == [
        "patch@input_size=64+bank_size=300",
        "knn@input_size=64+taps=stage4",
    ]


def test_a_method_that_cannot_be_made_is_a_row_with_its_reason(comparison: onlygood.Comparison) -> None:
    (doc,) = comparison.failed
    assert doc.label == "doc"
    assert doc.reason.startswith("reference must be given for method doc, got none")


def test_a_method_that_cannot_be_fitted_is_a_row_and_the_others_are_measured(folder: Path) -> None:
    found = onlygood.compare(folder, [onlygood.Patch(taps=("stage99",)), KNN], threads=1)
    assert [method.label for method in found.measured] == [method_label(KNN)]
    assert found.failed[0].label == "patch@taps=stage99" and "stage99" in found.failed[0].reason
    assert found.recommendation.method == method_label(KNN)


def test_all_methods_may_fail(folder: Path) -> None:
    found = onlygood.compare(folder, ["doc"], threads=1)
    assert (found.measured, len(found.failed), found.recommendation.method) == ((), 1, None)
    assert found.timed_images == 0
    json.dumps(found.to_dict())


def test_images_that_cannot_be_read_are_named_once(comparison: onlygood.Comparison) -> None:
    ((name, reason),) = comparison.unreadable
    assert name == "good/torn.png" and "torn.png" in reason


def test_methods_take_turns_while_they_are_timed(
    comparison: onlygood.Comparison, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert comparison.timed_images == 7, "all that can be read, without the first"
    assert all(method.latency_ms > 0 for method in comparison.measured)

    class Clock:
        """Takes 100, 1, 2, 3... ms."""

        def __init__(self, name: str) -> None:
            self.name, self.calls = name, 0

        def __call__(self, image: object, *, name: str) -> "Clock":
            order.append((self.name, name))
            self.latency_ms = float(self.calls or 100)
            self.calls += 1
            return self

    order: list[tuple[str, str]] = []
    split = comparing.split_data(folder, comparing.FitSettings(skip_unreadable=True))
    work = comparing._Work(split, comparing.FitSettings(), None, False)
    medians, images = work.latencies([Clock("a"), Clock("b")])  # type: ignore[list-item]
    assert order[:4] == [("a", order[0][1]), ("b", order[0][1]), ("a", order[2][1]), ("b", order[2][1])]
    assert (medians, images) == ([4.0, 4.0], 7), "the first, which warms up, does not count"
    monkeypatch.setattr(comparing, "TIMED_IMAGES", 4)
    assert work.latencies([Clock("a")])[1] == 4 < TIMED_IMAGES


def test_the_recommendation_is_by_what_was_measured(comparison: onlygood.Comparison) -> None:
    outcomes = [outcome_of(method) for method in comparison.measured]
    assert comparison.recommendation == comparing.recommend(outcomes)
    assert set(outcomes[0].missed) == {f"hole/{number}.png" for number in range(3)}
    for outcome, method in zip(outcomes, comparison.measured, strict=True):
        misses = method.evaluation.image.misses
        assert misses is not None and outcome.misses == misses.events
        assert outcome.false_alarms == method.evaluation.image.false_alarms
        assert not outcome.is_contradicted


def test_notes_of_all_methods_are_given_once(tmp_path: Path) -> None:
    """Here no image is anomalous, which every evaluation says, and two have the same pixels, which every fit says."""
    images = {f"{number}.png": texture(number) for number in range(7)} | {"twin.png": texture(3)}
    save(tmp_path, images)
    found = onlygood.compare(tmp_path, [PATCH, KNN], threads=1)
    assert found.layout == "good images alone"
    assert sum(note.startswith("There are no anomalous images") for note in found.notes) == 1
    assert not [note for method in found.measured for note in method.notes if note in found.notes]
    assert all(method.evaluation.image.misses is None for method in found.measured)
    assert {each.name for each in found.tested.images} < set(images)


def test_as_json(comparison: onlygood.Comparison) -> None:
    values = json.loads(json.dumps(comparison.to_dict()))
    assert values["layout"] == "train and test"
    assert values["images"] == {"learned": 10, "tested_good": 6, "tested_anomalous": 3, "timed": 7}
    assert [method["method"] for method in values["methods"]] == [method.label for method in comparison.measured]
    assert [method["method"] for method in values["failed"]] == ["doc"]
    assert values["methods"][0]["evaluation"]["image"] == json.loads(
        json.dumps(comparison.measured[0].evaluation.image.to_dict())
    )
    assert values["recommendation"]["method"] == comparison.recommendation.method


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ("patch", "methods must be a sequence of at least one name or settings, got 'patch': give a list"),
        ([], r"methods must be a sequence of at least one name or settings, got \[\]: give a list"),
        (["ptach"], "got 'ptach': did you mean 'patch'?"),
        ([3], r"a method must be one of .*, or settings such as onlygood.Knn\(num_neighbors=3\), got 3"),
        (["knn", onlygood.Knn()], "methods must differ from one another, got knn twice: leave one out"),
    ],
)
def test_methods_that_cannot_be_used_are_refused_before_anything_is_read(methods: object, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        onlygood.compare("nowhere", methods)  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", [{"false_alarm_rate": 1.5}, {"threads": -1}, {"seed": -1}, {"max_pixels": 0}])
def test_values_that_cannot_be_used_are_refused_before_anything_is_read(setting: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(setting))):
        onlygood.compare("nowhere", **setting)  # type: ignore[arg-type]


def test_the_default_methods_train_nothing() -> None:
    assert set(DEFAULT_METHODS) == {method.name for method in onlygood.methods() if not method.trains}


def test_labels_say_what_is_not_the_default() -> None:
    assert method_label(onlygood.Knn(num_neighbors=3, metric="cosine")) == "knn@num_neighbors=3"
    assert method_label(onlygood.Patch(taps=("stage2", "stage4"))) == "patch@taps=stage2/stage4"
    assert method_label(onlygood.Doc(reference={})) == "doc"
