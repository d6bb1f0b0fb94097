"""What goes wrong with disks and databases: nothing acknowledged is lost, and it goes on when they are back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from inspected import inspected
from sqlalchemy import event, text

from onlygood.errors import BusyError, StoreError
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import Retention
from onlygood.station.store.database import Database, sqlite_url
from onlygood.station.store.identity import pair
from onlygood.station.store.images import Images
from onlygood.station.store.recorder import Recorder
from onlygood.station.store.schema import migrate_within
from onlygood.station.store.store import Store, utc_now
from postgres import Server

Opens = Callable[..., Store]
DEADLINE_S = 60


def until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(DEADLINE_S * 50):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not happen in time")


def files_in(store: Store) -> int:
    return sum(path.is_file() for path in (store.data / "images").rglob("*"))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 12 MB, where the tests may mount one."""
    disk = Path(tempfile.mkdtemp(prefix="og-disk-"))
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("a small file system can be mounted by root alone")
        try:
            yield disk
        finally:
            # Also where a file in it is still open.
            subprocess.run(["umount", "--lazy", disk], check=True)
    finally:
        disk.rmdir()


def test_a_full_disk_and_room_again(small_disk: Path) -> None:
    store = Store(small_disk / "data", retention=Retention(min_free_bytes=0), housekeeping_s=0)
    filler = small_disk / "filler"
    acknowledged: dict[int, bool] = {}
    refused = 0
    for number in range(40):
        if number == 10:
            with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))
        if number == 30:
            filler.unlink()
            until(lambda: store.problems() == [])
        # Long names, so that the database cannot do with the pages that it has.
        new = inspected(content=os.urandom(50_000), name=f"{number} " + "x" * 900, notes=["y" * 20_000])
        try:
            record = store.recorder.record(new)
        except StoreError as error:
            assert "station.db is full: make room on it; nothing of this was kept" in str(error)
            assert str(error) in store.problems()
            refused += 1
        else:
            acknowledged[record.id] = record.has_image
            assert record.has_image or "images cannot be kept (no space left on device)" in store.problems()[-1]
    assert refused > 0
    assert sum(acknowledged.values()) >= 20
    assert store.problems() == []
    store.close()
    again = Store(small_disk / "data", housekeeping_s=0)
    assert {record.id: record.has_image for record in again.inspections.each()} == acknowledged
    assert all((again.inspections.image(id) is not None) == has for id, has in acknowledged.items())
    again.close()


def test_images_are_let_go_on_a_disk_that_others_have_filled(small_disk: Path) -> None:
    store = Store(small_disk / "data", retention=Retention(min_free_bytes=0), housekeeping_s=0)
    for number in range(60):
        store.recorder.record(inspected(content=number.to_bytes(4, "big") * 10_000))
    # A database that has been emptied into its file, so that it cannot do with the room that it has.
    with store.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with (small_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreError, match="is full"):
        store.recorder.record(inspected(content=bytes(50_000)))
    store.retention.use(Retention(min_free_bytes=500_000))
    done = store.retention.run()
    # 40 kB each; the database itself takes some of the room.
    assert 13 <= done.images <= 18 and store.free_bytes() > 500_000
    gone, there = done.images, 60 - done.images
    assert [record.has_image for record in store.inspections.each()] == [False] * gone + [True] * there
    assert files_in(store) == there
    assert store.recorder.record(inspected(content=b"small")).has_image
    assert store.problems() == []
    store.close()


def test_a_database_that_may_not_grow_refuses_and_goes_on_when_it_may(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", retention=Retention(min_free_bytes=0), housekeeping_s=0)
    most = 60

    @event.listens_for(store.database.engine, "checkout")
    def bounded(connection: sqlite3.Connection, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={most}").close()

    acknowledged = []
    with pytest.raises(StoreError, match=r"the disk of the database .* is full: .*nothing of this was kept"):
        for number in range(200):
            new = inspected(notes=["x" * 2000], content=str(number).encode())
            acknowledged.append(store.recorder.record(new).id)
    assert "is full" in store.problems()[0]
    with pytest.raises(StoreError, match="is full"):
        store.taught.add("part", "x" * 1000, bytes(10), width=1, height=1)
        store.jobs.add("fit", "part", {"x": "y" * 100_000})
    assert [record.id for record in store.inspections.each()] == acknowledged
    # What was refused leaves no file behind; what fitted in after all has its own.
    until(lambda: files_in(store) == len(acknowledged) + len(store.taught.list("part")))
    most = 10_000
    record = store.recorder.record(inspected(notes=["x" * 2000]))
    assert store.problems() == []
    assert [found.id for found in store.inspections.each()] == [*acknowledged, record.id]
    store.close()


def test_a_file_of_the_database_that_is_held_by_another_program(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "station.db"), busy_timeout_s=0.05)
    with database.writing() as connection:
        migrate_within(connection, shown=database.shown)
        pair(connection, database, tmp_path, utc_now)
    images = Images(tmp_path / "images", max_bytes=1 << 40, min_free_bytes=0)
    recorder = Recorder(database, images, now=utc_now, retry_s=0.2)
    other = sqlite3.connect(tmp_path / "station.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="must be free to write, got one that another program holds"):
        recorder.record(inspected())
    future = recorder.submit(inspected(name="second"))
    assert isinstance(future.exception(DEADLINE_S), StoreError)
    other.execute("ROLLBACK")
    assert recorder.record(inspected(name="third")).id == 1
    assert recorder.problems() == []
    # One that is held for a shorter time is waited for.
    other.execute("BEGIN IMMEDIATE")
    future = recorder.submit(inspected(name="fourth"))
    until(lambda: bool(recorder.problems()))
    other.execute("ROLLBACK")
    assert future.result(DEADLINE_S).id == 2
    other.close()
    recorder.close()
    database.close()


def test_more_than_can_wait_is_refused_and_nothing_that_waits_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onlygood.station.store.recorder.MOST_WAITING", 3)
    monkeypatch.setattr("onlygood.station.store.recorder.SUBMIT_TIMEOUT_S", 0.01)
    store = Store(tmp_path / "data", housekeeping_s=0)
    with closing(sqlite3.connect(tmp_path / "data" / "station.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        futures = [store.recorder.submit(inspected(name="taken"))]
        until(lambda: store.recorder.waiting == 0)  # the first is in a transaction that waits
        futures += [store.recorder.submit(inspected(content=bytes([number]))) for number in range(3)]
        with pytest.raises(BusyError, match=r"at most 3 inspections or 256 MiB of images wait to be recorded") as busy:
            store.recorder.submit(inspected())
        assert busy.value.retry_after_s > 0
        assert not any(future.done() for future in futures)
        other.execute("ROLLBACK")
    assert [future.result(DEADLINE_S).id for future in futures] == [1, 2, 3, 4]
    store.close()


def test_a_server_that_is_restarted_is_waited_for(tmp_path: Path, postgres_server: Server) -> None:
    url = postgres_server.new_database()
    store = Store(tmp_path / "data", url=url, retry_s=DEADLINE_S)
    recorded: dict[str, InspectionRecord] = {}

    def work(worker: int) -> None:
        for number in range(40):
            name = f"{worker}/{number}"
            recorded[name] = store.recorder.record(inspected(name=name, content=name.encode()), outputs=["plc"])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(recorded) > 20)
    postgres_server.stop("immediate")
    try:
        until(lambda: bool(store.problems()))
        assert "must answer, got no connection to it" in store.problems()[0]
        with pytest.raises(StoreError, match="must answer, got no connection to it"):
            store.inspections.page()
    finally:
        postgres_server.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(recorded) == 160
    assert store.problems() == []
    there = {record.name: record for record in store.inspections.each()}
    assert there == recorded
    assert store.inspections.count() == 160 == store.outbox.count("plc")
    store.close()
    postgres_server.drop_database(url)


def test_a_server_that_stays_away_is_said_to_those_who_wait(tmp_path: Path, postgres_server: Server) -> None:
    url = postgres_server.new_database()
    store = Store(tmp_path / "data", url=url, retry_s=0.3, housekeeping_s=0)
    first = store.recorder.record(inspected())
    postgres_server.stop("immediate")
    try:
        futures: list[Future[InspectionRecord]] = [store.recorder.submit(inspected()) for _ in range(5)]
        for future in futures:
            assert "must answer, got no connection to it" in str(future.exception(DEADLINE_S))
    finally:
        postgres_server.start()
    # That it is back is noticed though nothing is recorded.
    assert not store.recorder.is_recording
    until(lambda: store.recorder.is_recording and store.problems() == [])
    second = store.recorder.record(inspected())
    assert [record.id for record in store.inspections.each()] == [first.id, second.id]
    store.close()
    postgres_server.drop_database(url)


def test_a_connection_that_breaks_after_the_commit_records_nothing_twice(
    open_store: Opens, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    store = open_store(housekeeping_s=0)
    dialect = store.database.engine.dialect
    commit = dialect.do_commit
    broken: list[str] = []

    def breaks(connection: Any) -> None:
        commit(connection)
        if len(broken) < 2:
            broken.append("once")
            lost = psycopg.OperationalError("server closed the connection unexpectedly")
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorname = "SQLITE_BUSY"
            raise busy if url is None else lost

    monkeypatch.setattr(dialect, "do_commit", breaks)
    record = store.recorder.record(inspected(source="in", seen_key="a"), outputs=["plc"])
    assert broken
    assert [found.id for found in store.inspections.each()] == [record.id]
    assert store.outbox.waiting("plc") == [record]


def test_two_stations_on_one_folder(open_store: Opens) -> None:
    store = open_store()
    with pytest.raises(StoreError, match=f"got one that the process {os.getpid()} has open: end that one"):
        open_store()
    program = "import sys; from onlygood.station.store.store import Store; Store(sys.argv[1])"
    other = subprocess.run([sys.executable, "-c", program, store.data], capture_output=True, text=True, check=False)
    assert f"got one that the process {os.getpid()} has open" in other.stderr
    assert store.recorder.record(inspected()).id == 1
    store.close()
    assert open_store().inspections.count() == 1


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    Store(tmp_path).close()
    (tmp_path / "station.db").write_bytes(b"this was a database once" * 1000)
    with pytest.raises(StoreError, match=r"the database .*station.db is damaged \(file is not a database\): restore"):
        Store(tmp_path)
    assert (tmp_path / "station.db").read_bytes().startswith(b"this was")


def test_a_database_with_a_hole_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path, housekeeping_s=0)
    for _ in range(50):
        store.recorder.record(inspected(notes=["x" * 500]))
    store.close()
    path = tmp_path / "station.db"
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        opened = Store(tmp_path, housekeeping_s=0)
        try:
            list(opened.inspections.each())
        finally:
            opened.close()


def test_a_folder_and_a_database_of_different_stations(tmp_path: Path, postgres_server: Server) -> None:
    url = postgres_server.new_database()
    store = Store(tmp_path / "one", url=url)
    store.recorder.record(inspected())
    store.close()
    Store(tmp_path / "two").close()
    for folder, sentence in (
        ("two", "must be used with the data folder of its station, got .*two, which is another station's"),
        ("three", "must be used with the data folder of its station, got .*three, which is a new one"),
    ):
        with pytest.raises(StoreError, match=sentence):
            Store(tmp_path / folder, url=url)
    with pytest.raises(StoreError, match="must be used with the database that it was made with, got a new one"):
        Store(tmp_path / "one")
    # Nothing was made in a database that was refused.
    with closing(sqlite3.connect(tmp_path / "one" / "station.db")) as refused:
        assert refused.execute("SELECT * FROM sqlite_master").fetchall() == []
    again = Store(tmp_path / "one", url=url)
    assert again.inspections.image(1) == (b"image", ".jpg")
    again.close()
    postgres_server.drop_database(url)


def test_a_database_that_goes_while_it_reads(open_store: Opens) -> None:
    store = open_store(housekeeping_s=0)
    with store.database.writing() as connection:
        connection.execute(text("DROP TABLE drift"))
    with pytest.raises(StoreError, match="did not take what it was asked"):
        store.drift.load("a" * 64)
