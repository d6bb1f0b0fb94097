"""Names that others chose: what steers a terminal never reaches it."""

import json
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import onnx
import pytest

import onlygood
from onlygood.graph.model_file import pack
from textures import save, texture, with_defect

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")

ODD = ["a\nb.png", "c\x1b[31mred.png", "d\u202egnp.exe.png", "e\x9b2Jf.png", "g\u2028h.png", "i\r\tj.png"]
SHOWN = ["a\\nb.png", "c\\x1b[31mred.png", "d\\u202egnp.exe.png", "e\\x9b2Jf.png", "g\\u2028h.png", "i\\r\\tj.png"]


def assert_harmless(text: str) -> None:
    """That a terminal is shown lines, and nothing that steers it."""
    steering = [each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") and each != "\n"]
    assert not steering


def test_a_table_has_one_line_an_image(run: Any, model_path: Path, tmp_path: Path) -> None:
    save(tmp_path, {name: texture(100) for name in ODD})
    ran = run("inspect", model_path, tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert_harmless(ran.out)
    header, *lines, last = ran.out.splitlines()
    assert [line.split("  ")[0] for line in lines] == SHOWN
    assert {line.index("  good  ") for line in lines} == {header.index("  verdict")}, "columns stay in line"
    assert last == "6 images: 0 anomalous, 6 good"


def test_json_has_the_very_names_in_ascii(run: Any, model_path: Path, tmp_path: Path) -> None:
    save(tmp_path, {name: texture(100) for name in ODD})
    ran = run("inspect", model_path, tmp_path, "--json")
    assert ran.out.isascii()
    assert_harmless(ran.out)
    assert [json.loads(line)["name"] for line in ran.out.splitlines()] == ODD


def test_errors_and_notes_are_one_line(run: Any, model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x\x1b]0;title\x07\ny"
    save(folder, {"good.png": texture(100)})
    (folder / "bad\n\u2066.png").write_bytes(b"no image")
    (folder / "other\u202e\n.txt").write_bytes(b"text")
    ran = run("inspect", model_path, folder)
    assert ran.code == 2
    assert_harmless(ran.out + ran.err)
    note, error = ran.err.splitlines()
    assert "x\\x1b]0;title\\x07\\ny" in note and "other\\u202e\\n.txt" in note
    assert error.startswith("onlygood: bad\\n\\u2066.png ")
    for line in (
        ("inspect", model_path, folder / "none\n\x1b[2J"),
        ("inspect", folder / "none\n\x1b[2J.onnx", folder),
        ("info", folder / "none\n\x1b[2J.onnx"),
        ("fit", folder / "none\n\x1b[2J", "-o", tmp_path / "part.onnx"),
        ("evaluate", model_path, folder / "none\n\x1b[2J"),
        ("fit", folder, "-o", tmp_path / "none\n\x1b[2J" / "part.onnx"),
    ):
        ran = run(*line)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), line
        assert "none\\n\\x1b[2J" in ran.err
        assert_harmless(ran.err)
    ran = run("nonsense\x1b[2J\n")
    assert ran.code == 2
    assert_harmless(ran.err)
    assert ran.err.count("\n") == 2


def test_names_of_defects_and_what_a_model_file_says(run: Any, model: onlygood.Model, tmp_path: Path) -> None:
    described = model.metadata.replaced(notes=("a note\x1b[31m\n\u202eof a stranger",))
    path = tmp_path / "part.onnx"
    path.write_bytes(pack(onnx.load_from_string(model.file.content), described).content)
    ran = run("info", path)
    assert ran.code == 0
    assert_harmless(ran.out)
    assert re.search(r"^note: +a note\\x1b\[31m\\n\\u202eof a stranger$", ran.out, re.MULTILINE)
    test = save(tmp_path / "test", {"good/a.png": texture(1), "cr\x1b[31mack\n/b.png": with_defect(texture(2))})
    ran = run("evaluate", path, test)
    assert ran.code == 0
    assert_harmless(ran.out + ran.err)
    rows = [line for line in ran.out.splitlines() if line.startswith("defect cr\\x1b[31mack\\n ")]
    assert len(rows) == 1
