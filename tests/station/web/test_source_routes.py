from collections.abc import Iterator
from pathlib import Path

import pytest

from onlygood.station.station_settings import FolderSource, JsonLinesOutput, StationSettings
from tests.station.server import Running, good_png, running, until
from tests.station.web.conftest import KNN, PATCH


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A station that watches a folder, one image for each trigger, and tells a file of it."""
    folder = tmp_path_factory.mktemp("incoming")
    source = FolderSource(name="belt", path=str(folder), model="part", trigger="http", settle_s=0.0)
    output = JsonLinesOutput(name="log", path=str(tmp_path_factory.mktemp("out") / "log.jsonl"))
    settings = StationSettings(sources=(source,), outputs=(output,))
    models = {"part": PATCH, "other": KNN}
    with running(tmp_path_factory.mktemp("station"), settings, models=models) as station:
        yield station, folder


def test_sources_are_listed_stopped_and_started(watching: tuple[Running, Path]) -> None:
    client = watching[0].client
    [listed] = client.get("/v1/sources").json()
    assert (listed["name"], listed["kind"], listed["model"]) == ("belt", "folder", "part")
    assert client.get("/v1/sources/belt").json()["name"] == "belt"
    client.post("/v1/sources/belt/stop")
    until(lambda: client.get("/v1/sources/belt").json()["state"] == "stopped")
    answer = client.post("/v1/sources/belt/trigger")
    assert (answer.status_code, answer.json()) == (
        409,
        {
            "detail": "the source belt must run to take a trigger, and is stopped: start it",
            "error": "SourceError",
        },
    )
    client.post("/v1/sources/belt/start")
    until(lambda: client.get("/v1/sources/belt").json()["state"] != "stopped")


def test_a_trigger_inspects_one_image_and_the_output_is_told(watching: tuple[Running, Path]) -> None:
    station, folder = watching
    (folder / "1.png").write_bytes(good_png(1))
    until(lambda: station.client.post("/v1/sources/belt/trigger").status_code == 202)
    found = until(lambda: station.client.get("/v1/inspections?source=belt").json()["inspections"])
    assert (found[0]["name"], found[0]["model"]) == ("1.png", "part")
    [output] = until(lambda: [o for o in station.client.get("/v1/outputs").json() if o["delivered"] >= 1])
    assert (output["name"], output["kind"], output["waiting"]) == ("log", "jsonl", 0)


def test_a_source_can_use_another_model(watching: tuple[Running, Path]) -> None:
    client = watching[0].client
    assert client.put("/v1/sources/belt/model", json={"model": "other"}).json()["model"] == "other"
    assert client.put("/v1/sources/belt/model", json={"model": "othr"}).status_code == 404
    assert client.get("/v1/sources/belt").json()["model"] == "other"


@pytest.mark.parametrize("what", ["GET ", "POST /start", "POST /stop", "POST /trigger", "PUT /model"])
def test_an_unknown_source_is_answered_with_the_nearest_one(watching: tuple[Running, Path], what: str) -> None:
    method, path = what.split(" ")
    body = {"model": "part"} if method == "PUT" else None
    answer = watching[0].client.request(method, f"/v1/sources/bellt{path}", json=body)
    assert answer.status_code == 404
    assert answer.json()["detail"].endswith("did you mean 'belt'?")


def test_the_settings_are_shown_with_their_paths(watching: tuple[Running, Path]) -> None:
    shown = watching[0].client.get("/v1/settings").json()
    assert [each["name"] for each in shown["sources"] + shown["outputs"]] == ["belt", "log"]
