"""A model that is replaced while it inspects."""

import hashlib
from collections import Counter
from threading import Event, Thread
from typing import Any

import httpx

from tests.station.server import Running, bad_png, good_png, until
from tests.station.web.conftest import KNN, PATCH

CLIENTS, SWAPS = 4, 5


def test_no_request_fails_while_a_model_is_replaced(served: Running) -> None:
    wanted = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in (PATCH, KNN)}
    ends = Event()
    found: list[tuple[int, Any]] = []
    failures: list[BaseException] = []

    def ask(number: int) -> None:
        image = bad_png(number) if number % 2 else good_png(number)
        try:
            with httpx.Client(base_url=served.url, timeout=30) as client:
                while not ends.is_set():
                    answer = client.post("/v1/models/part/inspect", files={"image": image})
                    found.append((answer.status_code, answer.json()))
        except Exception as error:
            failures.append(error)

    threads = [Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    broken = served.client.put("/v1/models/part", content=b"broken")
    for number in range(SWAPS):
        before = len(found)
        until(lambda before=before: len(found) > before + 12 or failures)
        path = (KNN, PATCH)[number % 2]
        assert served.client.put("/v1/models/part", content=path.read_bytes()).status_code == 201
    before = len(found)
    until(lambda: len(found) > before + 12 or failures)
    ends.set()
    for thread in threads:
        thread.join()
    assert broken.status_code == 422
    assert not failures
    assert Counter(status for status, _ in found) == {200: len(found)}
    records = [answer["results"][0]["inspection"] for _, answer in found]
    assert len({each["id"] for each in records}) == len(records)
    assert set(Counter(each["model_sha256"] for each in records)) == set(wanted)
    for record in records[::25]:
        assert served.client.get(f"/v1/inspections/{record['id']}").json() == record


def test_once_a_swap_is_answered_no_request_sees_the_old_model(served: Running) -> None:
    for path in (KNN, PATCH, KNN):
        served.client.put("/v1/models/part", content=path.read_bytes())
        [result] = served.client.post("/v1/models/part/inspect", files={"image": good_png()}).json()["results"]
        assert result["inspection"]["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
