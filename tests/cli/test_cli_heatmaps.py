"""Heat maps: their names, and a disk that has no room for them."""

import errno
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import left
from onlygood._printable import printable
from onlygood.cli.heatmaps import heatmap_paths
from textures import save, texture, with_defect


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("x.png", "x_heatmap.png"),
        ("x.PNG", "x_heatmap.png"),
        ("x.jpg", "x.jpg_heatmap.png"),
        ("x.jpg.png", "x.jpg_heatmap.png"),
        ("stack.tif#3", "stack.tif#3_heatmap.png"),
        ("lot 7/ä é 検.png", "lot 7/ä é 検_heatmap.png"),
        ("/data/new/x.png", "data/new/x_heatmap.png"),
        ("../../x.png", "(up)/(up)/x_heatmap.png"),
        ("camera-1/12:30:01.jpg", "camera-1/12_30_01.jpg_heatmap.png"),
        ('a<b>c"d|e?f*g\\h.png', "a_b_c_d_e_f_g_h_heatmap.png"),
        ("con/lot./aux .x/nul.png", "con_/lot._/aux .x/nul_heatmap.png"),
        ("line\nbreak\x1b[31m.png", "line_nbreak_x1b[31m_heatmap.png"),
        ("photo\u202egnp.jpg", "photo_u202egnp.jpg_heatmap.png"),
        (os.fsdecode(b"latin\xe4.png"), "latin_udce4_heatmap.png"),
    ],
)
def test_what_the_heat_map_of_an_image_is_called(name: str, path: str) -> None:
    assert heatmap_paths([name]) == {name: Path(path)}


@pytest.mark.parametrize(
    "names",
    [
        ["x.jpg", "x.jpg.png"],
        ["X.png", "x.png"],
        ["lot/x.png", "LOT/X.PNG"],
        ["\u00e4.png", "a\u0308.png"],
        ["(up)/x.png", "../x.png", "/(up)/x.png"],
        ["12:30.png", "12_30.png", "12|30.png"],
        ["\x1b.png", "\\x1b.png"],
        ["a" * 250 + ".png", "a" * 251 + ".png", "a" * 249 + ".jpg"],
    ],
)
def test_images_whose_heat_maps_would_be_called_the_same(names: list[str]) -> None:
    paths = heatmap_paths(names)
    assert len({unicodedata.normalize("NFC", str(path).casefold()) for path in paths.values()}) == len(names)
    assert heatmap_paths(reversed(names)) == paths, "whatever their order"


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=300), max_size=5))
def test_every_name_leads_to_a_file_that_can_be_written(names: list[str]) -> None:
    for path in heatmap_paths(names).values():
        assert not path.is_absolute()
        assert ".." not in path.parts
        for part in path.parts:
            assert 0 < len(os.fsencode(part)) <= 255
            assert part == printable(part)
            assert not set(part) & set('<>:"\\|?*')
        assert path.name.endswith("_heatmap.png")


@pytest.mark.parametrize("name", ["x" * 236 + ".png", "x" * 251 + ".png", "ü" * 120 + ".jpeg"])
def test_a_long_name_of_an_image_ends_nothing(name: str, run: Any, model_path: Path, tmp_path: Path) -> None:
    good = save(tmp_path / "one", {"a.png": texture(100)}) / "a.png"
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(good, new / name)
    shutil.copy(good, new / "z.png")
    ran = run("inspect", model_path, new, "--heatmaps", tmp_path / "maps", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [json.loads(line)["name"] for line in ran.out.splitlines()] == sorted([name, "z.png"])
    assert left(tmp_path / "maps") == sorted([heatmap_paths([name])[name].as_posix(), "z_heatmap.png"])


def test_images_are_not_taken_for_heat_maps_and_heat_maps_not_for_images(
    run: Any, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for lot in ("a", "b"):
        save(tmp_path / lot, {"1.png": texture(100), "more/2.png": texture(101)})

    def names(*line: str) -> list[str]:
        return [json.loads(each)["name"] for each in run("inspect", model_path, *line, "--json").out.splitlines()]

    # Beside the images, another run would inspect them, and one might be written over an image.
    for line, name in ((("a",), "1.png"), (("a/1.png",), "1.png"), (("b", "a"), "")):
        ran = run("inspect", model_path, *line, "--heatmaps", "a")
        if name:
            sentence = f"heat maps must go into a folder of their own, got a for that of {name}, which lies there: give"
            assert ran.err == f"onlygood: {sentence} another, such as {Path('a', 'heatmaps')}\n"
        else:  # no image lies where a heat map does: a/a/1_heatmap.png
            assert (ran.code, "a/1.png" in ran.out, "a/more/2.png" in ran.out) == (0, True, True)
    assert names("b", "--heatmaps", ".") == ["1.png", "more/2.png"], "a folder above them holds none of them"
    Path("1_heatmap.png").unlink()
    shutil.rmtree("more")
    ran = run("inspect", model_path, ".", "--heatmaps", "a")
    inspected = sorted(line.split()[0] for line in ran.out.splitlines()[1:-1])
    assert inspected == ["a/1.png", "a/more/2.png", "b/1.png", "b/more/2.png"]
    assert ran.err.startswith("note: 4 heat maps of an earlier run are left out of a.\n")


MISSING = "onlygood: a heat map is missing, and the verdicts go on: {} cannot be written: {}: choose another place or "


def test_a_heat_map_that_cannot_be_written_stops_no_verdict(
    run: Any, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = save(tmp_path / "new", {f"{at}.png": with_defect(texture(at)) for at in range(5)})
    keep, calls = os.fsync, []

    def fsync(number: int) -> None:
        calls.append(number)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(number)

    monkeypatch.setattr(os, "fsync", fsync)
    ran = run("inspect", model_path, new, "--heatmaps", tmp_path / "maps", "--threads", "1", "--json")
    assert ran.code == 2
    assert [json.loads(line)["is_anomaly"] for line in ran.out.splitlines()] == [True] * 5
    first, last = ran.err.splitlines()
    assert first == MISSING.format(tmp_path / "maps" / "2_heatmap.png", "no space left on device") + "make room"
    assert last == "onlygood: 3 heat maps could not be written, of which the first is named above"
    assert left(tmp_path / "maps") == ["0_heatmap.png", "1_heatmap.png"]


def test_one_heat_map_with_a_folder_in_its_way(run: Any, model_path: Path, new_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "maps" / "a_heatmap.png").mkdir(parents=True)
    ran = run("inspect", model_path, new_folder, "--heatmaps", tmp_path / "maps")
    assert ran.code == 2
    assert ran.out.splitlines()[-1] == "3 images: 1 anomalous, 2 good"
    way = tmp_path / "maps" / "a_heatmap.png"
    assert ran.err == (
        f"onlygood: a heat map is missing, and the verdicts go on: {way} is a folder where a file is to be written: "
        "add a file name\n"
    )
    assert left(tmp_path / "maps") == ["b_heatmap.png", "lot/c_heatmap.png"]


# In a name space of its own: a disk of 48 kB below the folder, which nobody else sees.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=48k small "$0" || exit 77
"$@"
code=$?
find "$0" -type f >&2
exit $code
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="only Linux mounts a disk for one process")
def test_inspection_on_a_disk_that_is_full_in_truth(model_path: Path, tmp_path: Path) -> None:
    new = save(tmp_path / "new", {f"{at}.png": with_defect(texture(at)) for at in range(12)})
    maps = tmp_path / "maps"
    maps.mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, str(maps)]
    command += [sys.executable, "-m", "onlygood", "inspect", str(model_path), str(new), "--heatmaps", str(maps)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode in (1, 77) and not ran.stdout:
        pytest.skip(f"no disk can be mounted here: {ran.stderr}")
    assert ran.returncode == 2
    assert ran.stdout.splitlines()[-1] == "12 images: 12 anomalous, 0 good"
    first, last, *written = ran.stderr.splitlines()
    assert first.startswith("onlygood: a heat map is missing, and the verdicts go on: ")
    assert ": no space left on device: " in first
    assert 0 < len(written) < 12
    assert last == f"onlygood: {12 - len(written)} heat maps could not be written, of which the first is named above"
    assert all(name.endswith("_heatmap.png") for name in written)
