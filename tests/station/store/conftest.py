"""A station's memory on each of the databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onlygood.station.store.store import Store


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Of an empty database; None for SQLite in the data folder."""
    if request.param == "sqlite":
        yield None
        return
    server = request.getfixturevalue("postgres_server")
    address = server.new_database()
    yield address
    server.drop_database(address)


@pytest.fixture
def open_store(tmp_path: Path, url: str | None) -> Iterator[Callable[..., Store]]:
    """Opens the memory of one station, also several times; what is left open is closed at the end."""
    opened: list[Store] = []

    def opens(**options: Any) -> Store:
        # What is let go, and when, is said by the tests of that.
        opened.append(Store(tmp_path / "data", url=url, **{"housekeeping_s": 0, **options}))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()
