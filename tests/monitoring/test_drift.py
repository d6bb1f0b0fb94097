"""Drift over images: their order, what cannot be inspected, going on from a state, and what is refused."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.errors import FolderError, SettingError, WriteError
from textures import numbered, save, texture, textures


@pytest.fixture(scope="module")
def known(model: onlygood.Model) -> onlygood.CalibratedModel:
    """A model with 30 calibration scores of images that it has not seen."""
    return onlygood.calibrate(model, textures(30, start=5000))


def stream(folder: Path, *, stable: int, changed: int) -> Path:
    """Images as a line gives them; later ones are 60 levels brighter."""
    images = {f"frame_{number + 1}.png": texture(6000 + number) for number in range(stable + changed)}
    for number in range(stable, stable + changed):
        name = f"frame_{number + 1}.png"
        images[name] = np.clip(images[name].astype(int) + 60, 0, 255).astype(np.uint8)
    return save(folder, images)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stream(tmp_path_factory.mktemp("line"), stable=60, changed=30)


def test_numbers_in_names_give_the_order(known: onlygood.CalibratedModel, changed: Path) -> None:
    """By their letters, frame_100 would come before frame_9, and the change would be everywhere."""
    result = onlygood.drift(known, changed, threads=1)
    test = onlygood.DriftTest(known)
    inspector = onlygood.Inspector(known, with_map=False)
    for number in range(1, 91):
        test.add(inspector(changed / f"frame_{number}.png"), name=f"frame_{number}.png")
    assert result == test.result
    assert result.is_drift
    assert result.change is not None
    assert (result.change.kind, abs(result.change.start - 61) < 8) == ("higher", True)
    assert result.change.start_name == f"frame_{result.change.start}.png"


def test_times_of_writing_give_the_order_that_is_asked_for(known: onlygood.CalibratedModel, tmp_path: Path) -> None:
    save(tmp_path, {f"{name}.png": texture(7000 + number) for number, name in enumerate("cab")})
    for number, name in enumerate("cab"):
        os.utime(tmp_path / f"{name}.png", (1000.0 + number, 1000.0 + number))
    onlygood.drift(known, tmp_path, order="time", state=tmp_path / "state.json", threads=1)
    assert onlygood.DriftTest.load(tmp_path / "state.json").last_name == "b.png"
    onlygood.drift(known, tmp_path, order="name", state=tmp_path / "other.json", threads=1)
    assert onlygood.DriftTest.load(tmp_path / "other.json").last_name == "c.png"


def test_images_in_memory_keep_their_order_and_names(known: onlygood.CalibratedModel, tmp_path: Path) -> None:
    images = (each for each in [texture(1), onlygood.NamedImage("named", texture(2)), texture(3)])
    assert onlygood.drift(known, images, state=tmp_path / "s.json", threads=1).images == 3
    assert onlygood.DriftTest.load(tmp_path / "s.json").last_name == "image 2"


def test_runs_go_on_from_one_another(known: onlygood.CalibratedModel, changed: Path, tmp_path: Path) -> None:
    whole = onlygood.drift(known, changed, state=tmp_path / "whole.json", false_drift_rate=0.02, threads=1)
    state = tmp_path / "parts.json"
    for first, last in ((1, 40), (41, 70), (71, 90)):
        paths = [str(changed / f"frame_{number}.png") for number in range(first, last + 1)]
        images = [onlygood.NamedImage(Path(path).name, path) for path in paths]
        rate = 0.02 if first == 1 else None
        part = onlygood.drift(known, images, state=state, false_drift_rate=rate, threads=1)
        assert not part.notes
    assert part == whole
    assert state.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_images_that_come_again_are_noted(known: onlygood.CalibratedModel, changed: Path, tmp_path: Path) -> None:
    save(tmp_path / "new", numbered(textures(3, start=8000)))
    onlygood.drift(known, tmp_path / "new", state=tmp_path / "s.json", threads=1)
    again = onlygood.drift(known, tmp_path / "new", state=tmp_path / "s.json", threads=1)
    assert again.notes == (
        "02.png, the last image of the run before, is among these: give new images alone, or those of earlier runs "
        "count again.",
    )
    assert again.images == 6


def test_images_of_another_kind_are_noted(known: onlygood.CalibratedModel, tmp_path: Path) -> None:
    """That may be what has changed."""
    save(tmp_path, {"1.png": texture(1), "2.png": texture(2, size=(200, 96))})
    (note,) = onlygood.drift(known, tmp_path, threads=1).notes
    assert note.startswith("1 of 2 images differs in kind from all good ones, so that scores")


def test_what_cannot_be_inspected_is_named_and_gone_past(known: onlygood.CalibratedModel, tmp_path: Path) -> None:
    save(tmp_path, {"1.png": texture(1), "3.png": texture(3)})
    (tmp_path / "2.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((96, 96), dtype=np.uint16)).save(tmp_path / "4.png")
    result = onlygood.drift(known, tmp_path, threads=1)
    assert result.images == 2
    assert [name for name, _ in result.unreadable] == ["2.png", "4.png"]
    assert repr(result) == "<Drift: no drift in 2 images; 2 not readable>"
    assert [each["name"] for each in result.to_dict()["unreadable"]] == ["2.png", "4.png"]


def test_no_image_that_can_be_inspected_is_an_error_and_leaves_no_state(
    known: onlygood.CalibratedModel, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(FolderError, match="is empty: put images into it"):
        onlygood.drift(known, tmp_path / "in", threads=1)
    (tmp_path / "in" / "1.png").write_bytes(b"no image")
    with pytest.raises(FolderError, match="needs at least one image that this model can inspect, got 1 that it cannot"):
        onlygood.drift(known, tmp_path / "in", state=tmp_path / "s.json", threads=1)
    with pytest.raises(FolderError, match="needs at least one image that this model can inspect, got 0"):
        onlygood.drift(known, [], threads=1)
    assert not (tmp_path / "s.json").exists()


def test_what_cannot_be_asked_for_is_refused(known: onlygood.CalibratedModel, changed: Path, tmp_path: Path) -> None:
    for settings, message in (
        ({"order": "tme"}, "order must be one of name, time, got 'tme': did you mean 'time'"),
        ({"baseline": 3}, "baseline must be 0 or at least 20, got 3"),
    ):
        with pytest.raises(SettingError, match=message):
            onlygood.drift(known, changed, threads=1, **settings)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="takes a folder or several images, got one ndarray: give a list"):
        onlygood.drift(known, texture(1), threads=1)
    with pytest.raises(WriteError, match="there is no folder"):
        onlygood.drift(known, changed, state=tmp_path / "none" / "s.json", threads=1)
    archive = tmp_path / "lot.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(changed / "frame_1.png", "frame_1.png")
    with pytest.raises(SettingError, match="an order by time needs files, got 1 image in an archive"):
        onlygood.drift(known, archive, order="time", threads=1)
    assert onlygood.drift(known, archive, threads=1).images == 1


def test_a_state_keeps_the_settings_that_it_was_begun_with(known: onlygood.CalibratedModel, tmp_path: Path) -> None:
    save(tmp_path / "new", {"1.png": texture(1)})
    run: Any = lambda **settings: onlygood.drift(  # noqa: E731
        known, tmp_path / "new", state=tmp_path / "s.json", threads=1, **settings
    )
    assert run(baseline=20).baseline == 20
    assert run().baseline_images == 2
    with pytest.raises(SettingError, match="baseline must be as the state was begun with, 20, got 0: leave it out"):
        run(baseline=0)
    with pytest.raises(SettingError, match=r"false_drift_rate must be as the state was begun with, 0.01, got 0.1"):
        run(false_drift_rate=0.1)
