"""`onlygood explore` as people use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import left, one_sentence
from onlygood.cli.explore import MAX_IMAGES
from onlygood.errors import SettingError
from onlygood.exploration.explore import MAX_IMAGES as DEFAULT
from page_reader import check_page
from textures import numbered, save, textures


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    save(tmp_path / "shoes" / "sneaker", numbered(textures(5, start=700)))
    save(tmp_path / "shoes" / "boot", numbered(textures(3, start=720)))
    save(tmp_path / "others" / "cat", numbered(textures(2, start=740)))
    return tmp_path


def test_it_writes_one_page(run: Any, model_path: Path, folders: Path, tmp_path: Path) -> None:
    shoes = folders / "shoes"
    (shoes / "boot" / "torn.png").write_bytes(b"no image")
    (shoes / "boot" / "notes.txt").write_text("brown")
    page = tmp_path / "out" / "map.html"
    page.parent.mkdir()
    ran = run("explore", model_path, shoes / "sneaker", shoes / "boot", "--reference", folders / "others", "-o", page)
    assert ran.code == 0
    assert ran.out == f"{page}: 10 of 11 images in 3 folders, 1 not readable\n"
    assert "boot/torn.png is a text file" in ran.err and "notes.txt" in ran.err
    assert left(page.parent) == ["map.html"]
    labels = [
        entry.one("bdi").text
        for entry in check_page(page.read_bytes(), with_script=True).all("th", scope="row")
        if entry.all("bdi")
    ]
    assert labels == ["sneaker", "boot", "reference: cat"]


def test_the_python_function_is_the_same(model_path: Path, folders: Path) -> None:
    exploration = onlygood.explore(model_path, folders / "shoes", max_images=6, perplexity=2, seed=3)
    assert isinstance(exploration, onlygood.Exploration)
    assert exploration.after.points.shape == (6, 2)
    assert exploration.after.perplexity == 2
    assert [image.label for image in exploration.images] == [0, 0, 0, 1, 1, 1]
    assert [label.name for label in exploration.labels] == ["boot", "sneaker"]
    assert MAX_IMAGES == DEFAULT


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("{root}/none",), "{root}/none does not exist: check the path"),
        (("{root}/empty",), "{root}/empty is empty: put images into it"),
        (("{root}/others",), "a map needs at least 5 images that can be read, got 2: give more of them"),
        (
            ("{root}/shoes", "--perplexity", "8"),
            "perplexity must be at least 1 and below the number of images, 8, got 8: change it, or leave it out",
        ),
        (
            ("{root}/shoes", "--reference", "{root}/others/cat"),
            "reference images must lie in one sub-folder a class, got 2 of 2 in {root}/others/cat itself, such as "
            "00.png: make a sub-folder for each class, or give the folder above",
        ),
        (("{root}/shoes", "--max-images", "4"), "max_images must be a whole number of at least 5, got 4"),
        (
            ("{root}/shoes", "--backbone", "x.onnx"),
            "backbone goes with a model that trained the end of one, got one of method patch, which did not: leave it "
            "out",
        ),
        (("{root}/shoes", "--seed", "-1"), "seed must be a whole number from 0 to 4294967295, got -1"),
        (
            ("{root}/shoes", "-o", "{root}/map.png"),
            "a map must have a name that ends in .html, got '{root}/map.png': it is one page for any browser",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    run: Any, model_path: Path, folders: Path, options: tuple[str, ...], sentence: str
) -> None:
    (folders / "empty").mkdir()
    filled = [option.format(root=folders) for option in options]
    ran = run("explore", model_path, "-o", folders / "map.html", *filled)
    assert one_sentence(ran) == sentence.format(root=folders)
    assert not (folders / "map.html").exists()


def test_what_is_no_model_is_refused(run: Any, folders: Path) -> None:
    other = folders / "shoes" / "boot" / "00.png"
    sentence = one_sentence(run("explore", other, folders / "shoes", "-o", folders / "map.html"))
    assert sentence.startswith(f"the model {other} must be an ONNX file, got")


def test_images_of_which_too_few_can_be_read_are_refused(run: Any, model_path: Path, folders: Path) -> None:
    for path in (folders / "shoes" / "sneaker").iterdir():
        path.write_bytes(b"no image")
    sentence = one_sentence(run("explore", model_path, folders / "shoes", "-o", folders / "map.html"))
    assert sentence == "a map needs at least 5 images that can be read, got 3: give more of them"


def test_a_page_that_cannot_be_written_is_refused_first(run: Any, tmp_path: Path) -> None:
    sentence = one_sentence(run("explore", "none.onnx", "nowhere", "-o", tmp_path / "none" / "map.html"))
    assert "there is no folder" in sentence


def test_without_its_libraries_it_is_refused_with_the_line_that_installs_them(
    run: Any, monkeypatch: pytest.MonkeyPatch, model_path: Path, folders: Path
) -> None:
    missing = "jinja2"
    monkeypatch.setattr("onlygood._extras.find_spec", lambda name: None if name == missing else name)
    line = ("explore", model_path, folders / "shoes", "-o", folders / "map.html")
    install = "which is not installed: run pip install 'onlygood[report]'"
    assert one_sentence(run(*line)) == f"explore needs Jinja2, {install}"
    missing = "sklearn"
    assert one_sentence(run(*line)) == f"explore needs scikit-learn, {install}"


@pytest.mark.parametrize("seed", [1.5, True, "3", 2**32])
def test_seeds_that_cannot_be_used_are_refused(model_path: Path, folders: Path, seed: Any) -> None:
    with pytest.raises(SettingError, match="seed must be a whole number from 0 to 4294967295, got"):
        onlygood.explore(model_path, folders / "shoes", seed=seed)
