"""`onlygood compare`: what it prints where, its report, its exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import left, one_sentence
from onlygood.cli.compare import DEFAULT_METHODS, parse_methods
from onlygood.comparison import compare as comparing
from onlygood.comparison.recommendation import OPTIMISTIC
from onlygood.errors import SettingError
from page_reader import check_page
from textures import reference_images, save, texture, with_defect

PATCH = "patch@input_size=64+bank_size=300"
KNN = "knn@input_size=64+taps=stage4"
METHODS = f"{PATCH},{KNN}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 images to learn from; 4 good ones and 3 with a black patch to test."""
    root = tmp_path_factory.mktemp("parts")
    save(root / "train" / "good", {f"{number:02}.png": texture(number) for number in range(8)})
    holes = {f"hole/{number}.png": with_defect(texture(300 + number)) for number in range(3)}
    save(root / "test", {f"good/{number}.png": texture(200 + number) for number in range(4)} | holes)
    return root


def test_a_table_and_a_recommendation_are_printed(run: Any, folder: Path) -> None:
    ran = run("compare", folder, "--methods", f"{METHODS},doc", "--false-alarm-rate", "20%", "--threads", 1)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == (
        f"{folder}: Every method learned from the 8 images in train/good and was tested on those in test: 4 good and 3 "
        "anomalous."
    )
    assert re.split(r"  +", lines[2].strip()) == [
        *("AUROC", "missed", "false alarms", "stated rate", "fit", "image", "file"),
    ], "there are no masks, so no columns of pixels"
    rows = {line.split("  ")[0]: line for line in lines[3:6]}
    assert list(rows) == [PATCH, KNN, "doc"]
    assert re.search(r"0/3 \(0\.000-0\.708\)  \d/4 \(", rows[PATCH])
    assert re.search(r"\d+\.\d s +\d+\.\d ms +\d+\.\d MB$", rows[KNN])
    assert {line.index("/4 (") for line in lines[3:5]} == {rows[PATCH].index("/4 (")}, "columns are aligned"
    assert rows["doc"].split("  ", 1)[1].strip().startswith("not measured: reference must be given for method doc")
    assert re.match(r"(patch|knn)@\S+(, the faster one,)? is recommended: it missed 0 of 3 anomalous images", lines[7])
    assert lines[-1] == OPTIMISTIC


def test_json_report_and_models_are_written(run: Any, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    ran = run("compare", folder, "--methods", KNN, "--json", "--report", page, "--models", tmp_path / "kept")
    assert ran.code == 0
    values = json.loads(ran.out)
    assert values["data"] == str(folder)
    assert [method["method"] for method in values["methods"]] == [KNN]
    assert left(tmp_path) == [f"kept/{KNN}.onnx", "out.csv", "out.html"]
    assert values["methods"][0]["file"] == str(tmp_path / "kept" / f"{KNN}.onnx")
    assert check_page(page.read_bytes()).one("h1").text == f"Methods on {folder.name}"


def test_notes_and_images_that_cannot_be_read_are_said_on_stderr(run: Any, tmp_path: Path) -> None:
    save(tmp_path, {f"good/{number}.png": texture(number % 6) for number in range(7)} | {"hole/a.png": texture(90)})
    (tmp_path / "hole" / "torn.png").write_bytes(b"no image")
    ran = run("compare", tmp_path, "--methods", KNN, "--threads", 1)
    assert ran.code == 0
    assert ran.out.startswith(f"{tmp_path}: Of 7 good images (6 independent groups), ")
    assert "onlygood: hole/torn.png" in ran.err
    assert not [line for line in ran.err.splitlines() if not line.startswith(("note: ", "onlygood: "))]


def test_reference_images_are_given_to_the_method_that_takes_them(tmp_path: Path) -> None:
    methods = parse_methods("knn,doc@head=lof", reference="others")
    assert methods == ["knn", onlygood.Doc(reference="others", head="lof")]
    assert isinstance(methods[1], onlygood.Doc) and methods[1].reference == "others"


@pytest.mark.slow
def test_doc_learns_from_the_reference_images(run: Any, folder: Path, tmp_path: Path) -> None:
    save(
        tmp_path,
        {f"{name}/{at}.png": image for name, images in reference_images().items() for at, image in enumerate(images)},
    )
    doc = "doc@input_size=64+epochs=4+batch_size=4"
    ran = run("compare", folder, "--methods", doc, "--reference", tmp_path, "--false-alarm-rate", 0.2)
    assert ran.code == 0, ran.err
    assert re.search(r"^doc@\S+ +\d\.\d{3} \(", ran.out, re.MULTILINE) and "not measured" not in ran.out


def test_values_are_converted_by_the_type_of_their_setting() -> None:
    patch, knn, svdd = parse_methods(
        "patch@top_fraction=2%+taps=stage2/stage4, knn@num-neighbors=3+metric=euclidean,deep-svdd", reference=None
    )
    assert patch == onlygood.Patch(top_fraction=0.02, taps=("stage2", "stage4"))
    assert knn == onlygood.Knn(num_neighbors=3, metric="euclidean")
    assert svdd == "deep-svdd"
    assert comparing.DEFAULT_METHODS == DEFAULT_METHODS


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ("ptach", "got 'ptach': did you mean 'patch'?"),
        ("", "method must be one of patch, knn, "),
        ("knn@num_neighbours=3", "got num_neighbours: did you mean 'num_neighbors'?"),
        ("doc@reference=others", "settings of method doc must be among "),
        ("knn@num_neighbors=three", "num_neighbors of method knn must be a whole number of at least 1, got 'three'"),
        ("knn@num_neighbors=0", "num_neighbors must be a whole number of at least 1, got 0"),
        ("patch@top_fraction=most", "top_fraction of method patch must be between 0 and 1, both excluded, got 'most'"),
        ("knn@metric=manhattan", "metric must be one of euclidean, cosine, whitened, got 'manhattan'"),
        ("knn@3", "the settings of a method must be like knn@num_neighbors=3+metric=euclidean, got 'knn@3'"),
        ("doc@head=lof", "reference must be given for method doc, got none"),
    ],
)
def test_methods_that_cannot_be_used_are_refused(methods: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=re.escape(sentence)):
        parse_methods(methods, reference=None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("{root}/nowhere",), "{root}/nowhere does not exist: check the path"),
        (("{root}/test/hole",), "compare needs good images of at least 4 independent things"),
        (("{root}", "--methods", "ptach"), "did you mean 'patch'?"),
        (
            ("{root}", "--reference", "others"),
            "--reference goes with a method that learns from other things, such as doc",
        ),
        (("{root}", "--report", "{root}/page.txt"), "a report must have a name that ends in .html"),
        (("{root}", "--report", "{root}/none/page.html"), "there is no folder {root}/none: make it first"),
        (("{root}", "--false-alarm-rate", "0"), "false_alarm_rate must be between 0 and 1, both excluded"),
        (("{root}", "--models", "{root}/train/good/00.png"), "{root}/train/good/00.png cannot be written"),
        (("{root}", "--methods", "doc"), "compare needs at least one method that can be measured, got none; doc: "),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run: Any, folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    ran = run("compare", *(argument.format(root=folder) for argument in arguments))
    assert sentence.format(root=folder) in one_sentence(ran)
