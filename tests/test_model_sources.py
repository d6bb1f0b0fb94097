"""Whatever takes a model takes it as a path, in memory, or as an inspector."""

import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

import onlygood
from onlygood.datasets.folders import find_images
from onlygood.errors import ModelFileError, SettingError
from onlygood.exploration.embeddings import embeddings
from onlygood.report import InspectedImage, write_evaluation_report, write_inspection_report
from textures import save, texture, with_defect

TAKES_A_MODEL = (
    onlygood.Inspector.__init__,
    onlygood.evaluate,
    onlygood.explore,
    onlygood.calibrate,
    embeddings,
    write_evaluation_report,
    write_inspection_report,
)


@pytest.fixture(params=["a path", "the text of a path", "a Model", "a CalibratedModel", "an Inspector"])
def source(request: pytest.FixtureRequest, model: onlygood.Model, model_path: Path) -> Any:
    if request.param == "a CalibratedModel":
        return onlygood.calibrate(model_path, false_alarm_rate=model.guarantee.requested_rate)
    if request.param == "an Inspector":
        return onlygood.Inspector(model_path)
    return {"a path": model_path, "the text of a path": str(model_path), "a Model": model}[request.param]


@pytest.fixture(scope="module")
def test_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("test")
    save(folder / "good", {f"{seed}.png": texture(seed) for seed in range(90, 94)})
    save(folder / "blot", {f"{seed}.png": with_defect(texture(seed)) for seed in range(94, 98)})
    return folder


def test_all_of_them_say_so_in_the_same_words() -> None:
    for function in TAKES_A_MODEL:
        parameter = inspect.signature(function).parameters["model"]
        assert parameter.annotation == "ModelSource", function


def test_an_inspector_of_any_of_them_says_the_same(source: Any, model_path: Path) -> None:
    image = with_defect(texture(101))
    assert onlygood.Inspector(source)(image).score == onlygood.Inspector(model_path)(image).score


def test_an_evaluation_of_any_of_them_finds_the_same(source: Any, test_folder: Path, tmp_path: Path) -> None:
    evaluation = onlygood.evaluate(source, test_folder)
    assert (evaluation.image.good, evaluation.image.anomalous) == (4, 4)
    assert evaluation.image.misses is not None and evaluation.image.misses.events == 0
    write_evaluation_report(tmp_path / "a.html", evaluation, source)
    page = (tmp_path / "a.html").read_text()
    assert ("part.onnx" if isinstance(source, str | Path) else "a model in memory") in page
    assert "is not the one that was inspected" not in page


def test_a_report_of_inspections_is_drawn_with_any_of_them(source: Any, test_folder: Path, tmp_path: Path) -> None:
    files = find_images(test_folder)
    found = list(onlygood.Inspector(source).map(test_folder))
    inspected = [
        InspectedImage(name=each.name, file=file, inspection=each.without_map(), error=None)
        for file, each in zip(files, found, strict=True)
        if isinstance(each, onlygood.Inspection)
    ]
    write_inspection_report(tmp_path / "a.html", inspected, source)
    assert "4 of 8 images are anomalous" in (tmp_path / "a.html").read_text()


def test_an_exploration_of_any_of_them_lays_out_the_same_images(source: Any, test_folder: Path) -> None:
    exploration = onlygood.explore(source, test_folder)
    assert [each.is_anomaly for each in exploration.inspections] == [False] * 4 + [True] * 4


def test_any_of_them_can_be_calibrated(source: Any, model_path: Path) -> None:
    expected = onlygood.calibrate(model_path, false_alarm_rate=0.3)
    found = onlygood.calibrate(source, false_alarm_rate=0.3)
    assert found.calibration.threshold == expected.calibration.threshold


def test_an_inspectors_rate_is_kept(model_path: Path, test_folder: Path) -> None:
    inspector = onlygood.Inspector(model_path, false_alarm_rate=0.3)
    image = texture(101)
    assert onlygood.Inspector(inspector)(image).score == inspector(image).score
    assert inspector(image).score != onlygood.Inspector(model_path)(image).score
    assert onlygood.evaluate(inspector, test_folder).metadata == inspector.metadata
    assert onlygood.explore(inspector, test_folder).metadata == inspector.metadata


@pytest.mark.parametrize("given", [None, 7, b"part.onnx", object()])
def test_what_is_no_model_is_refused_with_what_is(given: Any, test_folder: Path) -> None:
    said = f"a model must be the path of a model file, .* or an Inspector, got {type(given).__name__}"
    for function, rest in (
        (onlygood.Inspector, ()),
        (onlygood.evaluate, (test_folder,)),
        (onlygood.explore, (test_folder,)),
    ):
        with pytest.raises(SettingError, match=said):
            function(given, *rest)
    with pytest.raises(SettingError, match=said):
        onlygood.calibrate(given, false_alarm_rate=0.1)


def test_a_model_is_kept_as_its_file(model: onlygood.Model) -> None:
    for keep in (pickle.dumps, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"^a Model must be kept as its ONNX file, got a request to pickle or copy it"
        ):
            keep(model)


def test_a_file_that_is_open_is_no_model(tmp_path: Path) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file, pytest.raises(SettingError, match="a model must be the path"):
        onlygood.Inspector(file)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match="does not exist"):
        onlygood.Inspector(tmp_path / "none.onnx")
