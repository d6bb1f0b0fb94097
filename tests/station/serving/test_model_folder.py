"""A folder of model files: each is served under its name, and what is written there takes its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onlygood._files import write_atomically
from onlygood.errors import SettingError
from onlygood.station.serving.folder import ModelFolder
from onlygood.station.serving.models import ServedModels
from onlygood.station.station_settings import Limits
from onlygood.station.store.store import Store
from shown import KNN, PATCH

DEADLINE_S = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def models(tmp_path: Path) -> Iterator[ServedModels]:
    store = Store(tmp_path / "data")
    yield ServedModels(store.models, Limits(), changed=lambda _: None)
    store.close()


def test_files_are_served_under_their_names_and_others_are_left_alone(folder, models):
    (folder / "part.onnx").write_bytes(PATCH)
    (folder / ".part.onnx.1234.part").write_bytes(PATCH[:10])
    (folder / ".hidden.onnx").write_bytes(PATCH)
    (folder / "notes.txt").write_text("no model")
    ModelFolder(folder, models).look()
    assert [each.name for each in models.all()] == ["part"]
    assert models.one("part").active.origin == "folder"


def test_a_file_that_is_replaced_is_served_as_the_next_version_and_once(folder, models):
    watched = ModelFolder(folder, models)
    (folder / "part.onnx").write_bytes(PATCH)
    watched.look()
    write_atomically(folder / "part.onnx", KNN)
    watched.look()
    watched.look()
    assert (models.one("part").active.number, models.one("part").versions) == (2, 2)
    assert models.get("part").inspector.metadata.method == "knn"


def test_a_broken_file_leaves_the_old_one_serving_and_says_so_until_it_is_mended(folder, models):
    watched = ModelFolder(folder, models)
    (folder / "part.onnx").write_bytes(PATCH)
    watched.look()
    write_atomically(folder / "part.onnx", KNN[:-500])
    watched.look()
    state = models.one("part")
    assert state.active.number == 1
    assert state.problem is not None
    assert "of part" in state.problem
    write_atomically(folder / "part.onnx", KNN)
    watched.look()
    assert (models.one("part").active.number, models.one("part").problem) == (2, None)


def test_putting_the_old_file_back_goes_back_to_its_version(folder, models):
    watched = ModelFolder(folder, models)
    for content in (PATCH, KNN, PATCH):
        write_atomically(folder / "part.onnx", content)
        watched.look()
    assert (models.one("part").active.number, models.one("part").versions) == (1, 2)


def test_a_start_does_not_undo_what_a_person_went_back_to(folder, models):
    write_atomically(folder / "part.onnx", PATCH)
    first = ModelFolder(folder, models)
    first.look()
    write_atomically(folder / "part.onnx", KNN)
    first.look()
    models.activate("part", 1)
    ModelFolder(folder, models).look(is_start=True)
    assert models.one("part").active.number == 1


def test_a_start_still_says_of_a_broken_file_that_it_is_not_served(folder, tmp_path):
    store = Store(tmp_path / "data")
    ServedModels(store.models, Limits(), changed=lambda _: None).add("part", PATCH, origin="upload")
    (folder / "part.onnx").write_bytes(KNN[:-500])
    models = ServedModels(store.models, Limits(), changed=lambda _: None)
    ModelFolder(folder, models).look(is_start=True)
    problem = models.one("part").problem
    assert problem is not None
    models.load_all()
    assert models.ready("part") is not None
    assert models.one("part").problem == problem
    store.close()


def test_a_file_whose_name_is_none_is_a_problem_and_no_model(folder, models):
    (folder / "two words.onnx").write_bytes(PATCH)
    ModelFolder(folder, models).look()
    assert models.all() == ()
    assert models.problems[0].startswith("model two words: a name must be 1 to 64 letters")


def test_the_thread_sees_what_comes(folder, models):
    watched = ModelFolder(folder, models)
    watched.start()
    write_atomically(folder / "late.onnx", KNN)
    deadline = time.monotonic() + DEADLINE_S
    while models.ready("late") is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    watched.stop()


def test_no_folder_is_refused(tmp_path, models):
    with pytest.raises(SettingError, match="the folder of models must be a folder, got"):
        ModelFolder(tmp_path / "none", models)
