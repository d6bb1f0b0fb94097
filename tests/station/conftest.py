"""Servers that tests of the station share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker
from postgres import postgres_server as postgres_server


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that anyone may connect to, which the test may stop and start again."""
    running = Broker(tmp_path / "broker").start()
    yield running
    running.stop()


@pytest.fixture
def locked_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that only the user `line` with the password `correct horse` may connect to."""
    running = Broker(tmp_path / "locked", username="line", password="correct horse").start()
    yield running
    running.stop()
