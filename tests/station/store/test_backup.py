"""A backup has everything, comes back on either database, and leaves nothing behind where it cannot."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from inspected import DIGEST, inspected
from sqlalchemy import text

from onlygood.errors import StoreError
from onlygood.station.schemas import ImageRegion, JobState, Label, Verdict
from onlygood.station.store.archive import tables_of
from onlygood.station.store.backup import backup
from onlygood.station.store.database import Database, sqlite_url
from onlygood.station.store.restore import restore
from onlygood.station.store.store import Store
from postgres import Server

Opens = Callable[..., Store]
SETTINGS = b'{"limits": {"workers": 2}}'
# What is half written, and what was refused, is in no backup.
CERTIFICATES = {
    "own/certificate.der": b"own",
    "own/private_key.pem": b"key",
    "own/.private_key.pem.part": b"k",
    "trusted/Steuerung Süd [1].der": b"plc",
    "rejected/other.der": b"other",
}


@pytest.fixture(params=["sqlite", "postgres"])
def other_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Of the database to restore into."""
    if request.param == "sqlite":
        yield None
        return
    server = request.getfixturevalue("postgres_server")
    address = server.new_database()
    yield address
    server.drop_database(address)


def fill(store: Store) -> None:
    """Something in every table."""
    model = store.models.add(
        "part", b"model", method="patch", origin="fit", false_alarm_rate=0.05, guarantee="...", good_images=9
    )
    for number in range(7):
        store.recorder.record(
            inspected(
                source="in",
                seen_key=f"key {number}",
                name=f"Bild {number} \u2603.png",
                content=bytes([number]) * 1000 if number else None,
                verdict=Verdict.ANOMALOUS if number % 2 else Verdict.GOOD,
                score=number / 3,
                model_sha256=model.sha256,
                regions=[ImageRegion(top=1, left=2, bottom=3, right=4, peak=1 / 3)],
                notes=["darker ☃"],
                at=datetime(2026, 3, 1, 12, 0, number, 123456, tzinfo=UTC),
            ),
            outputs=["plc"],
            drift=(DIGEST, '{"n": 1}'),
        )
    store.feedback.add(2, Label.GOOD, by="anna", note="fine")
    store.feedback.learned([2], 1)
    store.feedback.add(4, Label.DEFECT)
    store.seen.mark_unreadable("in", "broken", "it is none")
    store.seen.still_there("in", ["broken"])
    store.taught.add("part", "t.png", b"taught", suffix=".png", width=5, height=6)
    store.jobs.update(store.jobs.add("fit", "part", {"a": [1, {"b": None}]}).id, JobState.DONE, version=1)
    (store.data / "station.json").write_bytes(SETTINGS)
    for name, content in CERTIFICATES.items():
        (store.data / "pki" / name).parent.mkdir(parents=True, exist_ok=True)
        (store.data / "pki" / name).write_bytes(content)


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows, with moments in one form on both databases."""
    with database.reading() as connection:
        return {
            table.name: [
                {
                    key: value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
                    for key, value in row.items()
                }
                for row in connection.execute(table.select().order_by(*table.primary_key.columns)).mappings()
            ]
            for table in tables_of(connection)
        }


def test_a_backup_comes_back_on_either_database(open_store: Opens, tmp_path: Path, other_url: str | None) -> None:
    store = open_store(housekeeping_s=0)
    fill(store)
    before = everything(store.database)
    assert all(before.values()), "some table is not tested"
    manifest = store.backup(tmp_path / "b.zip")
    assert (manifest.images, manifest.models, manifest.station, manifest.numbers) == (7, 1, store.id, 7)
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "b.zip").stat().st_mode) == 0o600
    store.recorder.record(inspected())  # later than the backup

    assert restore(tmp_path / "b.zip", tmp_path / "again", other_url) == manifest
    again = Store(tmp_path / "again", url=other_url, housekeeping_s=0)
    assert everything(again.database) == before
    for id in range(2, 8):
        assert again.inspections.image(id) == store.inspections.image(id)
    assert again.inspections.image(1) is None
    assert again.taught.content(1) == (b"taught", ".png")
    active = again.models.active("part")
    assert active is not None and again.models.content(active.sha256) == b"model"
    assert (again.data / "station.json").read_bytes() == SETTINGS
    found = {path.relative_to(again.data / "pki").as_posix(): path for path in again.data.glob("pki/*/*")}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: content for name, content in CERTIFICATES.items() if name.startswith(("own/c", "own/p", "trusted/"))
    }
    if sys.platform != "win32":
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found.values())
    assert again.retention.run().orphans == 0
    assert again.kept_bytes() == 6006
    assert again.recorder.record(inspected(source="in", seen_key="key 9")).id == 8
    assert again.jobs.add("fit", "part", {}).id == 2
    assert again.taught.add("part", "u", b"u", width=1, height=1).id == 2
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "b.zip", "data"]


def test_numbers_go_on_where_they_were_though_inspections_went(
    open_store: Opens, tmp_path: Path, other_url: str | None
) -> None:
    store = open_store(housekeeping_s=0)
    for _ in range(5):
        store.recorder.record(inspected())
    with store.database.writing() as connection:
        connection.execute(text("DELETE FROM inspections"))
    store.backup(tmp_path / "b.zip")
    restore(tmp_path / "b.zip", tmp_path / "again", other_url)
    again = Store(tmp_path / "again", url=other_url, housekeeping_s=0)
    assert again.recorder.record(inspected()).id == 6
    again.close()


def test_of_a_station_that_records_and_lets_go_meanwhile(open_store: Opens, tmp_path: Path, url: str | None) -> None:
    store = open_store(housekeeping_s=0)
    ended = threading.Event()
    recorded: list[int] = []

    def work() -> None:
        while not ended.is_set():
            number = len(recorded)
            content = number.to_bytes(4, "big") * 100
            recorded.append(store.recorder.record(inspected(content=content, name=str(number)), outputs=["plc"]).id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while len(recorded) < 30:
            ended.wait(0.01)
        before = len(recorded)
        # From another place than the store, as the command does.
        backup(tmp_path / "b.zip", store.data, url)
    finally:
        ended.set()
        thread.join(30)
    restore(tmp_path / "b.zip", tmp_path / "again")
    again = Store(tmp_path / "again", housekeeping_s=0)
    records = list(again.inspections.each())
    assert len(records) >= before
    assert [record.id for record in records] == recorded[: len(records)]
    assert again.outbox.count("plc") == len(records)
    for record in records:
        assert again.inspections.image(record.id) == (int(record.name).to_bytes(4, "big") * 100, ".jpg")
    again.close()


def test_an_image_that_was_let_go_meanwhile(open_store: Opens, tmp_path: Path) -> None:
    store = open_store(housekeeping_s=0)
    for content in (b"one", b"two", b"two"):
        store.recorder.record(inspected(content=content))
    store._images.path(hashlib.sha256(b"two").hexdigest()).unlink()
    store.backup(tmp_path / "b.zip")
    restore(tmp_path / "b.zip", tmp_path / "again")
    again = Store(tmp_path / "again", housekeeping_s=0)
    assert [record.has_image for record in again.inspections.each()] == [True, False, False]
    assert again.kept_bytes() == 3
    again.close()


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a station that was ended, and its backup."""
    folder = tmp_path_factory.mktemp("station")
    store = Store(folder / "data", housekeeping_s=0)
    fill(store)
    store.backup(folder / "b.zip")
    store.close()
    return folder


@pytest.fixture
def archive(backed_up: Path, tmp_path: Path) -> Path:
    """A copy of both."""
    shutil.copytree(backed_up, tmp_path, dirs_exist_ok=True)
    return tmp_path / "b.zip"


def changed(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The archive with other files in it."""
    with zipfile.ZipFile(archive) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    change(files)
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)


def of_manifest(**values: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), **values}).encode()

    return change


def first(files: dict[str, bytes], begin: str) -> str:
    return next(name for name in files if name.startswith(begin))


def rows_changed(files: dict[str, bytes]) -> None:
    name = "tables/inspections.jsonl"
    files[name] = files[name].replace(b"Bild", b"Bald")


def rows_changed_back(files: dict[str, bytes]) -> None:
    name = "tables/inspections.jsonl"
    files[name] = files[name].replace(b"Bald", b"Bild")


def row_of_another_kind(files: dict[str, bytes]) -> None:
    files["tables/feedback.jsonl"] = b'{"id": 1}\n'


BROKEN: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "an image is another": (lambda f: f.update({first(f, "images/"): b"x"}), "images/.* is not what was written"),
    "a model is another": (lambda f: f.update({first(f, "models/"): b"x"}), "models/.* is not what was written"),
    "settings are others": (lambda f: f.update({"station.json": b"{}"}), "station.json is not what was written"),
    "a row is another": (rows_changed, "tables/inspections.jsonl is not what was written"),
    "a row is none": (row_of_another_kind, "tables/feedback.jsonl cannot be read"),
    "a row is no text": (lambda f: f.update({"tables/jobs.jsonl": b"\xff{"}), "tables/jobs.jsonl cannot be read"),
    "an image is missing": (lambda f: f.pop(first(f, "images/")) and None, "a part of it is missing"),
    "a table is missing": (lambda f: f.pop("tables/jobs.jsonl") and None, "a part of it is missing"),
    "a name leads out": (lambda f: f.update({"../x": b""}), "there is something in it that no backup has"),
    "an absolute name": (lambda f: f.update({"/etc/x": b""}), "there is something in it that no backup has"),
    "no manifest": (lambda f: f.pop("manifest.json") and None, "must be a station's, got a ZIP file of something else"),
    "a manifest that is none": (lambda f: f.update({"manifest.json": b"[]"}), "what it says of itself cannot be read"),
    "no number": (of_manifest(images="many"), "what it says of itself cannot be read"),
    "a newer format": (
        of_manifest(format=2),
        r"written by a newer onlygood \(its format is 2, this onlygood knows 1\)",
    ),
    "newer tables": (of_manifest(revision="9999"), r"written by a newer onlygood \(its tables are of revision 9999\)"),
}


def assert_nothing_is_left(archive: Path, case: str, url: str | None) -> None:
    change, sentence = BROKEN[case]
    changed(archive, change)
    with pytest.raises(StoreError, match=sentence):
        restore(archive, archive.parent / "again", url)
    assert sorted(path.name for path in archive.parent.iterdir()) == ["b.zip", "data"]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_archive_leaves_nothing_behind(archive: Path, case: str) -> None:
    assert_nothing_is_left(archive, case, None)


@pytest.mark.parametrize("case", ["an image is another", "a row is another", "a row is none"])
def test_nor_does_it_in_a_server(archive: Path, postgres_server: Server, case: str) -> None:
    url = postgres_server.new_database()
    assert_nothing_is_left(archive, case, url)
    new = Store(archive.parent / "new", url=url, housekeeping_s=0)
    assert new.inspections.count() == 0
    new.close()
    postgres_server.drop_database(url)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_an_archive_that_lost_its_end(archive: Path, part: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(part * len(content))])
    with pytest.raises(StoreError, match=r"the backup .*b.zip is damaged \(File is not a zip file\), and nothing was"):
        restore(archive, archive.parent / "again")
    assert sorted(path.name for path in archive.parent.iterdir()) == ["b.zip", "data"]


def test_every_byte_that_is_turned_is_noticed_or_harmless(archive: Path) -> None:
    content = archive.read_bytes()
    target = archive.parent / "again"
    restored = 0
    for place in range(0, len(content), max(1, len(content) // 25)):
        turned = bytearray(content)
        turned[place] ^= 0x41
        archive.write_bytes(bytes(turned))
        try:
            restore(archive, target)
        except StoreError:
            assert not target.exists()
            continue
        # What was turned holds nothing, such as the time of a file in the archive.
        restored += 1
        store = Store(target, housekeeping_s=0)
        assert [record.name for record in store.inspections.each()] == [
            f"Bild {number} \u2603.png" for number in range(7)
        ]
        assert all(store.inspections.image(id) == (bytes([id - 1]) * 1000, ".jpg") for id in range(2, 8))
        store.close()
        for path in sorted(target.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        target.rmdir()
    assert restored < 10


def test_where_it_cannot_be_restored(archive: Path, other_url: str | None) -> None:
    folder = archive.parent
    with pytest.raises(StoreError, match=r"a backup must be restored into an empty folder, got .*data, which is not"):
        restore(archive, folder / "data", other_url)
    with pytest.raises(StoreError, match=r"a backup must be a file that exists, got .*none.zip"):
        restore(folder / "none.zip", folder / "again", other_url)
    (folder / "empty" / "lost+found").mkdir(parents=True)
    restore(archive, folder / "empty", other_url)
    names = ["images", "lost+found", "model-files", "pki", "station-id", "station.json"]
    there = sorted(path.name for path in (folder / "empty").iterdir())
    assert there == (names if other_url is not None else sorted([*names, "station.db"]))
    if other_url is not None:
        with pytest.raises(StoreError, match="a backup must be restored into an empty database, got postgresql://"):
            restore(archive, folder / "again", other_url)
        assert not (folder / "again").exists()


def test_a_folder_that_was_there_stays_and_stays_empty(archive: Path) -> None:
    changed(archive, rows_changed)
    (archive.parent / "again").mkdir()
    with pytest.raises(StoreError, match="is not what was written"):
        restore(archive, archive.parent / "again")
    assert list((archive.parent / "again").iterdir()) == []


def test_into_a_file_of_sqlite_elsewhere(archive: Path) -> None:
    elsewhere = sqlite_url(archive.parent / "elsewhere.db")
    with zipfile.ZipFile(archive) as opened:
        content = opened.read("manifest.json")
    changed(archive, rows_changed)
    with pytest.raises(StoreError, match="is not what was written"):
        restore(archive, archive.parent / "again", elsewhere)
    assert sorted(path.name for path in archive.parent.iterdir()) == ["b.zip", "data"]
    changed(archive, rows_changed_back)
    assert json.loads(content)["images"] == restore(archive, archive.parent / "again", elsewhere).images
    again = Store(archive.parent / "again", url=elsewhere, housekeeping_s=0)
    assert again.inspections.count() == 7
    again.close()


def test_where_no_backup_can_be_written(archive: Path) -> None:
    folder = archive.parent
    with pytest.raises(StoreError, match=r"a backup must be written to a new file, got .*b.zip, which exists"):
        backup(archive, folder / "data")
    with pytest.raises(StoreError, match=r"a backup must be written into a folder, got .*nowhere, which is none"):
        backup(folder / "nowhere" / "b.zip", folder / "data")
    with pytest.raises(StoreError, match=r"a station must have been started in .*other to be backed up"):
        backup(folder / "c.zip", folder / "other")
    (folder / "data" / "station.db").write_bytes(b"nothing" * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        backup(folder / "c.zip", folder / "data")
    assert sorted(path.name for path in folder.iterdir()) == ["b.zip", "data"]
