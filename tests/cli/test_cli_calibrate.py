"""`onlygood calibrate`: what it writes, what it prints where, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import left, one_sentence
from onlygood.cli import make_parser
from textures import numbered, save, texture, textures


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 new good images in five lots."""
    named = {f"lot{number % 5}/{number:02}.png": texture(900 + number) for number in range(25)}
    return save(tmp_path_factory.mktemp("new"), named)


def test_without_images_the_scores_in_the_file_give_the_threshold(
    run: Any, model_path: Path, model: onlygood.Model, tmp_path: Path
) -> None:
    content = model_path.read_bytes()
    ran = run("calibrate", model_path, "--false-alarm-rate", 0.3, "-o", tmp_path / "new.onnx")
    expected = onlygood.calibrate(model, false_alarm_rate=0.3)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{tmp_path / 'new.onnx'}: threshold for a false-alarm rate of 0.3, from the 16 calibration scores in "
        f"{model_path}",
        *expected.guarantee.sentences,
    ]
    assert ran.err == f"note: {expected.notes[0]}\n"
    assert left(tmp_path) == ["new.onnx"]
    assert (tmp_path / "new.onnx").read_bytes() == expected.file.content
    assert model_path.read_bytes() == content


def test_images_give_the_threshold_and_the_rate_stays(run: Any, model_path: Path, images: Path, tmp_path: Path) -> None:
    ran = run("calibrate", model_path, images, "-o", tmp_path / "new.onnx")
    expected = onlygood.calibrate(model_path, images)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{tmp_path / 'new.onnx'}: threshold for a false-alarm rate of 0.1, from 25 new good images",
        *expected.guarantee.sentences,
    ]
    assert "(exact, by split conformal calibration on 25 good images that" in ran.out
    assert ran.err.splitlines() == [f"note: {note}" for note in expected.notes]
    assert (tmp_path / "new.onnx").read_bytes() == expected.file.content


def test_groups_and_several_folders(run: Any, model_path: Path, images: Path, tmp_path: Path) -> None:
    folders = [images / f"lot{number}" for number in range(4)]
    ran = run("calibrate", model_path, *folders, "-o", tmp_path / "new.onnx", "--group-by", "folder")
    assert "on 20 good images in 4 independent groups that" in ran.out
    assert "The rate asked for, 0.1, needs at least 9 independent groups of images" in ran.out


def test_info_says_from_what_the_threshold_comes(run: Any, model_path: Path, images: Path, tmp_path: Path) -> None:
    run("calibrate", model_path, images, "-o", tmp_path / "new.onnx", "--false-alarm-rate", 0.2)
    lines = run("info", tmp_path / "new.onnx").out.splitlines()
    digest = onlygood.Inspector(model_path).metadata.content_sha256[:12]
    assert (
        "threshold: Calibrated again for a false-alarm rate of 0.2 (before: 0.1) from 25 new good images; the model "
        f"before has the digest {digest}."
    ) in lines
    assert not [line for line in run("info", model_path).out.splitlines() if line.startswith("threshold")]
    described = json.loads(run("info", tmp_path / "new.onnx", "--json").out)
    assert described["recalibrations"][0]["from"] == "new good images"


def test_v_prints_the_metadata_and_files_passed_over_are_mentioned(run: Any, model_path: Path, tmp_path: Path) -> None:
    save(tmp_path / "in", numbered(textures(3, start=900)))
    (tmp_path / "in" / "notes.txt").write_text("lens changed")
    ran = run("calibrate", model_path, tmp_path / "in", "-o", tmp_path / "new.onnx", "-v")
    assert "1 other file is not looked at in" in ran.err
    assert json.loads(ran.err[ran.err.index("{") :]) == onlygood.Inspector(tmp_path / "new.onnx").metadata.to_dict()


def test_the_output_has_to_be_named(run: Any, model_path: Path) -> None:
    ran = run("calibrate", model_path, "--false-alarm-rate", 0.2)
    assert (ran.code, ran.out) == (2, "")
    assert "calibrate needs -o/--output, got none" in ran.err


def test_options_have_the_names_of_the_others() -> None:
    options = make_parser().parse_args(["calibrate", "part.onnx", "-o", "new.onnx"])
    assert (options.images, options.false_alarm_rate, options.group_by) == ([], None, None)
    assert (options.provider, options.threads, options.max_pixels) == ("cpu", 0, 100_000_000)


def test_what_cannot_be_calibrated_is_one_sentence_and_leaves_nothing(
    run: Any, model_path: Path, good_folder: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def refused(*arguments: object) -> str:
        sentence = one_sentence(run("calibrate", *arguments, "-o", out / "new.onnx"))
        assert left(out) == []
        return sentence

    assert "needs a false-alarm rate, a threshold or new good images, got none" in refused(model_path)
    for rate in ("0", "1", "100%", "-0.1"):
        assert "must be between 0 and 1, both excluded" in refused(model_path, f"--false-alarm-rate={rate}")
        assert "must be between 0 and 1, both excluded" in refused(model_path, images, f"--false-alarm-rate={rate}")
    assert "does not exist: fit one" in refused(tmp_path / "none.onnx", "--false-alarm-rate", 0.1)
    assert "none does not exist" in refused(model_path, tmp_path / "none")
    assert "is empty: put images into it" in refused(model_path, out)
    assert "good images that the model has not seen" in refused(model_path, good_folder)
    assert "group_by and groups go with images" in refused(
        model_path, "--false-alarm-rate", 0.1, "--group-by", "folder"
    )
    torn = save(tmp_path / "torn", numbered(textures(2, start=900)))
    (torn / "b.png").write_bytes(b"no image")
    assert "got 1 of 3 that it cannot (remove or repair them), the first: b.png" in refused(model_path, torn)
    nowhere = run("calibrate", model_path, "--false-alarm-rate", 0.2, "-o", tmp_path / "none" / "new.onnx")
    assert "there is no folder" in one_sentence(nowhere)


def test_a_rate_that_needs_more_images_is_answered_with_what_is_guaranteed(
    run: Any, model_path: Path, tmp_path: Path
) -> None:
    ran = run("calibrate", model_path, "--false-alarm-rate", 1e-9, "-o", tmp_path / "new.onnx")
    assert ran.code == 0
    assert "At most 0.0589 of good images will be called anomalous" in ran.out
    assert "needs at least 999999999 images to calibrate with, got 16" in ran.out
