"""Which images the commands take: several sources, and what is said of what they leave out."""

import io
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import onlygood
from textures import save, texture


@pytest.fixture
def lots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for lot in range(2):
        save(tmp_path / f"lot{lot}", {f"{number}.png": texture(10 * lot + number) for number in range(4)})
    return tmp_path


def names_of(ran: Any) -> list[str]:
    return [json.loads(line)["name"] for line in ran.out.splitlines()]


def test_inspect_takes_folders_images_patterns_lists_and_archives(run: Any, model_path: Path, lots: Path) -> None:
    (lots / "list.txt").write_text("lot1/3.png\nlot0/0.png\n")
    with zipfile.ZipFile("parts.zip", "w") as opened:
        opened.write("lot0/1.png", "in/1.png")
    ran = run("inspect", model_path, "--json", "lot0/2.png", "lot*/3.png", "list.txt", "parts.zip")
    assert names_of(ran) == [
        *("lot0/2.png", "lot0/3.png", "lot1/3.png"),
        *("lot1/3.png", "lot0/0.png", "parts.zip/in/1.png"),
    ]
    scores = {each["name"]: each["score"] for each in map(json.loads, ran.out.splitlines())}
    ran = run("inspect", model_path, "--json", "lot0/1.png", "--report", "page.html", "--heatmaps", "maps")
    assert json.loads(ran.out)["score"] == scores["parts.zip/in/1.png"]
    assert run("inspect", model_path, "parts.zip", "--report", "zip.html", "--heatmaps", "maps").code < 2
    assert Path("zip.html").stat().st_size > 10_000


def test_paths_come_on_standard_input(run: Any, model_path: Path, lots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    pipe(b"lot0/0.png\0lot1/1.png\0")
    assert names_of(run("inspect", model_path, "--json", "-")) == ["lot0/0.png", "lot1/1.png"]
    pipe(b"lot0/0.png\n")
    assert names_of(run("inspect", model_path, "--json", "lot1", "-"))[-1] == "lot0/0.png"
    pipe(b"")
    ran = run("inspect", model_path, "-")
    assert (ran.code, ran.err) == (2, "onlygood: standard input must list at least one path, one a line, got none\n")
    ran = run("inspect", model_path, "-", "-")
    assert ran.err == "onlygood: paths can be read from standard input once, got - twice: leave one out\n"


def test_a_missing_path_among_several_is_reported_and_the_rest_goes_on(run: Any, model_path: Path, lots: Path) -> None:
    ran = run("inspect", model_path, "lot0/0.png", "gone.png", "lot1/0.png", "--json")
    assert (ran.code, names_of(ran)) == (2, ["lot0/0.png", "gone.png", "lot1/0.png"])
    assert ran.err == "onlygood: gone.png does not exist: check the path\n"
    assert json.loads(ran.out.splitlines()[1])["error"] == "gone.png does not exist: check the path"


def test_fit_takes_several_and_names_what_is_left_out(run: Any, lots: Path) -> None:
    save(lots / "more", {f"{number}.png": texture(50 + number) for number in range(4)})
    save(lots / "lot0" / "@eaDir", {"0.png": texture(1)})
    (lots / "lot1" / "scan.psd").write_bytes(b"x")
    ran = run(
        "fit",
        "lot0",
        "lot1",
        "more",
        "-o",
        "part.onnx",
        "--method",
        "knn",
        "--input-size",
        "64",
        "--group-by",
        "folder",
    )
    assert ran.code == 0, ran.err
    assert (
        "note: 1 folder is left out of lot0 as what a storage system keeps for itself (@eaDir), with 1 image."
        in ran.err
    )
    assert "note: 1 file in lot1 looks like images and is not read: scan.psd is a Photoshop document" in ran.err
    assert ran.out.startswith("part.onnx: learned from 12 good images")
    assert "3 independent groups" in " ".join(ran.out.split())


@pytest.mark.parametrize("command", [("fit",), ("calibrate", "{model}")])
def test_defects_below_a_folder_of_good_images_are_refused_with_what_to_give(
    run: Any, model_path: Path, lots: Path, command: tuple[str, ...]
) -> None:
    save(lots / "set/train/good", {"0.png": texture(1)})
    save(lots / "set/test/crack", {"0.png": texture(2)})
    line = [model_path if word == "{model}" else word for word in command]
    ran = run(*line, "set", "-o", "new.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"onlygood: {command[0]} needs good images alone, and below set there is what does not look so: test (test "
        "images, 1 image): give set/train/good\n"
    )
    assert not Path("new.onnx").exists()


def test_python_takes_a_sequence_of_folders(model_path: Path, lots: Path) -> None:
    inspector = onlygood.Inspector(model_path)
    found = list(inspector.map(["lot0", "gone", "lot1/0.png"]))
    assert [getattr(each, "name", None) for each in found] == [f"lot0/{number}.png" for number in range(4)] + [
        "gone",
        "lot1/0.png",
    ]
    assert isinstance(found[4], onlygood.ImageError)
    assert str(found[4]) == "gone does not exist: check the path"
