"""What a station as a whole does with changed settings, and while its database is away."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import pytest

from onlygood.errors import StoreError
from onlygood.station.inspecting import ToInspect
from onlygood.station.station import Station
from onlygood.station.station_settings import FolderSource, Retention, WebhookOutput
from postgres import running_server
from shown import PATCH, png

DEADLINE_S = 60.0


def _inspected(station: Station, seed: int) -> int:
    image = ToInspect(model="part", content=png(seed), source="http", name=f"{seed}.png")
    return station.submit(image).result(DEADLINE_S).record.id


def test_bounds_that_are_changed_hold_at_once_and_nothing_waits_for_an_output_that_is_removed(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.start()
    station.models.add("part", PATCH, origin="upload")
    outputs = tuple(WebhookOutput(name=name, url="http://127.0.0.1:9/") for name in ("kept", "removed"))
    station.change_settings(lambda now: now.model_copy(update={"outputs": outputs}))
    ids = [_inspected(station, seed) for seed in range(3)]
    assert [station.store.outbox.count(each.name) for each in outputs] == [3, 3]
    bounds = Retention(max_image_bytes=len(png(2)), min_free_bytes=0)
    station.change_settings(lambda now: now.model_copy(update={"outputs": outputs[:1], "retention": bounds}))
    assert [station.store.outbox.count(each.name) for each in outputs] == [3, 0]
    station.store.retention.run()
    assert [station.inspection(id).has_image for id in ids] == [False, False, True]
    station.stop()


def test_sources_that_are_changed_hold_though_the_database_cannot_forget_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = Station(tmp_path / "data")
    station.start()

    def keep_only(outputs: Collection[str]) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(station.store.outbox, "keep_only", keep_only)
    sources = (FolderSource(name="belt", path=str(tmp_path), starts=False),)
    with pytest.raises(StoreError, match="the disk is full"):
        station.change_settings(lambda now: now.model_copy(update={"sources": sources}))
    assert station.settings.sources == sources
    assert list(station.lines) == ["belt"]
    station.stop()


def test_health_says_what_is_known_while_the_database_is_away(tmp_path: Path) -> None:
    with running_server() as server:
        station = Station(tmp_path, url=server.new_database())
        station.start()
        station.models.add("part", PATCH, origin="upload")
        _inspected(station, 1)
        server.stop("immediate")
        health = station.health()
        assert health.models == ()
        assert "must answer, got no connection to it" in health.problems[0]
        assert health.queue_size == 64
        server.start()
        deadline = time.monotonic() + DEADLINE_S
        while not (health := station.health()).models:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [each.name for each in health.models] == ["part"]
        station.stop()
