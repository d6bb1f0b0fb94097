"""What is recorded is there, once, with everything that belongs to it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta, timezone

import pytest
from inspected import DIGEST, inspected

from onlygood.errors import StoreError
from onlygood.station.schemas import ImageRegion, InspectionRecord, Verdict
from onlygood.station.store.store import Store
from onlygood.station.store.transaction import AlreadySeen

DEADLINE_S = 30
REGION = ImageRegion(top=1, left=2, bottom=3, right=4, peak=0.1 + 0.2)


def test_everything_that_was_handed_in_is_read_back(store: Store) -> None:
    at = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    new = inspected(
        source="line-1",
        name="Prüfling ☃ 'a'; DROP TABLE inspections;--.png",
        verdict=Verdict.ANOMALOUS,
        score=0.1 + 0.2,
        p_value=1 / 3,
        latency_ms=2.5,
        regions=[REGION, REGION],
        notes=["darker than any good image"],
        suffix=".png",
        at=at,
    )
    record = store.recorder.record(new)
    assert record == InspectionRecord(
        id=record.id,
        at=at.astimezone(UTC),
        model="part",
        model_sha256=DIGEST,
        source="line-1",
        name="Prüfling ☃ 'a'; DROP TABLE inspections;--.png",
        verdict=Verdict.ANOMALOUS,
        score=0.1 + 0.2,
        p_value=1 / 3,
        latency_ms=2.5,
        image_sha256="6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d",
        width=64,
        height=48,
        regions=(REGION, REGION),
        notes=("darker than any good image",),
    )
    assert store.inspections.get(record.id) == record
    assert store.inspections.image(record.id) == (b"image", ".png")


def test_it_is_there_after_a_restart(open_store: Callable[..., Store]) -> None:
    first = open_store()
    record = first.recorder.record(inspected(), outputs=["plc"], drift=(DIGEST, '{"images": 1}'))
    first.close()
    second = open_store()
    assert second.inspections.get(record.id) == record
    assert second.inspections.image(record.id) == (b"image", ".jpg")
    assert second.outbox.waiting("plc") == [record]
    assert second.drift.load(DIGEST) == '{"images": 1}'
    assert second.id == first.id


def test_numbers_ascend_in_the_order_of_submission(store: Store) -> None:
    sizes = [200_000, 1, 50_000, 0, 7] * 40
    futures = [store.recorder.submit(inspected(content=bytes(size))) for size in sizes]
    numbers = [future.result(DEADLINE_S).id for future in futures]
    assert numbers == sorted(set(numbers))
    assert [store.inspections.image(number) for number in numbers[:5]] == [(bytes(s), ".jpg") for s in sizes[:5]]


def test_many_threads_lose_nothing(store: Store) -> None:
    recorded: dict[int, bytes] = {}

    def work(worker: int) -> None:
        for number in range(25):
            content = f"{worker}/{number}".encode()
            recorded[store.recorder.record(inspected(name=content.decode(), content=content)).id] = content

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(recorded) == 16 * 25 == store.inspections.count()
    for id, content in recorded.items():
        found = store.inspections.get(id)
        assert found is not None and found.name == content.decode()
        assert store.inspections.image(id) == (content, ".jpg")


def test_an_image_of_a_folder_is_recorded_once(store: Store) -> None:
    first = store.recorder.record(inspected(source="in", seen_key="a.png|12|34"))
    with pytest.raises(AlreadySeen) as again:
        store.recorder.record(inspected(source="in", seen_key="a.png|12|34"))
    assert again.value.record == first
    assert store.recorder.record(inspected(source="out", seen_key="a.png|12|34")).id != first.id
    assert store.inspections.count() == 2
    assert store.seen.is_seen("in", "a.png|12|34")
    assert not store.seen.is_seen("in", "a.png|12|35")


def test_the_same_key_many_times_in_one_transaction_is_one_inspection(store: Store) -> None:
    futures = [store.recorder.submit(inspected(source="in", seen_key="a")) for _ in range(100)]
    first = futures[0].result(DEADLINE_S)
    for future in futures[1:]:
        found = future.exception(DEADLINE_S)
        assert isinstance(found, AlreadySeen) and found.record == first
    assert store.inspections.count() == 1


def test_any_key_can_be_one(store: Store) -> None:
    for key in ("x" * 5000, "half a character \udcff", "a\x00b", "zeile\n"):
        first = store.recorder.record(inspected(source="in", seen_key=key))
        assert store.seen.is_seen("in", key)
        assert not store.seen.is_seen("in", key + "!")
        with pytest.raises(AlreadySeen) as again:
            store.recorder.record(inspected(source="in", seen_key=key))
        assert again.value.record == first


def test_what_is_not_recorded_leaves_no_file(store: Store) -> None:
    store.recorder.record(inspected(source="in", seen_key="a", content=b"first"))
    futures = [
        store.recorder.submit(inspected(source="in", seen_key="a", content=b"second")),
        store.recorder.submit(inspected(width=1 << 70, content=b"third")),
        store.recorder.submit(inspected(source="in", seen_key="a", content=b"first")),
    ]
    assert all(future.exception(DEADLINE_S) is not None for future in futures)
    store.recorder.record(inspected(content=b"fourth"))  # after it, those before are put away
    files = [path.read_bytes() for path in (store.data / "images").rglob("*") if path.is_file()]
    assert sorted(files) == [b"first", b"fourth"]
    assert store.kept_bytes() == 11


def test_what_cannot_be_read_is_not_recorded_later(store: Store) -> None:
    store.seen.mark_unreadable("in", "broken.png", "broken.png is no image")
    store.seen.mark_unreadable("in", "broken.png", "something else")
    assert store.seen.is_seen("in", "broken.png")
    assert store.seen.problem("in", "broken.png") == "broken.png is no image"
    with pytest.raises(AlreadySeen) as seen:
        store.recorder.record(inspected(source="in", seen_key="broken.png"))
    assert seen.value.record is None


def test_names_that_no_database_holds_are_written_out(store: Store) -> None:
    for name, stored in (
        ("a\x00b.jpg", "a\\x00b.jpg"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("x" * 2000, "x" * 1000),
        ("", ""),
    ):
        record = store.recorder.record(inspected(name=name, notes=[f"note {name[:3]}"]))
        assert record.name == stored
        assert store.inspections.get(record.id) == record


def test_a_value_that_no_record_has_is_refused_at_once(store: Store) -> None:
    for values in ({"score": float("nan")}, {"score": float("inf")}, {"model": "../x"}, {"width": None}):
        with pytest.raises(ValueError):
            store.recorder.submit(inspected(**values))
    assert store.recorder.record(inspected()).id == 1


def test_one_that_the_database_refuses_does_not_take_others_with_it(store: Store) -> None:
    # 2 to the power of 70 is no number of 64 bits.
    futures = [store.recorder.submit(inspected(width=1 << 70 if n == 7 else 10, content=bytes([n]))) for n in range(15)]
    problems = [future.exception(DEADLINE_S) for future in futures]
    assert [isinstance(problem, StoreError) for problem in problems] == [n == 7 for n in range(15)]
    assert store.inspections.count() == 14


def test_outputs_and_drift_are_saved_with_the_inspection(store: Store) -> None:
    records = [
        store.recorder.record(inspected(), outputs=("plc", "mqtt") if n % 2 else ("plc",), drift=(DIGEST, str(n)))
        for n in range(6)
    ]
    assert store.drift.load(DIGEST) == "5"
    assert store.outbox.waiting("plc") == records
    assert store.outbox.waiting("plc", 2) == records[:2]
    assert store.outbox.count("mqtt") == 3
    store.outbox.delivered("plc", [record.id for record in records[:4]])
    store.outbox.delivered("plc", [])
    assert store.outbox.waiting("plc") == records[4:]
    assert store.outbox.keep_only(["mqtt"]) == 2
    assert (store.outbox.count("plc"), store.outbox.count("mqtt")) == (0, 3)
    store.drift.forget(DIGEST)
    assert store.drift.load(DIGEST) is None


def test_an_image_that_is_not_kept(store: Store) -> None:
    record = store.recorder.record(inspected(content=None))
    assert (record.has_image, record.image_sha256) == (False, None)
    assert store.inspections.image(record.id) is None


def test_a_caller_that_gave_up_is_left_out(store: Store) -> None:
    futures: list[Future[InspectionRecord]] = []
    cancelled = 0
    for _ in range(200):
        futures.append(store.recorder.submit(inspected()))
        cancelled += futures[-1].cancel()
    assert (
        sum(not future.cancelled() and future.result(DEADLINE_S) is not None for future in futures) == 200 - cancelled
    )
    assert store.inspections.count() == 200 - cancelled


def test_what_waits_when_it_closes_is_recorded(open_store: Callable[..., Store]) -> None:
    store = open_store()
    futures = [store.recorder.submit(inspected(content=bytes(100_000 + n))) for n in range(50)]
    store.close()
    assert [future.result(0).id for future in futures] == list(range(1, 51))
    with pytest.raises(StoreError, match="the station must be open to record an inspection"):
        store.recorder.submit(inspected())
    assert open_store().inspections.count() == 50
