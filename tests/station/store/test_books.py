"""Models, jobs, taught images and feedback are remembered, also after a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from inspected import inspected

from onlygood.errors import NotFoundError, StoreError
from onlygood.station.schemas import JobState, Label, ModelVersion, Verdict
from onlygood.station.store.store import Store

Opens = Callable[..., Store]


def add(store: Store, name: str, content: bytes, **values: Any) -> ModelVersion:
    given: dict[str, Any] = {
        "method": "patch",
        "origin": "upload",
        "false_alarm_rate": 0.05,
        "guarantee": "At most 0.05 of good images will be called anomalous.",
        "good_images": 20,
    }
    return store.models.add(name, content, **{**given, **values})


def test_versions_of_a_model_and_which_is_active(open_store: Opens) -> None:
    store = open_store()
    first = add(store, "part", b"one", note="from the old line")
    second = add(store, "part", b"two", origin="fit")
    other = add(store, "lid", b"one")
    assert (first.number, second.number, other.number) == (1, 2, 1)
    assert first.sha256 == hashlib.sha256(b"one").hexdigest()
    assert (first.note, first.bytes, first.is_active, second.origin) == ("from the old line", 3, True, "fit")
    assert store.models.names() == ["lid", "part"]
    assert [(each.number, each.is_active) for each in store.models.versions("part")] == [(2, True), (1, False)]
    back = store.models.activate("part", 1)
    assert back == first
    store.close()
    store = open_store()
    assert store.models.active("part") == first
    assert store.models.path(first.sha256).read_bytes() == b"one" == store.models.content(first.sha256)
    assert store.models.active("none") is None and store.models.versions("none") == []


def test_the_same_file_is_the_version_that_it_was(store: Store) -> None:
    first = add(store, "part", b"one")
    add(store, "part", b"two")
    again = add(store, "part", b"one", note="again")
    assert again == first
    assert store.models.active("part") == first
    assert len(store.models.versions("part")) == 2
    waiting = add(store, "part", b"three", activate=False)
    assert (waiting.number, waiting.is_active) == (3, False)


def test_what_cannot_be_served_is_not(store: Store) -> None:
    first = add(store, "part", b"one")
    second = add(store, "part", b"two")
    with pytest.raises(NotFoundError, match="model part has no version 3"):
        store.models.activate("part", 3)
    store.models.path(first.sha256).write_bytes(b"0ne")
    with pytest.raises(StoreError, match=r"is damaged, its content is not what was kept"):
        store.models.activate("part", 1)
    store.models.path(first.sha256).unlink()
    with pytest.raises(StoreError, match=r"cannot be read \(No such file or directory\): restore it from a backup"):
        store.models.activate("part", 1)
    assert store.models.active("part") == second


def test_jobs_go_on_and_are_interrupted_by_a_restart(open_store: Opens) -> None:
    store = open_store()
    request = {"model": "part", "settings": {"taps": ["stage4"]}, "region": [0.1, 0.2, 0.3, 0.4]}
    first = store.jobs.add("fit", "part", request)
    second = store.jobs.add("update", "lid", {})
    third = store.jobs.add("fit", "lid", {})
    assert (first.state, first.kind, first.ended_at) == (JobState.QUEUED, "fit", None)
    assert store.jobs.update(first.id, JobState.RUNNING).state is JobState.RUNNING
    done = store.jobs.update(second.id, JobState.DONE, notes=["a note"], version=4)
    assert (done.notes, done.version, done.ended_at is not None) == (("a note",), 4, True)
    store.close()
    store = open_store()
    assert store.jobs.interrupt_unfinished() == 2
    assert store.jobs.interrupt_unfinished() == 0
    assert [job.state.value for job in store.jobs.list()] == ["interrupted", "done", "interrupted"]
    assert store.jobs.get(third.id).problem == "the station ended before the job did: start it again"
    assert [job.id for job in store.jobs.list(model="lid")] == [third.id, second.id]
    assert [job.id for job in store.jobs.list(limit=1)] == [third.id]
    assert store.jobs.request(first.id) == request
    for asked in (store.jobs.get, lambda id: store.jobs.update(id, JobState.DONE)):
        for id in (99, -1, 10**30):
            with pytest.raises(NotFoundError, match=f"a job must be one that is remembered, got {id}"):
                asked(id)


def test_images_that_are_taught(open_store: Opens) -> None:
    store = open_store()
    first = store.taught.add("part", "../a\x00.png", b"first", suffix=".png", width=10, height=20)
    second = store.taught.add("part", "b.jpg", b"second", width=10, height=20)
    other = store.taught.add("lid", "a.png", b"first", suffix=".png", width=10, height=20)
    assert (first.name, first.width, first.height, first.is_left_out) == ("../a\\x00.png", 10, 20, False)
    assert store.taught.add("part", "again.png", b"first", width=10, height=20) == first
    assert store.taught.list("part") == [first, second]
    assert store.taught.names() == ["lid", "part"]
    out = store.taught.leave_out(second.id, True)
    assert out == second.model_copy(update={"is_left_out": True}) == store.taught.get(second.id)
    assert store.taught.leave_out(second.id, False) == second
    assert store.kept_bytes() == 11
    assert store.taught.remove(first.id) == first
    assert store.taught.content(other.id) == (b"first", ".png")
    store.taught.remove(other.id)
    assert store.kept_bytes() == 6
    store.close()
    store = open_store()
    assert store.taught.list("part") == [second]
    assert store.taught.content(second.id) == (b"second", ".jpg")
    assert (store.kept_bytes(), store.taught.get(first.id), store.taught.content(first.id)) == (6, None, None)
    for asked in (store.taught.remove, store.taught.leave_out):
        for id in (first.id, -1, 10**30):
            with pytest.raises(NotFoundError, match=f"a taught image must be one that is kept, got {id}"):
                asked(id)


def test_false_alarms_wait_to_be_learned_from(store: Store) -> None:
    for number in range(6):
        store.recorder.record(
            inspected(
                content=bytes([number]) if number != 4 else None, verdict=Verdict(["good", "anomalous"][number > 0])
            )
        )
    for id, label in ((1, "good"), (2, "good"), (3, "defect"), (4, "good"), (5, "good"), (6, "good"), (6, "defect")):
        store.feedback.add(id, Label(label))
    # 1 was no alarm, 3 and 6 are defects, and the image of 5 is not kept.
    assert [record.id for record in store.feedback.review("part")] == [2, 4]
    assert [record.id for record in store.feedback.review("part", limit=1)] == [2]
    store.feedback.learned([2], 7)
    assert [record.id for record in store.feedback.review("part")] == [4]
    assert store.inspections.get(2).learned_in == 7
    assert store.feedback.review("lid") == []
