"""What is let go of, in which order, and what never is."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from inspected import inspected
from sqlalchemy import func, select

from onlygood.station.schemas import Label, Verdict
from onlygood.station.station_settings import Retention
from onlygood.station.store.retention import LetGo
from onlygood.station.store.store import Store
from onlygood.station.store.tables import SeenRow

Opens = Callable[..., Store]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEADLINE_S = 30


def bounds(**values: Any) -> Retention:
    return Retention(**{"min_free_bytes": 0, **values})


def image(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(4, "big") + bytes(size - 4)


def kept(store: Store) -> list[int]:
    """The numbers of inspections whose images are there; those of the others are not."""
    found = []
    for record in store.inspections.each():
        assert (store.inspections.image(record.id) is not None) == record.has_image
        if record.has_image:
            found.append(record.id)
    return found


def files(store: Store) -> int:
    return sum(path.is_file() for path in (store.data / "images").rglob("*"))


def test_the_oldest_images_go_first_and_those_that_were_marked_last(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_bytes=3000), housekeeping_s=0)
    for number in range(8):
        store.recorder.record(inspected(content=image(number)))
    store.feedback.add(2, Label.GOOD)
    store.feedback.add(1, Label.DEFECT)
    assert store.kept_bytes() == 8000
    assert store.retention.run() == LetGo(images=5, bytes=5000)
    assert kept(store) == [1, 2, 8]
    assert (files(store), store.kept_bytes()) == (3, 3000)
    assert store.inspections.count() == 8
    for number in range(8, 10):
        store.recorder.record(inspected(content=image(number)))
    store.feedback.add(9, Label.GOOD)
    store.retention.run()
    assert kept(store) == [1, 2, 9]
    store.recorder.record(inspected(content=image(10)))
    store.feedback.add(11, Label.GOOD)
    assert store.retention.run() == LetGo(images=1, bytes=1000)
    assert kept(store) == [2, 9, 11]
    assert store.retention.run() == LetGo()


def test_what_is_taught_or_in_review_never_goes_by_bytes(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_bytes=1), housekeeping_s=0)
    for number in range(6):
        store.recorder.record(inspected(content=image(number), verdict=Verdict.ANOMALOUS))
    taught = store.taught.add("part", "a.png", image(4), width=1, height=1)
    for number in (1, 2, 3):
        store.feedback.add(number, Label.GOOD)
    store.feedback.learned([2], 5)
    assert [record.id for record in store.feedback.review("part")] == [1, 3]
    store.retention.run()
    assert kept(store) == [1, 3]
    assert store.taught.content(taught.id) == (image(4), ".jpg")
    assert files(store) == 3
    (problem,) = store.problems()
    assert problem.startswith("images may take 0 MiB, and those that are taught or wait to be learned from take")
    store.feedback.learned([1, 3], 5)
    store.taught.remove(taught.id)
    store.retention.run()
    assert (kept(store), files(store), store.kept_bytes(), store.problems()) == ([], 0, 0, [])


def test_images_and_inspections_go_by_their_age(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_days=10, max_inspection_days=100), now=lambda: NOW, housekeeping_s=0)
    for number, days in enumerate((101, 100.5, 99, 11, 10.01, 9.99, 0)):
        store.recorder.record(
            inspected(content=image(number), at=NOW - timedelta(days=days), source="in", seen_key=str(number)),
            outputs=["plc"],
        )
    store.feedback.add(1, Label.GOOD)
    assert store.retention.run() == LetGo(inspections=2, images=3, bytes=5000)
    assert [record.id for record in store.inspections.each()] == [3, 4, 5, 6, 7]
    assert kept(store) == [6, 7]
    assert [record.id for record in store.outbox.waiting("plc")] == [3, 4, 5, 6, 7]
    assert files(store) == 2


def told_by(time: list[datetime]) -> dict[str, Any]:
    """Options of a store whose time is the first of a list, and passes as that does."""
    return {"now": lambda: time[0], "steady": lambda: (time[0] - NOW).total_seconds(), "housekeeping_s": 0}


def test_images_that_lie_in_their_folder_stay_seen(open_store: Opens) -> None:
    time = [NOW]
    store = open_store(retention=bounds(max_inspection_days=10), **told_by(time))
    keys = [f"key {number}" for number in range(501)]

    def seen() -> dict[str, int]:
        store.retention.run()
        query = select(SeenRow.source, func.count()).group_by(SeenRow.source)
        with store.database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    for source in ("watched", "left", "other"):
        for future in [store.recorder.submit(inspected(source=source, seen_key=key, content=None)) for key in keys]:
            future.result(DEADLINE_S)
    store.seen.mark_unreadable("watched", "broken", "it is none")
    store.seen.still_there("left", keys)
    time[0] += timedelta(days=9)
    assert seen() == {"watched": 502, "left": 501, "other": 501}
    time[0] += timedelta(days=2)
    store.seen.still_there("watched", [*keys[1:], "broken"])
    assert store.inspections.count() == 1503
    assert seen() == {"watched": 501, "left": 501}
    assert not store.seen.is_seen("watched", keys[0])
    assert store.inspections.count() == 0
    time[0] += timedelta(days=1000)
    assert seen() == {}


def test_images_that_left_their_folder_are_forgotten_a_week_later(open_store: Opens) -> None:
    time = [NOW]
    store = open_store(retention=bounds(max_inspection_days=1), **told_by(time))
    for key in ("stays", "goes", "comes back"):
        store.recorder.record(inspected(source="in", seen_key=key))
    store.seen.still_there("in", ["stays", "goes", "comes back"])
    for day in range(1, 9):
        time[0] = NOW + timedelta(days=day, minutes=1)
        store.seen.still_there("in", ["stays", "comes back"] if day == 6 else ["stays"])
        store.retention.run()
        assert store.seen.is_seen("in", "stays") and store.seen.is_seen("in", "comes back")
        assert store.seen.is_seen("in", "goes") == (day < 7)


def test_what_is_in_review_never_goes_by_its_age(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_days=10, max_inspection_days=100), now=lambda: NOW, housekeeping_s=0)
    for number, days in enumerate((101, 101, 11, 11)):
        at = NOW - timedelta(days=days)
        store.recorder.record(inspected(content=image(number), at=at, verdict=Verdict.ANOMALOUS))
    store.feedback.add(1, Label.GOOD)
    store.feedback.add(2, Label.DEFECT)
    store.feedback.add(3, Label.GOOD)
    assert store.retention.run() == LetGo(inspections=1, images=1, bytes=2000)
    assert kept(store) == [1, 3]
    assert [record.id for record in store.feedback.review("part")] == [1, 3]
    store.feedback.learned([1, 3], 5)
    assert store.retention.run() == LetGo(inspections=1, images=1, bytes=2000)
    assert (kept(store), files(store)) == ([], 0)


def test_more_than_one_transaction_of_them(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_days=1), now=lambda: NOW, housekeeping_s=0)
    past = NOW - timedelta(days=2)
    futures = [store.recorder.submit(inspected(content=image(number % 150), at=past)) for number in range(250)]
    for future in futures:
        future.result(DEADLINE_S)
    assert store.retention.run() == LetGo(images=250, bytes=150_000)
    assert (kept(store), files(store)) == ([], 0)


def test_numbers_of_inspections_that_went_are_not_given_again(open_store: Opens) -> None:
    options: dict[str, Any] = {"retention": bounds(max_inspection_days=1), "now": lambda: NOW, "housekeeping_s": 0}
    store = open_store(**options)
    for _ in range(3):
        store.recorder.record(inspected(at=NOW - timedelta(days=2)))
    assert store.retention.run() == LetGo(inspections=3, bytes=5)
    store.close()
    assert open_store(**options).recorder.record(inspected()).id == 4


def test_one_image_of_several_inspections_goes_with_the_last(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_days=10), now=lambda: NOW, housekeeping_s=0)
    store.recorder.record(inspected(at=NOW - timedelta(days=20)))
    store.recorder.record(inspected(at=NOW))
    assert (files(store), store.kept_bytes()) == (1, 5)
    assert store.retention.run() == LetGo(images=1, bytes=0)
    assert kept(store) == [2]


def test_a_clock_far_ahead_lets_go_of_nothing(open_store: Opens) -> None:
    ahead = timedelta()
    store = open_store(now=lambda: NOW + ahead, steady=lambda: 0.0, retention=bounds(), housekeeping_s=0)
    store.recorder.record(inspected())
    store.retention.run()
    ahead = timedelta(days=4000)
    assert store.retention.run() == LetGo()
    assert "the clock of this computer is 4000 days ahead" in store.problems()[0]
    store.close()
    # A restart believes it no more than before.
    store = open_store(now=lambda: NOW + ahead, steady=lambda: 0.0, retention=bounds(), housekeeping_s=0)
    assert store.retention.run() == LetGo()
    assert kept(store) == [1]
    store.retention.trust_clock()
    assert store.problems() == []
    assert store.retention.run() == LetGo(inspections=1, bytes=5)


def test_a_clock_that_was_set_back_keeps_the_order(open_store: Opens) -> None:
    ahead = timedelta()
    store = open_store(now=lambda: NOW + ahead, steady=lambda: 0.0, housekeeping_s=0)
    first = store.recorder.record(inspected())
    ahead = timedelta(hours=-3)
    second = store.recorder.record(inspected())
    assert (second.id > first.id, second.at) == (True, NOW - timedelta(hours=3))
    assert "was set back by 3 hours" in store.problems()[0]
    assert [record.id for record in store.inspections.page().inspections] == [2, 1]


def test_the_disk_keeps_its_free_room(open_store: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(retention=Retention(min_free_bytes=1_000_000), housekeeping_s=0)
    occupied = 0

    def usage(_: Path) -> shutil._ntuple_diskusage:
        free = 2_000_000 - files(store) * 100_000 - occupied
        return shutil._ntuple_diskusage(2_000_000, 2_000_000 - free, free)

    monkeypatch.setattr("onlygood.station.store.images.shutil.disk_usage", usage)
    for number in range(9):
        assert store.recorder.record(inspected(content=image(number, 100_000))).has_image
    assert store.retention.run() == LetGo()
    assert store.recorder.record(inspected(content=image(9, 100_000))).has_image
    assert store.free_bytes() == 1_000_000
    assert not store.recorder.record(inspected(content=image(10, 100_000))).has_image
    assert store.problems() == [
        "images cannot be kept (the disk has 1 MiB free, and 1 MiB are to stay free), inspections are recorded without "
        f"them: make room on the disk of {store.data / 'images'}"
    ]
    assert store.retention.run() == LetGo(images=1, bytes=100_000)
    assert kept(store) == list(range(2, 11))
    assert store.recorder.record(inspected(content=image(11, 90_000))).has_image
    assert store.problems() == []
    occupied = 1_500_000
    store.retention.run()
    assert kept(store) == []
    assert "and no more images to let go of: make room on it" in store.problems()[0]


def test_files_that_nothing_names_are_removed_at_the_start(open_store: Opens) -> None:
    store = open_store(housekeeping_s=0)
    record = store.recorder.record(inspected(content=b"kept"))
    store.taught.add("part", "a.png", b"taught", width=1, height=1)
    store.close()
    for content in (b"left 1", b"left 2"):
        digest = store._images.hold(content)
        store._images.write(digest, content)
    (store.data / "images" / "unfinished" / "half").write_bytes(b"ha")
    (store.data / "images" / "ab").mkdir(exist_ok=True)
    (store.data / "images" / "ab" / "notes.txt").write_text("mine")
    store = open_store(housekeeping_s=0)
    assert store.retention.run() == LetGo(orphans=2, bytes=12)
    assert store.retention.run() == LetGo()
    assert store.inspections.image(record.id) == (b"kept", ".jpg")
    assert (files(store), store.kept_bytes()) == (3, 10)
    assert (store.data / "images" / "ab" / "notes.txt").exists()


def test_nothing_that_is_about_to_be_recorded_is_removed(open_store: Opens) -> None:
    """The same few images are recorded, and let go, again and again, at once."""
    store = open_store(retention=bounds(max_image_bytes=1), housekeeping_s=0)
    ended = threading.Event()
    broken: list[BaseException] = []

    def let_go() -> None:
        try:
            while not ended.is_set():
                store.retention.run()
        except BaseException as error:
            broken.append(error)

    thread = threading.Thread(target=let_go)
    thread.start()
    try:
        for number in range(200):
            store.recorder.record(inspected(content=image(number % 3)))
    finally:
        ended.set()
        thread.join(DEADLINE_S)
    assert not broken
    # Whatever a row says that it has is there.
    assert set(kept(store)) <= set(range(1, 201))


def test_no_image_is_kept_where_none_may_be(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_bytes=0), housekeeping_s=0)
    assert not store.recorder.record(inspected()).has_image
    assert (files(store), store.problems()) == (0, [])
    store.retention.use(bounds(max_image_bytes=5))
    assert store.recorder.record(inspected()).has_image


def test_it_happens_by_itself(open_store: Opens) -> None:
    store = open_store(retention=bounds(max_image_bytes=5000), housekeeping_s=3600)
    waited = threading.Event()
    for number in range(40):
        store.recorder.record(inspected(content=image(number)))
    for _ in range(DEADLINE_S * 20):
        if store.kept_bytes() <= 5000:
            break
        waited.wait(0.05)
    assert store.kept_bytes() == 5000 and kept(store) == [36, 37, 38, 39, 40]
