"""The tables that migrations make are those that the code expects, and databases of others are refused."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from inspected import inspected
from sqlalchemy import text

from onlygood.errors import StoreError
from onlygood.station.store.database import Database, sqlite_url
from onlygood.station.store.schema import differences, head_revision, known_revisions, migrate
from onlygood.station.store.store import Store


def test_migrations_make_what_the_code_expects(store: Store) -> None:
    assert differences(store.database) == []


def test_migrations_have_one_end(store: Store) -> None:
    assert known_revisions()[0] == "0001"
    with store.database.reading() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == head_revision()


def test_a_second_start_changes_nothing(store: Store) -> None:
    migrate(store.database)
    assert differences(store.database) == []


def test_a_database_of_an_older_onlygood_is_brought_up_to_date(
    open_store: Callable[..., Store], url: str | None, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    old = Database(url or sqlite_url(tmp_path / "data" / "station.db"))
    migrate(old, revision="0001")
    with old.writing() as connection:
        connection.execute(text("INSERT INTO seen (source, key, at) VALUES ('in', 'a.png', '2026-01-01 00:00:00')"))
    assert len(differences(old)) > 0
    old.close()
    store = open_store()
    assert differences(store.database) == []
    assert store.seen.is_seen("in", "a.png")
    assert store.recorder.record(inspected()).id == 1


def test_a_newer_database_is_refused_and_left_as_it_is(open_store: Callable[..., Store]) -> None:
    store = open_store()
    with store.database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"was written by a newer onlygood \(its tables are of revision 9999"):
            open_store()


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "other.db"))
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE wages (id INTEGER)"))
    with pytest.raises(StoreError, match=r"must be empty or a station's, got one with .* \(wages\)"):
        migrate(database)
    database.close()


def test_a_station_leaves_nothing_of_alembic_in_its_folder(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "images",
        "model-files",
        "station-id",
        "station.db",
        "station.lock",
    ]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://user@host/name", "got an address that begins with mysql://"),
        ("sqlite://", "got an address that begins with sqlite://"),
        ("not an address", "must look like postgresql://user:password@host/name, got another one: check it"),
    ],
)
def test_an_address_that_is_none(tmp_path: Path, url: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        Store(tmp_path / "data", url=url)


@pytest.mark.parametrize(
    "url",
    ["postgresql//station:s3cret@host/name", "postgresql://station:se@host:s3cret/name", "s3cret"],
)
def test_an_address_that_cannot_be_read_is_not_shown_since_it_may_hold_a_password(url: str) -> None:
    with pytest.raises(StoreError, match="got another one") as refused:
        Database(url)
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


def test_the_parameters_of_an_address_are_not_shown() -> None:
    assert Database("postgresql://host/name?user=station&password=s3cret").shown == "postgresql://host/name"


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="must answer, got no connection to it") as refused:
        Store(tmp_path / "data", url="postgresql://station:s3cret@127.0.0.1:9/none")
    assert "s3cret" not in str(refused.value)
