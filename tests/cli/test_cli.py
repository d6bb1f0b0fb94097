"""The command line, run in this process: what it prints where, what it leaves, and its exit codes."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from command_line import FAST, left, one_sentence
from flat import METHODS, kind_of
from onlygood.cli import make_parser
from onlygood.cli.options import given_settings
from onlygood.settings import FitSettings
from textures import GOOD, numbered, save, texture, textures, twelve_bit, with_defect

CONFORMAL = ("--threshold-rule", "conformal")


# fit


def test_fit_writes_the_model_and_prints_its_guarantee(run: Any, good_folder: Path, tmp_path: Path) -> None:
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", *FAST)
    assert (ran.code, ran.err) == (0, "")
    first, guarantee, condition, deciding = ran.out.splitlines()
    size = (tmp_path / "part.onnx").stat().st_size / 1e6
    assert first == f"{tmp_path / 'part.onnx'}: learned from {GOOD} good images, {size:.1f} MB"
    assert guarantee.startswith("At most 0.1 of good images will be called anomalous (approximate, by leave-one-out ov")
    assert condition.startswith("This holds for images taken as these were")
    assert deciding.startswith("The threshold is the score of ")
    assert left(tmp_path) == ["part.onnx"]


def test_fit_from_the_command_line_and_from_python_write_the_same_file(
    run: Any, good_folder: Path, model: onlygood.Model, tmp_path: Path
) -> None:
    run("fit", good_folder, "-o", tmp_path / "part.onnx", *FAST)
    assert (tmp_path / "part.onnx").read_bytes() == model.file.content


def test_fit_prints_the_rate_that_it_can_guarantee_and_info_shows_it(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "good", numbered(textures(9)))
    model = tmp_path / "part.onnx"
    ran = run("fit", tmp_path / "good", "-o", model, "--input-size", 64, "--false-alarm-rate", 0.01, *CONFORMAL)
    shown = run("info", model)
    for out in (ran.out, shown.out):
        assert "At most 0.1 of good images will be called anomalous" in out
        assert "The rate asked for, 0.01, needs at least 99 images to calibrate with, got 9" in out
    assert json.loads(run("info", model, "--json").out)["guarantee"]["stated_rate"] == 0.1


def test_fit_says_its_notes_on_stderr_and_info_repeats_them(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "good", numbered([*textures(9), texture(0)]))
    ran = run("fit", tmp_path / "good", "-o", tmp_path / "part.onnx", *FAST)
    assert re.fullmatch(r"note: 2 of 10 good images are near-duplicates of one another, in 1 set.*\n", ran.err)
    assert "note:      2 of 10 good images are near-duplicates" in run("info", tmp_path / "part.onnx").out


def test_fit_with_v_says_more_on_stderr(run: Any, good_folder: Path, tmp_path: Path) -> None:
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", "-v", *FAST)
    assert json.loads(ran.err) == onlygood.Inspector(tmp_path / "part.onnx").metadata.to_dict()


def test_what_is_not_given_is_left_to_the_settings() -> None:
    options = make_parser().parse_args(["fit", "good", "-o", "part.onnx"])
    assert given_settings(options, FitSettings) == {}
    assert given_settings(options, onlygood.Patch) == {}
    assert given_settings(options, onlygood.AugmentationSettings, prefix="augment_") == {}


# Words and value of each option: of every method, of augmentation, of one method.
COMMON: dict[str, tuple[list[str], Any]] = {
    "false_alarm_rate": (["0.2"], 0.2),
    "threshold_rule": (["estimated"], "estimated"),
    "exclude": (["a.png, b.png"], ("a.png", "b.png")),
    "calibration": (["split"], "split"),
    "calibration_fraction": (["0.4"], 0.4),
    "group_by": (["lot([0-9]+)"], "lot([0-9]+)"),
    "near_duplicates": (["ignore"], "ignore"),
    "window": (["0,4095"], (0.0, 4095.0)),
    "golden": ([], True),
    "augment": (["60"], 60),
    "rotations": (["8"], 8),
    "sizes": (["48,96"], (48, 96)),
    "channels": (["4"], 4),
    "alpha": (["mask"], "mask"),
    "tiles": (["320,40"], "320,40"),
    "align": (["rigid"], "rigid"),
    "align_degrees": (["15"], 15.0),
    "skip_unreadable": ([], True),
    "max_pixels": (["5"], 5),
    "max_bytes": (["6"], 6),
    "threads": (["2"], 2),
    "seed": (["9"], 9),
}
RANGES: dict[str, tuple[list[str], Any]] = {
    "brightness": (["0.2"], 0.2),
    "contrast": (["0.2"], 0.2),
    "gamma": (["0.2"], 0.2),
    "noise": (["0.02"], 0.02),
    "blur": (["1.5"], 1.5),
    "jpeg": (["50"], 50),
    "shift": (["0.1"], 0.1),
    "rotation": (["5"], 5.0),
    "scale": (["0.1"], 0.1),
    "flip_horizontal": ([], True),
    "flip_vertical": ([], True),
    "border": (["edge"], "edge"),
    "border_level": (["12"], 12.0),
}
OWN: dict[str, tuple[list[str], Any]] = {
    "reference": (["others"], "others"),
    "backbone": (["other.onnx"], "other.onnx"),
    "taps": (["stage2, stage4"], ("stage2", "stage4")),
    "input_size": (["96"], 96),
    "bank_size": (["77"], 77),
    "num_neighbors": (["3"], 3),
    "metric": (["cosine"], "cosine"),
    "head": (["lof"], "lof"),
    "compactness_weight": (["0.3"], 0.3),
    "top_fraction": (["0.5"], 0.5),
    "noise_std": (["0.5"], 0.5),
    "network": (["lenet-mnist"], "lenet-mnist"),
    "trained_layers": (["7"], 7),
    "objective": (["soft-boundary"], "soft-boundary"),
    "nu": (["0.05"], 0.05),
    "pretrain_epochs": (["3"], 3),
    "epochs": (["4"], 4),
    "warmup_epochs": (["2"], 2),
    "batch_size": (["16"], 16),
    "learning_rate": (["0.001"], 0.001),
    "weight_decay": (["0"], 0.0),
    "accelerator": (["cpu"], "cpu"),
}


def flags(name: str) -> str:
    return "--" + name.replace("_", "-")


def test_every_option_of_all_methods_gives_its_setting() -> None:
    assert set(COMMON) == set(FitSettings.model_fields) - {"augmentation"}
    assert set(RANGES) == set(onlygood.AugmentationSettings.model_fields)
    for name, (words, value) in COMMON.items():
        options = make_parser().parse_args(["fit", "good", "-o", "part.onnx", flags(name), *words])
        assert given_settings(options, FitSettings) == {name: value}
        assert type(getattr(options, name)) is type(value)
    for name, (words, value) in RANGES.items():
        options = make_parser().parse_args(["fit", "good", "-o", "part.onnx", flags("augment_" + name), *words])
        assert given_settings(options, onlygood.AugmentationSettings, prefix="augment_") == {name: value}


@pytest.mark.parametrize("method", METHODS)
def test_every_option_of_a_method_gives_its_setting(method: str) -> None:
    kind = kind_of(method)
    assert set(kind.model_fields) <= set(OWN)
    for name in kind.model_fields:
        words, value = OWN[name]
        line = ["fit", "good", "-o", "part.onnx", "--method", method, flags(name), *words]
        options = make_parser(line).parse_args(line)
        assert given_settings(options, kind) == {name: value}
        assert type(getattr(options, name)) is type(value)


@pytest.mark.parametrize("method", METHODS)
def test_help_shows_the_options_of_all_methods_and_of_this_one_with_their_meaning(run: Any, method: str) -> None:
    ran = run("fit", "--method", method, "--help-all")
    assert ran.code == 0
    words = " ".join(ran.out.split())
    for name, field in (FitSettings.model_fields | kind_of(method).model_fields).items():
        if name != "augmentation":
            assert flags(name) in words
            assert field.description is not None
            assert " ".join(field.description.split()[:4]) in words
    others = set(OWN) - set(kind_of(method).model_fields)
    assert not [name for name in others if flags(name) + " " in words]


def test_help_without_a_method_fits_on_a_screen_and_a_half(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    short, long = run("fit", "--help").out, run("fit", "--help-all").out
    assert short.count("\n") <= 75
    assert "`onlygood fit --help-all`" in " ".join(short.split())
    assert "--max-pixels" in long
    assert "--max-pixels" not in short


def test_help_shows_the_ranges_of_augmentations_where_there_are_any(run: Any) -> None:
    assert "--augment-shift" not in run("fit", "--help").out
    for line in (("--golden",), ("--augment", "50")):
        words = " ".join(run("fit", *line, "--help").out.split())
        for name, field in onlygood.AugmentationSettings.model_fields.items():
            assert flags("augment_" + name) in words
            assert field.description is not None
            assert " ".join(field.description.split()[:4]) in words


def test_methods_lists_what_each_is_for_and_what_it_needs(run: Any) -> None:
    said = run("methods").out
    for kind in onlygood.methods():
        assert kind.name in said
        assert kind.summary.split()[0] in said
    described = {each["name"]: each for each in json.loads(run("methods", "--json").out)}
    assert set(METHODS) <= set(described)
    assert described["doc"]["extra"] == "train"
    assert "num_neighbors" in described["knn"]["settings"]["properties"]


def test_a_rate_may_be_a_percentage(run: Any) -> None:
    options = make_parser().parse_args(["fit", "good", "-o", "part.onnx", "--false-alarm-rate", "5%"])
    assert options.false_alarm_rate == 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "magic"), "method must be one of patch, knn, lof, mahalanobis, doc, deep-svdd, .*, got 'magic'"),
        (("--taps", "stage9"), "taps must be different names out of stage0, .*, got stage9"),
        (("--golden", "--augment-shift", "0.9"), "augment_shift must be a number from 0 to 0.5, got 0.9"),
        (("--augment-jpeg", "101"), "augment_jpeg must be a whole number from 1 to 100, or 0 for .*, got 101"),
        (
            ("--golden", "--augment-border-level", "7"),
            "augment_border_level must be left out unless border is 'constant', got 7.0 with 'mirror': set",
        ),
        (
            ("--augment-shift", "0.2"),
            "options that begin with --augment- go with --augment or --golden, got them without: add one",
        ),
        (("--window", "9,3"), r"a window must be two levels with black < white, .*got \(9.0, 3.0\)"),
        (("--window", "1,2,3"), r"window must be two levels, black and white, got \(1.0, 2.0, 3.0\)"),
        (("--false-alarm-rate", "1"), "false_alarm_rate must be between 0 and 1, .*got 1.0"),
        (("--input-size", "0"), "input_size must be a whole number of pixels from 16 to 4096, got 0"),
        (("--group-by", "("), r"group_by must be 'folder' or a regular expression, got '\('"),
        (("--group-by", "lot"), "group_by must find a label in the name of every image"),
        (
            ("--backbone", "resnet"),
            "backbone must be one of lite0, lite1, lite2 or the path of an .onnx file, got 'resnet'",
        ),
        (("--backbone", "none.onnx"), "backbone none.onnx needs none.onnx and its card none.json"),
        (("--bank-size", "0"), "bank_size must be a whole number of at least 1, got 0"),
        (("--threads", "-1"), "threads must be a whole number from 0 to 4096, got -1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(
    run: Any, arguments: Sequence[str], message: str, good_folder: Path, tmp_path: Path
) -> None:
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", *arguments)
    assert re.match(message, one_sentence(ran)), ran.err
    assert left(tmp_path) == []


def test_sets_of_images_that_cannot_be_used_are_one_sentence_and_leave_nothing(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "one", {"a.png": texture(0)})
    save(tmp_path / "same", {f"{name}.png": texture(0) for name in "abc"})
    save(tmp_path / "constant", {f"{level}.png": np.full((9, 9), level, np.uint8) for level in (0, 7, 9)})
    save(tmp_path / "depths", {"a.png": texture(0), "b.png": twelve_bit(1), "c.png": texture(2)})
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    expected = {
        "none": "none does not exist: check the path",
        "empty": "empty is empty: put images into it",
        "texts": "texts holds 1 other file but no images: ",
        "one/a.png": "a.png is one image where a folder of good ones is meant: give a folder",
        "one": "fit needs at least 3 good images, so that what good images have in common can be told without each",
        "same": "calibration needs good images of at least 3 independent things",
        "constant": "good images must show something, got 3 in which every pixel has the same level",
        "depths": "good images must all have one bit depth",
    }
    (tmp_path / "out").mkdir()
    for name, message in expected.items():
        ran = run("fit", tmp_path / name, "-o", tmp_path / "out" / "part.onnx", *FAST)
        assert message in one_sentence(ran), name
    assert left(tmp_path / "out") == []


def test_an_unreadable_image_stops_a_fit_unless_it_is_to_be_skipped(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "good", numbered(textures(9)))
    (tmp_path / "good" / "05.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    model = tmp_path / "part.onnx"
    sentence = one_sentence(run("fit", tmp_path / "good", "-o", model, *FAST))
    assert (
        "got 1 of 9 that cannot be read (remove or repair them, or use --skip-unreadable), the first: 05.png"
        in sentence
    )
    assert not model.exists()
    ran = run("fit", tmp_path / "good", "-o", model, "--skip-unreadable", *FAST)
    assert ran.code == 0
    assert "note: 1 image is left out, as not readable, the first: 05.png" in ran.err
    assert "learned from 8 good images" in ran.out


def test_a_place_that_cannot_be_written_is_found_before_the_work(
    run: Any, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the fit has begun")

    monkeypatch.setattr("onlygood.fitting.fit", never)
    assert "there is no folder" in one_sentence(run("fit", good_folder, "-o", tmp_path / "none" / "part.onnx"))
    assert "is a folder where a file is to be written" in one_sentence(run("fit", good_folder, "-o", tmp_path))


def test_a_full_disk_leaves_the_old_model(
    run: Any, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "part.onnx"
    model.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sentence = one_sentence(run("fit", good_folder, "-o", model, *FAST))
    assert sentence == f"{model} cannot be written: no space left on device: choose another place or make room"
    assert model.read_bytes() == b"old"
    assert left(tmp_path) == ["part.onnx"]


def test_a_model_that_fails_its_verification_is_not_written(
    run: Any, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onlygood._verification.TOLERANCE", -1.0)
    sentence = one_sentence(run("fit", good_folder, "-o", tmp_path / "part.onnx", *FAST))
    assert sentence.startswith("the finished model must give 00.png the raw score ")
    assert left(tmp_path) == []


def test_ctrl_c_leaves_nothing_and_exits_with_130(
    run: Any, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", *FAST)
    assert ran == (130, "", "onlygood: interrupted; nothing half-written was left\n")
    assert left(tmp_path) == []


def test_v_shows_where_an_error_arose(run: Any, tmp_path: Path) -> None:
    quiet = run("fit", tmp_path / "none", "-o", tmp_path / "part.onnx")
    loud = run("fit", tmp_path / "none", "-o", tmp_path / "part.onnx", "-v")
    assert "Traceback" not in quiet.err
    assert loud.err.startswith("Traceback (most recent call last):")
    assert loud.err.endswith(quiet.err)


def test_an_error_that_is_a_bug_is_one_line_too(run: Any, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("onlygood.graph.model_file.read_model_file", fail)
    ran = run("info", model_path)
    assert ran == (
        2,
        "",
        "onlygood: an error that should not happen, ZeroDivisionError: division by zero (run with -v and report it)\n",
    )
    assert "Traceback" in run("info", model_path, "-v").err


# inspect


def test_inspect_prints_a_table_and_exits_with_1_if_anything_is_anomalous(
    run: Any, model_path: Path, new_folder: Path
) -> None:
    ran = run("inspect", model_path, new_folder)
    assert (ran.code, ran.err) == (1, "")
    header, *rows, summary = ran.out.splitlines()
    assert header.split() == ["image", "verdict", "score", "p-value"]
    assert [row.split()[:2] for row in rows] == [["a.png", "good"], ["b.png", "ANOMALOUS"], ["lot/c.png", "good"]]
    inspect = onlygood.Inspector(model_path)
    for row in rows:
        name, _, score, p_value = row.split()
        result = inspect(new_folder / name)
        assert float(score) == pytest.approx(result.score, abs=1e-3)
        assert float(p_value) == pytest.approx(result.p_value, abs=1e-4)
    assert summary == "3 images: 1 anomalous, 2 good"


def test_inspect_exits_with_0_if_all_is_good(run: Any, model_path: Path, new_folder: Path) -> None:
    assert run("inspect", model_path, new_folder / "lot").code == 0
    assert run("inspect", model_path, new_folder / "a.png").code == 0
    assert run("inspect", model_path, new_folder / "b.png").code == 1


def test_inspect_with_json_prints_one_object_a_line_and_nothing_else(
    run: Any, model_path: Path, new_folder: Path
) -> None:
    ran = run("inspect", model_path, new_folder, "--json")
    assert (ran.code, ran.err) == (1, "")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [set(entry) for entry in found] == [
        {"name", "is_anomaly", "score", "p_value", "latency_ms", "regions", "differences"}
    ] * 3
    assert [(entry["name"], entry["is_anomaly"]) for entry in found] == [
        ("a.png", False),
        ("b.png", True),
        ("lot/c.png", False),
    ]
    inspect = onlygood.Inspector(model_path)
    assert [entry["score"] for entry in found] == [
        pytest.approx(inspect(new_folder / entry["name"]).score, rel=1e-4, abs=1e-4) for entry in found
    ]


def test_inspect_at_another_rate_says_which_and_what_is_guaranteed_and_leaves_the_file(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    content = model_path.read_bytes()
    ran = run("inspect", model_path, new_folder, "--false-alarm-rate", 0.01, "--report", tmp_path / "a.html")
    said, guarantee, needed, header, *rows, _ = ran.out.splitlines()
    assert said == (
        "This run uses the threshold for a false-alarm rate of 0.01; the model file, which asks for 0.1, stays as it "
        "is."
    )
    assert guarantee.startswith("At most 0.0589 of good images will be called anomalous (approximate, by leave-one-out")
    assert needed.startswith("The rate asked for, 0.01, needs at least 99 images to calibrate with, got 16")
    assert header.split() == ["image", "verdict", "score", "p-value"]
    inspect = onlygood.Inspector(model_path, false_alarm_rate=0.01)
    for row in rows:
        name, _, score, _ = row.split()
        assert float(score) == pytest.approx(inspect(new_folder / name).score, abs=1e-3)
    assert "guaranteed false-alarm rate of 5.9%" in (tmp_path / "a.html").read_text()
    assert model_path.read_bytes() == content


def test_inspect_at_another_rate_keeps_stdout_for_json(run: Any, model_path: Path, new_folder: Path) -> None:
    ran = run("inspect", model_path, new_folder, "--json", "--false-alarm-rate", 0.5)
    assert [json.loads(line)["name"] for line in ran.out.splitlines()] == ["a.png", "b.png", "lot/c.png"]
    assert ran.err.startswith("note: This run uses the threshold for a false-alarm rate of 0.5;")
    assert len(ran.err.splitlines()) == 2


@pytest.mark.parametrize("rate", ["0", "1", "100%", "-0.1"])
def test_inspect_at_a_rate_that_is_none_is_one_sentence(
    run: Any, model_path: Path, new_folder: Path, rate: str
) -> None:
    ran = run("inspect", model_path, new_folder, f"--false-alarm-rate={rate}")
    assert one_sentence(ran).startswith("the false-alarm rate must be between 0 and 1, both excluded")


def test_images_alone_get_the_verdicts_that_they_get_together(run: Any, model_path: Path, new_folder: Path) -> None:
    def lines(*arguments: object) -> dict[str, tuple[float, float]]:
        found = map(json.loads, run("inspect", model_path, *arguments, "--json").out.splitlines())
        return {entry["name"]: (entry["score"], entry["p_value"]) for entry in found}

    together = lines(new_folder)
    for threads in (1, 4):
        assert lines(new_folder, "--threads", threads) == together
    for name, (score, p_value) in together.items():
        ((alone_score, alone_p_value),) = lines(new_folder / name).values()
        assert alone_score == pytest.approx(score, rel=1e-4, abs=1e-4)
        assert alone_p_value == p_value


def test_inspect_goes_on_past_an_image_that_cannot_be_read_and_exits_with_2(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(new_folder, tmp_path / "new")
    (tmp_path / "new" / "aa.png").write_bytes((new_folder / "a.png").read_bytes()[:200])
    save(tmp_path / "new", {"deep.png": twelve_bit(0)})
    ran = run("inspect", model_path, tmp_path / "new")
    assert ran.code == 2
    assert [line.split()[0] for line in ran.out.splitlines()[1:-1]] == ["a.png", "b.png", "lot/c.png"]
    assert ran.out.splitlines()[-1] == "5 images: 1 anomalous, 2 good, 2 not readable"
    damaged, deep = ran.err.splitlines()
    assert damaged.startswith("onlygood: aa.png ")
    assert deep.startswith("onlygood: deep.png has 16 bits a channel, the model takes 8")

    ran = run("inspect", model_path, tmp_path / "new", "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 2
    assert [entry["name"] for entry in found] == ["a.png", "aa.png", "b.png", "deep.png", "lot/c.png"]
    assert [entry for entry in found if "error" in entry] == [
        {"name": "aa.png", "error": damaged.removeprefix("onlygood: ")},
        {"name": "deep.png", "error": deep.removeprefix("onlygood: ")},
    ]


def test_inspect_takes_several_folders_and_images_and_names_them_apart(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(new_folder, "one")
    shutil.copytree(new_folder, "two")
    ran = run("inspect", model_path, "one", "two/lot", "two/b.png", "--heatmaps", "maps", "--json")
    names = [json.loads(line)["name"] for line in ran.out.splitlines()]
    assert names == ["one/a.png", "one/b.png", "one/lot/c.png", "two/lot/c.png", "two/b.png"]
    assert left(tmp_path / "maps") == sorted(name.replace(".png", "_heatmap.png") for name in names)


def test_heat_maps_are_images_beside_their_maps_under_the_images_names(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(new_folder, tmp_path / "new")
    pages = [Image.fromarray(texture(100)), Image.fromarray(with_defect(texture(101)))]
    pages[0].save(tmp_path / "new" / "stack.tif", save_all=True, append_images=pages[1:])
    ran = run("inspect", model_path, tmp_path / "new", "--heatmaps", tmp_path / "maps" / "today")
    assert ran.code == 1
    assert [line.split()[0] for line in ran.out.splitlines()[1:-1]] == [
        *("a.png", "b.png", "lot/c.png", "stack.tif#1", "stack.tif#2"),
    ]
    maps = tmp_path / "maps" / "today"
    stack = ["stack.tif#1_heatmap.png", "stack.tif#2_heatmap.png"]
    assert left(maps) == ["a_heatmap.png", "b_heatmap.png", "lot/c_heatmap.png", *stack]
    drawn = {name: np.asarray(Image.open(maps / name)).astype(int) for name in left(maps)}
    for name, sheet in drawn.items():
        assert sheet.shape == (96, 2 * 96 + 4, 3), name
    changed = {name: np.abs(sheet[:, :96] - sheet[:, 100:]).mean() for name, sheet in drawn.items()}
    assert min(changed["b_heatmap.png"], changed[stack[1]]) > 3 * changed["a_heatmap.png"]
    np.testing.assert_array_equal(drawn["a_heatmap.png"][:, :96, 0], np.asarray(Image.open(new_folder / "a.png")))


def test_heat_maps_stay_below_their_folder_and_apart(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here/up", "up", "here/work"):
        save(tmp_path / place, {"a.png": texture(1)})
    monkeypatch.chdir(tmp_path / "here" / "work")
    before = left(tmp_path)
    ran = run("inspect", model_path, "../up", "../../up", tmp_path / "up", ".", "--heatmaps", "maps")
    assert ran.code == 0
    made = sorted(set(left(tmp_path)) - set(before))
    assert len(made) == 4
    assert all(name.startswith("here/work/maps/") for name in made)


def test_a_place_where_heat_maps_cannot_be_written_is_one_sentence(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "maps").write_bytes(b"a file")
    sentence = one_sentence(run("inspect", model_path, new_folder, "--heatmaps", tmp_path / "maps"))
    assert sentence.startswith(f"{tmp_path / 'maps'} cannot be written: file exists")


def test_names_that_look_like_options_or_are_no_text_can_be_inspected(
    run: Any, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = ["--json", "-v.png", "a b.png", "#1.png", "\u00e4\u4e2d.png", "100%.png", os.fsdecode(b"latin\xe4.png")]
    data = save(tmp_path / "one", {"a.png": texture(100)}) / "a.png"
    for name in odd:
        try:
            (tmp_path / name).write_bytes(data.read_bytes())
        except OSError:  # some file systems take text only
            odd.remove(name)
    for name in odd:
        ran = run("inspect", model_path, "--", name)
        assert (ran.code, ran.err) == (0, ""), name
        assert ran.out.splitlines()[1].startswith(name.encode(errors="backslashreplace").decode()), name
        ran = run("inspect", "--json", "--heatmaps", "maps", "--", model_path, name)
        assert json.loads(ran.out)["name"] == name
    (tmp_path / "-").write_bytes(data.read_bytes())  # by itself, it stands for standard input
    assert run("inspect", model_path, "./-").out.splitlines()[1].startswith("- ")
    assert len(left(tmp_path / "maps")) == len(odd)


def test_models_that_cannot_be_used_are_one_sentence(run: Any, new_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08\x12\x08onlygood:\xff")
    image = new_folder / "a.png"
    for model, message in {
        tmp_path / "none.onnx": "does not exist: fit one with `onlygood fit`",
        tmp_path: "a model must be a file, got the folder",
        tmp_path / "cut.onnx": "must be an ONNX file, got 14 bytes that are not one or are cut short",
        image: "must be an ONNX file",
    }.items():
        for command in (("inspect", model, image), ("info", model)):
            sentence = one_sentence(run(*command))
            assert message in sentence
            assert str(model) in sentence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "none does not exist"),
        ((".",), r"\. is empty: put images into it"),
        (("good.png", "--threads", "-1"), "threads must be 0"),
        (("good.png", "good.png", "--threads", "-1"), "threads must be 0"),
        (("good.png", "--provider", "abacus"), "the provider must be one that"),
        (("good.png", "--max-pixels", "0"), "max_pixels must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_inspected_is_one_sentence(
    run: Any, model_path: Path, arguments: Sequence[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "good.png" in arguments:
        save(tmp_path, {"good.png": texture(100)})
    ran = run("inspect", model_path, *arguments)
    assert ran.code == 2
    assert re.search(message, ran.err.splitlines()[-1]), ran.err
    assert "should not happen" not in ran.err


def test_the_limits_hold_for_each_image(run: Any, model_path: Path, new_folder: Path) -> None:
    ran = run("inspect", model_path, new_folder, "--max-pixels", 9000)
    assert ran.code == 2
    assert ran.err.count("and at most 9,000 are read") == 3


# info


def test_info_says_what_the_file_is_and_guarantees(run: Any, model_path: Path, model: onlygood.Model) -> None:
    ran = run("info", model_path)
    assert (ran.code, ran.err) == (0, "")
    said = dict(line.split(":", 1) for line in ran.out.splitlines())
    wanted = ["model", "format", "method", "backbone", "takes", "made from", "made with", "guarantee", "updates"]
    assert list(said) == wanted
    assert said["model"].strip() == str(model_path)
    assert said["method"].strip() == (
        "patch: memory banks of 256 x 304 of patches (stage4 + stage5), 300 x 64 of patches (stage1 + stage2), "
        "256 x 152 of patches (stage2 + stage4), 64 x 304 of regions (stage4 + stage5)"
    )
    assert said["takes"].strip() == "uint8, grey, any size, levels 0 to 255, resized to 64 x 64"
    assert said["made from"].strip().startswith("16 good images, 96 x 96 pixels, digest ")
    assert said["guarantee"].strip() == " ".join(model.guarantee.sentences)


def test_info_with_json_prints_the_metadata(run: Any, model_path: Path, model: onlygood.Model) -> None:
    ran = run("info", model_path, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == model.metadata.to_dict()


def test_version(run: Any) -> None:
    assert run("--version") == (0, f"onlygood {onlygood.__version__}\n", "")


def test_an_earlier_runs_heat_maps_are_not_inspected(run: Any, model_path: Path, tmp_path: Path) -> None:
    save(tmp_path, {"a.png": texture(90)})
    for _ in range(2):
        ran = run("inspect", model_path, tmp_path, "--heatmaps", tmp_path / "maps", "--json")
        assert [json.loads(line)["name"] for line in ran.out.splitlines()] == ["a.png"]


def test_a_full_disk_behind_the_standard_output_is_one_sentence(model_path: Path) -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("needs /dev/full")
    with full.open("w") as out:
        ran = subprocess.run(
            [sys.executable, "-m", "onlygood", "info", model_path], stdout=out, stderr=subprocess.PIPE, text=True
        )
    assert ran.returncode == 2
    assert ran.stderr.startswith("onlygood: the standard output cannot be written: no space left on device")
    assert "Traceback" not in ran.stderr


def test_files_that_are_passed_over_are_mentioned(run: Any, model_path: Path, tmp_path: Path) -> None:
    save(tmp_path, {"a.png": texture(90)})
    (tmp_path / "labels.csv").write_text("a.png,good")
    ran = run("inspect", model_path, tmp_path, "--json")
    assert len(ran.out.splitlines()) == 1
    assert ran.err == f"note: 1 other file is not looked at in {tmp_path}: labels.csv.\n"
