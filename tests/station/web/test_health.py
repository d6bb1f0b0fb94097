from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from onlygood.station.store.tables import StationRow
from onlygood.station.store.troubles import DatabaseError, Trouble
from tests.station.server import Running, good_png, running


def metrics_of(station: Running) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = station.client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health_says_how_everything_is(served: Running) -> None:
    health = served.client.get("/v1/health").json()
    assert health["is_ready"] is True
    assert (health["queued"], health["queue_size"]) == (0, 64)
    assert [each["name"] for each in health["models"]] == ["part"]
    assert health["disk_free_bytes"] > 0


def test_one_that_cannot_remember_is_not_ready_and_says_why_to_those_with_a_token_alone(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(served.station.store.recorder), "is_recording", False)
    monkeypatch.setattr(served.station.store, "problems", lambda: ["the disk is full"])
    answer = served.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert "the disk is full" in served.client.get("/v1/health").json()["problems"]
    assert metrics_of(served)["onlygood_ready", ()] == 0


def test_health_and_metrics_outlive_the_database(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise DatabaseError("the database must answer, got no connection to it", trouble=Trouble.LOST)

    with monkeypatch.context() as patched:
        patched.setattr(served.station.store.models, "names", away)
        answer = served.client.get("/v1/health")
        assert (answer.status_code, answer.json()["is_ready"], answer.json()["models"]) == (200, False, [])
        assert answer.json()["problems"] == ["the database must answer, got no connection to it"]
        found = metrics_of(served)
        assert found["onlygood_ready", ()] == 0
        assert found["onlygood_queue_images", ()] == 0
        answer = served.client.get("/v1/models")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert metrics_of(served)["onlygood_ready", ()] == 1


def test_prometheus_reads_requests_by_route_and_the_state_of_the_station(served: Running) -> None:
    inspect = (("method", "POST"), ("route", "/v1/models/{name}/inspect"), ("status", "200"))
    before = metrics_of(served)
    for _ in range(3):
        served.client.post("/v1/models/part/inspect", files={"image": good_png()})
    after = metrics_of(served)
    requests = ("onlygood_http_requests_total", inspect)
    assert after[requests] - before.get(requests, 0) == 3
    seconds = ("onlygood_http_request_seconds_count", (("route", "/v1/models/{name}/inspect"),))
    assert after[seconds] - before.get(seconds, 0) == 3
    labels = (("model", "part"), ("source", "http"), ("verdict", "good"))
    inspections = ("onlygood_inspections_total", labels)
    assert after[inspections] - before.get(inspections, 0) == 3
    taken = ("onlygood_inspection_seconds_count", (("model", "part"),))
    assert after[taken] - before.get(taken, 0) == 3
    assert after["onlygood_ready", ()] == 1
    assert after["onlygood_model_version", (("model", "part"),)] == 1
    assert after["onlygood_queue_size_images", ()] == 64


def test_paths_and_methods_that_anyone_makes_up_are_no_metrics_of_their_own(served: Running) -> None:
    before = len(metrics_of(served))
    for number in range(20):
        served.client.request(f"X{number}", f"/made/up/{number}")
        served.client.get(f"/v1/models/{number}")
    new = len(metrics_of(served)) - before
    assert new < 40
    assert not [each for each in metrics_of(served) if "made" in str(each)]


def test_a_clock_that_jumped_while_the_station_was_off_is_believed_when_a_person_says_so(tmp_path: Path) -> None:
    with running(tmp_path) as first, first.station.store.database.writing() as connection:
        connection.execute(update(StationRow).values(clock_at=datetime.now(UTC) - timedelta(days=400)))
    with running(tmp_path) as station:
        health = station.client.get("/v1/health").json()
        assert health["doubts_clock"] is True
        assert "the clock of this computer is 400 days ahead of what it said before" in health["problems"][0]
        assert health["is_ready"] is True  # it inspects all the same
        assert "The clock is right" in station.client.get("/health").text
        trusted = station.client.post("/v1/clock/trust").json()
        assert (trusted["doubts_clock"], trusted["problems"]) == (False, [])
        assert "The clock is right" not in station.client.get("/health").text
