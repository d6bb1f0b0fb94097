"""Models are replaced between two inspections, and never by a broken file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from onlygood.errors import ModelFileError, ModelFormatError, NotFoundError, SettingError
from onlygood.station.schemas import ServedModel
from onlygood.station.serving.models import ServedModels
from onlygood.station.station_settings import Limits
from onlygood.station.store.store import Store
from shown import KNN, PATCH, png


class Changes:
    """Models on a store, and every change that was told."""

    def __init__(self, store: Store, limits: Limits = Limits()) -> None:  # noqa: B008 - it never changes
        self.told: list[ServedModel] = []
        self.models = ServedModels(store.models, limits, changed=self.told.append)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def test_a_model_is_served_under_its_name_until_a_newer_one_takes_its_place(kept):
    changes = Changes(kept)
    models = changes.models
    first = models.add("part", PATCH, origin="upload", note="first")
    held = models.get("part")
    second = models.add("part", KNN, origin="fit")
    assert (first.number, first.method, first.note, first.is_active) == (1, "patch", "first", True)
    assert first.sha256 == hashlib.sha256(PATCH).hexdigest()
    assert (second.number, second.method) == (2, "knn")
    assert models.get("part").version.number == 2
    # who began with the old one ends with it
    assert held.inspector.metadata.method == "patch"
    assert held.inspector(png(1)).score != models.get("part").inspector(png(1)).score
    assert [(each.name, each.active.number, each.versions) for each in changes.told] == [("part", 1, 1), ("part", 2, 2)]


def test_what_is_said_of_a_version_is_what_its_file_says(kept):
    version = Changes(kept).models.add("part", PATCH, origin="upload")
    assert version.false_alarm_rate == 0.1
    assert version.good_images == 16
    assert version.guarantee.startswith("At most 0.1 of good images will be called anomalous")
    assert version.bytes == len(PATCH)


@pytest.mark.parametrize("content", [b"", b"not a model", PATCH[:-100], PATCH[:500] + b"\0" + PATCH[501:]])
def test_a_broken_file_leaves_the_old_one_serving(kept, content):
    models = Changes(kept).models
    models.add("part", PATCH, origin="upload")
    with pytest.raises(ModelFormatError, match="of part"):
        models.add("part", content, origin="upload")
    assert models.get("part").version.number == 1
    assert [each.number for each in kept.models.versions("part")] == [1]


def test_going_back_serves_the_older_version_and_remembers_it(kept):
    models = Changes(kept).models
    models.add("part", PATCH, origin="upload")
    models.add("part", KNN, origin="upload")
    back = models.activate("part", 1)
    assert (back.number, back.is_active) == (1, True)
    assert models.get("part").inspector.metadata.method == "patch"
    # and so does the next start
    again = Changes(kept).models
    again.load_all()
    assert again.get("part").version.number == 1


def test_going_back_to_a_version_that_never_was_is_refused(kept):
    models = Changes(kept).models
    models.add("part", PATCH, origin="upload")
    with pytest.raises(NotFoundError, match="model part has no version 7: ask for its list of versions"):
        models.activate("part", 7)


def test_a_version_whose_file_was_damaged_does_not_take_the_place_of_the_one_that_works(kept):
    models = Changes(kept).models
    first = models.add("part", PATCH, origin="upload")
    models.add("part", KNN, origin="upload")
    path = kept.models.path(first.sha256)
    path.chmod(0o600)
    path.write_bytes(PATCH[:1000])
    with pytest.raises(Exception, match=r"damaged|not what"):
        models.activate("part", 1)
    assert models.get("part").version.number == 2


def test_an_unknown_name_is_answered_with_the_nearest_one(kept):
    models = Changes(kept).models
    with pytest.raises(NotFoundError, match="got 'part', and there is none yet"):
        models.get("part")
    models.add("bottle", PATCH, origin="upload")
    with pytest.raises(NotFoundError, match="got 'botle', and there are bottle: did you mean 'bottle'"):
        models.get("botle")


@pytest.mark.parametrize("name", ["", "../part", "a/b", "a b", ".hidden", "ä", "x" * 65, "part\n"])
def test_a_name_that_is_no_name_is_refused(kept, name):
    with pytest.raises(SettingError, match="a name must be 1 to 64 letters, digits, dots"):
        Changes(kept).models.add(name, PATCH, origin="upload")


def test_a_file_larger_than_the_limit_is_refused(kept):
    models = Changes(kept, Limits(max_model_bytes=1024)).models
    with pytest.raises(ModelFileError, match=f"may have 1024 bytes, got {len(PATCH)}"):
        models.add("part", PATCH, origin="upload")


def test_one_broken_model_at_the_start_does_not_keep_the_others_from_serving(kept):
    models = Changes(kept).models
    broken = models.add("broken", PATCH, origin="upload")
    models.add("whole", KNN, origin="upload")
    path = kept.models.path(broken.sha256)
    path.chmod(0o600)
    path.write_bytes(b"rubbish")
    again = Changes(kept).models
    again.load_all()
    assert again.get("whole").version.number == 1
    assert again.ready("broken") is None
    assert len(again.problems) == 1
    assert again.problems[0].startswith("model broken: ")
