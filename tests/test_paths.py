"""Paths that are empty, as of a variable that is not set: never the folder that one happens to be in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import onlygood
from onlygood.errors import ImageError, ModelFileError, SettingError, WriteError
from textures import numbered, save, textures

EMPTY = "a path must not be empty, got '': give a file or a folder, '.' for the one that you are in"
MODEL = "part.onnx"


@pytest.fixture(autouse=True)
def in_a_folder_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: onlygood.Model) -> None:
    """Where an empty path would find everything that it needs."""
    monkeypatch.chdir(save(tmp_path, numbered(textures(8))))
    model.save(MODEL)


@pytest.mark.parametrize(
    ("error", "use"),
    [
        (SettingError, lambda: onlygood.fit("")),
        (SettingError, lambda: onlygood.fit("", golden=True)),
        (SettingError, lambda: onlygood.fit(".", method=onlygood.Doc(reference=""))),
        (SettingError, lambda: onlygood.fit(".", method=onlygood.DeepSvdd(), checkpoint="")),
        (SettingError, lambda: onlygood.calibrate(MODEL, "")),
        (SettingError, lambda: onlygood.calibrate(MODEL, ["", "."])),
        (SettingError, lambda: onlygood.Inspector(MODEL).map("")),
        (SettingError, lambda: onlygood.evaluate(MODEL, "")),
        (SettingError, lambda: onlygood.audit("")),
        (SettingError, lambda: onlygood.audit(["", "."])),
        (SettingError, lambda: onlygood.explore(MODEL, "")),
        (SettingError, lambda: onlygood.explore(MODEL, [""])),
        (SettingError, lambda: onlygood.explore(MODEL, ["."], reference="")),
        (SettingError, lambda: onlygood.compare("")),
        (ModelFileError, lambda: onlygood.Inspector("")),
        (ModelFileError, lambda: onlygood.evaluate("", ".")),
        (ImageError, lambda: onlygood.read_image("")),
        (ImageError, lambda: onlygood.Inspector(MODEL)("")),
        (WriteError, lambda: onlygood.calibrate(MODEL, false_alarm_rate=0.2).save("")),
        (WriteError, lambda: onlygood.compare(".", models="")),
    ],
)
def test_an_empty_path_is_refused(error: type[Exception], use: Callable[[], Any]) -> None:
    with pytest.raises(error) as caught:
        use()
    assert str(caught.value) == EMPTY


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("gone", "gone does not exist: check the path"),
        ("C:/gone", "C:/gone does not exist: check the path"),
        ("~/gone", "~/gone does not exist: write the home folder out, as ~ stands for it in a shell alone"),
        ("s3://b/gone", "s3://b/gone is an address where a path is meant: copy it to this machine, and give its path"),
        (
            "https:/x/gone",
            "https:/x/gone is an address where a path is meant: copy it to this machine, and give its path",
        ),
        ("file:///gone", "file:///gone is an address where a path is meant: leave out file://"),
    ],
)
def test_a_path_that_leads_nowhere_is_named_as_what_it_is(path: str, sentence: str) -> None:
    for use in (onlygood.read_image, onlygood.fit, lambda each: onlygood.evaluate(MODEL, each)):
        with pytest.raises(onlygood.OnlygoodError) as caught:
            use(path)
        assert str(caught.value) == sentence


def test_what_is_no_path_is_refused_with_what_is() -> None:
    uses: list[Callable[[Any], Any]] = [
        lambda each: onlygood.evaluate(MODEL, each),
        onlygood.compare,
        onlygood.calibrate(MODEL, false_alarm_rate=0.2).save,
    ]
    for use in uses:
        with pytest.raises(onlygood.OnlygoodError) as caught:
            use(["good", "hole"])
        assert str(caught.value) == "a path must be text or a pathlib.Path, got list: give one file or folder"


def test_a_model_is_not_saved_as_a_folder() -> None:
    for folder in (".", ".."):
        with pytest.raises(WriteError, match="is a folder where a file is to be written: add a file name"):
            onlygood.calibrate(MODEL, false_alarm_rate=0.2).save(folder)


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        (["audit", ""], "GOOD"),
        (["roi", "", "-o", "roi.png"], "GOOD"),
        (["roi", ".", "-o", "roi.png", "--from", ""], "--from"),
        (["audit", ".", "-o", ""], "--output"),
        (["audit", ".", "--report", ""], "--report"),
        (["fit", "", "-o", "new.onnx"], "GOOD"),
        (["fit", ".", "-o", ""], "--output"),
        (["fit", ".", "-o", "new.onnx", "--report", ""], "--report"),
        (["inspect", MODEL, ""], "IMAGES"),
        (["inspect", MODEL, ".", ""], "IMAGES"),
        (["inspect", "", "."], "MODEL"),
        (["inspect", MODEL, ".", "--heatmaps", ""], "--heatmaps"),
        (["inspect", MODEL, ".", "--heatmaps="], "--heatmaps"),
        (["evaluate", MODEL, ""], "TEST"),
        (["explore", MODEL, "", "-o", "map.html"], "FOLDER"),
        (["explore", MODEL, ".", "-o", "map.html", "--reference", ""], "--reference"),
        (["compare", ""], "DATA"),
        (["calibrate", MODEL, "", "-o", "new.onnx"], "GOOD"),
        (["info", ""], "MODEL"),
    ],
)
def test_an_empty_value_on_a_command_line_is_refused(run: Any, line: list[str], subject: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    ran = run(*line)
    assert (ran.code, ran.out) == (2, "")
    first, second = ran.err.splitlines()
    assert first == f"onlygood: {subject} must not be empty, got '': give a value, or leave it out"
    assert second == f"`onlygood {line[0]} --help` shows what can be given."
    assert sorted(tmp_path.rglob("*")) == before
