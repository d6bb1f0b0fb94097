"""`onlygood update`: what it writes, what it prints where, and what it leaves as it is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import left, one_sentence
from textures import numbered, save, textures, with_defect


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six further good images."""
    return save(tmp_path_factory.mktemp("new"), numbered(textures(6, start=900)))


@pytest.fixture
def part(model_path: Path, tmp_path: Path) -> Path:
    """A model file that a test may change."""
    path = tmp_path / "part.onnx"
    shutil.copy(model_path, path)
    return path


def test_a_new_file_is_written_and_the_old_one_stays(run: Any, part: Path, images: Path, tmp_path: Path) -> None:
    before = part.read_bytes()
    ran = run("update", part, "--add", images, "--name", "lot-2", "-o", tmp_path / "new.onnx")
    assert ran.code == 0
    new = onlygood.Inspector(tmp_path / "new.onnx").metadata
    first, *others = ran.out.splitlines()
    assert first.startswith(f"{tmp_path / 'new.onnx'}: Update 1 (lot-2) of ")
    assert "6 good images added (digest " in first and "22 good images since; before, the threshold was " in first
    assert others == new.guarantee.sentences
    assert ran.err.splitlines()[0].startswith("note: The model before calls ")
    assert part.read_bytes() == before
    assert left(tmp_path) == ["new.onnx", "part.onnx"]


def test_without_an_output_the_model_itself_is_replaced(run: Any, part: Path, images: Path, tmp_path: Path) -> None:
    assert run("update", part, "--add", images, "-q").code == 0
    assert onlygood.Inspector(part).metadata.good_images.count == 22
    assert run("update", part, "--remove", "update:1", "-q").code == 0
    metadata = onlygood.Inspector(part).metadata
    assert metadata.good_images.count == 16
    assert [(each.added, each.removed) for each in metadata.updates] == [(6, 0), (0, 6)]
    assert left(tmp_path) == ["part.onnx"]
    said = run("info", part)
    assert "update:    Update 1 of " in said.out and "6 good images taken out (digest " in said.out
    assert "updates:   can be updated: keeps " in said.out
    assert len(json.loads(run("info", part, "--json").out)["updates"]) == 2


def refused(run: Any, part: Path, *arguments: Any) -> str:
    before = part.read_bytes()
    sentence = one_sentence(run("update", part, *arguments))
    assert part.read_bytes() == before
    return sentence


def test_whatever_is_refused_leaves_the_file_as_it_was(run: Any, part: Path, images: Path, tmp_path: Path) -> None:
    bad = save(tmp_path / "others", numbered([with_defect(image) for image in textures(5, start=40)]))
    assert refused(run, part).startswith("update needs images to add or to remove, got neither")
    assert "does not exist" in refused(run, part, "--add", tmp_path / "nowhere")
    assert "got 5 of 5 further images that it calls anomalous" in refused(run, part, "--add", bad)
    assert "whose pixels are not among those" in refused(run, part, "--remove", images)
    assert "which it has never learned from" in refused(run, part, "--remove", "nowhere.png")
    assert "it has update:0" in refused(run, part, "--remove", "update:7")
    assert "there is no folder" in refused(run, part, "--add", images, "-o", tmp_path / "no" / "new.onnx")
    assert left(tmp_path / "others") == [f"{number:02}.png" for number in range(5)]


def test_the_second_of_two_updates_at_once_says_so(
    run: Any, part: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one writes the file while this one computes."""
    from onlygood import updating

    real = updating.update

    def slow(*arguments: Any, **keywords: Any) -> Any:
        found = real(*arguments, **keywords)
        part.write_bytes(part.read_bytes() + b"")
        onlygood.update(part, images / "00.png").save(part)
        return found

    monkeypatch.setattr(updating, "update", slow)
    monkeypatch.setattr(onlygood, "update", real)
    sentence = one_sentence(run("update", part, "--add", images))
    assert sentence.startswith(f"{part} must be as it was when the update began, got a file that was written since")
    assert onlygood.Inspector(part).metadata.good_images.count == 17


def test_a_signed_model_stays_signed_and_the_new_one_is_not(run: Any, part: Path, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    assert run("sign", "--new-key", tmp_path / "key.pem").code == 0
    assert run("sign", part, "--key", tmp_path / "key.pem").code == 0
    key = next(path for path in tmp_path.iterdir() if path.suffix == ".pub")
    ran = run("update", part, "--add", images, "-o", tmp_path / "new.onnx", "--require-signature", key)
    assert ran.code == 0 and "sign it with `onlygood sign`" in ran.err
    assert "got one that is not signed" in one_sentence(
        run("update", tmp_path / "new.onnx", "--remove", "update:1", "--require-signature", key)
    )
