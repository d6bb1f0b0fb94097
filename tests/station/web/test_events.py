import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from onlygood.station import hub
from onlygood.station.schemas import Event, Label
from onlygood.station.web.routes.events import MOST_STREAMS, encode
from tests.station.server import Running, good_png, until


def lines_of(station: Running, last: str | None = None) -> Iterator[str]:
    headers = {} if last is None else {"Last-Event-ID": last}
    with (
        httpx.Client(base_url=station.url, timeout=20) as client,
        client.stream("GET", "/v1/events", headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield from answer.iter_lines()


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Number, kind and data of each event."""
    number = kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            number = value
        elif name == "event":
            kind = value
        elif name == "data":
            yield number, kind, json.loads(value)
            number = kind = ""


def inspect(station: Running) -> int:
    answer = station.client.post("/v1/models/part/inspect", files={"image": good_png()})
    id: int = answer.json()["results"][0]["inspection"]["id"]
    return id


def listening(station: Running, last: str | None = None) -> Iterator[tuple[str, str, Any]]:
    """Events from now on; what is asked of the station afterwards is among them."""
    lines = lines_of(station, last)
    assert next(lines) == "retry: 2000"
    return events_of(lines)


def test_what_happens_is_told_in_its_order(served: Running) -> None:
    events = listening(served)
    id = inspect(served)
    served.client.post(f"/v1/inspections/{id}/feedback", json={"label": "defect"})
    number, kind, data = next(events)
    assert (number, kind, data["kind"]) == (str(id), "inspection", "inspection")
    assert data["inspection"] == _without_none(served.client.get(f"/v1/inspections/{id}").json() | {"feedback": None})
    number, kind, data = next(events)
    assert (number, kind, data["inspection"]["feedback"]["label"]) == ("", "feedback", "defect")


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def test_a_stream_that_is_made_again_begins_where_the_last_one_ended(served: Running) -> None:
    ids = [inspect(served) for _ in range(3)]
    events = listening(served, str(ids[0]))
    ids.append(inspect(served))
    assert [next(events)[0] for _ in range(3)] == [str(each) for each in ids[1:]]


def test_one_that_was_away_for_too_long_is_told_how_many_it_lost(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onlygood.station.web.routes.events.MOST_WAITING", 2)
    ids = [inspect(served) for _ in range(4)]
    events = listening(served, str(ids[0]))
    assert next(events) == ("", "lost", {"events": 1})
    assert [next(events)[0] for _ in range(2)] == [str(each) for each in ids[2:]]


@pytest.mark.parametrize("last", ["x", "-1", "9" * 60, "1.5", ""])
def test_a_last_event_that_is_none_is_no_error(served: Running, last: str) -> None:
    events = listening(served, last)
    id = inspect(served)
    while next(events)[0] != str(id):
        pass


def test_one_that_is_not_remembered_has_no_number_to_go_on_from(served: Running) -> None:
    events = listening(served)
    served.client.post("/v1/models/part/inspect?keep=none", files={"image": good_png()})
    number, kind, data = next(events)
    assert (number, kind, data["inspection"]["id"]) == ("", "inspection", 0)


def test_a_quiet_stream_gives_signs_of_life(served: Running) -> None:
    lines = lines_of(served)
    assert ": still here" in (next(lines) for _ in range(20))


def test_a_slow_reader_is_told_how_many_it_lost(served: Running) -> None:
    events = listening(served)
    for _ in range(3):
        inspect(served)
    record = served.station.inspection(1)

    async def flood() -> None:
        """The event loop does nothing else meanwhile: as where nobody takes what the stream has."""
        for _ in range(hub.MOST_WAITING + 10):
            served.station.hub.publish(Event(kind="feedback", inspection=record))

    served.app.add_api_route("/flood", flood, methods=["POST"])
    assert served.client.post("/flood").status_code == 200
    kinds = [next(events) for _ in range(4)]
    served.app.router.routes.pop()
    assert [each[1] for each in kinds[:3]] == ["inspection"] * 3
    assert kinds[3] == ("", "lost", {"events": 10})


def test_a_reader_that_goes_away_is_noticed(served: Running) -> None:
    streams = [listening(served) for _ in range(3)]
    assert served.station.hub.subscribers == 4  # and the metrics
    while streams:
        streams.pop().close()  # type: ignore[attr-defined]
    until(lambda: served.station.hub.subscribers == 1)


def test_more_streams_than_a_station_gives_are_refused(served: Running) -> None:
    streams = served.app.state.streams
    opened, streams.open = streams.open, MOST_STREAMS
    try:
        answer = served.client.get("/v1/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert answer.json()["detail"].startswith(f"a station gives {MOST_STREAMS} streams of events at once")
    finally:
        streams.open = opened


def test_an_event_is_one_line_whatever_is_in_it(served: Running) -> None:
    id = inspect(served)
    record = served.station.give_feedback(id, Label.GOOD, note="a\nb\r\nid: 5\n\nevent: x")
    assert encode(Event(kind="feedback", inspection=record)).count(b"\n") == 3
