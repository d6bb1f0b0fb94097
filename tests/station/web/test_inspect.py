import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.station.station_settings import Limits, StationSettings
from tests.station.server import Running, bad_png, good_jpeg, good_png, running
from tests.station.web.conftest import PATCH

URL = "/v1/models/part/inspect"


@pytest.fixture(scope="module")
def inspector() -> onlygood.Inspector:
    return onlygood.Inspector(PATCH)


def test_a_form_with_one_image_is_answered_with_the_verdict_of_the_library(
    served: Running, inspector: onlygood.Inspector
) -> None:
    answer = served.client.post(URL, files={"image": ("new.png", bad_png())})
    assert answer.status_code == 200
    [result] = answer.json()["results"]
    wanted, found = inspector(bad_png()), result["inspection"]
    assert (result["name"], result["problem"], result["map_png"]) == ("new.png", None, None)
    assert (found["verdict"], found["score"], found["p_value"]) == ("anomalous", wanted.score, wanted.p_value)
    assert (found["width"], found["height"], found["source"]) == (96, 96, "http")
    assert found["model_sha256"] == hashlib.sha256(PATCH.read_bytes()).hexdigest()
    assert wanted.regions is not None
    left, top, right, bottom = wanted.regions[0].box
    region = found["regions"][0]
    assert (region["left"], region["top"], region["right"], region["bottom"]) == (left, top, right, bottom)


@pytest.mark.parametrize("kind", ["image/jpeg", "image/anything", "application/octet-stream"])
def test_raw_bytes_are_inspected_and_take_their_name_from_the_query(
    served: Running, inspector: onlygood.Inspector, kind: str
) -> None:
    answer = served.client.post(URL, content=good_jpeg(), headers={"Content-Type": kind}, params={"name": "7.jpg"})
    [result] = answer.json()["results"]
    assert (result["name"], result["inspection"]["verdict"]) == ("7.jpg", "good")
    assert result["inspection"]["score"] == inspector(good_jpeg()).score


def test_several_images_are_answered_in_their_order_and_a_broken_one_in_its_place(served: Running) -> None:
    images = [("a.png", good_png(1)), ("b.png", b"no image"), ("c.png", bad_png(2)), ("d.png", good_png(3)[:-20])]
    answer = served.client.post(URL, files=[("image", each) for each in images])
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["name"] for each in results] == ["a.png", "b.png", "c.png", "d.png"]
    verdicts = [each["inspection"] and each["inspection"]["verdict"] for each in results]
    assert verdicts == ["good", None, "anomalous", None]
    assert results[1]["problem"] == "b.png is a text file, which is not read: give an image"
    assert results[3]["problem"].startswith("d.png is a damaged PNG file") or "cut short" in results[3]["problem"]


def test_one_that_cannot_be_inspected_is_refused_with_the_same_sentence_as_the_library(
    served: Running, inspector: onlygood.Inspector
) -> None:
    with pytest.raises(onlygood.ImageError) as refused:
        inspector(b"no image", name="b.png")
    answer = served.client.post(URL, files={"image": ("b.png", b"no image")})
    assert (answer.status_code, answer.json()) == (422, {"detail": str(refused.value), "error": "ImageError"})


def test_an_image_of_another_kind_than_the_model_takes_is_refused(served: Running) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 20), 3000, np.uint16)).save(buffer, format="PNG")
    answer = served.client.post(URL, files={"image": ("deep.png", buffer.getvalue())})
    assert (answer.status_code, answer.json()["error"]) == (422, "ImageFormatError")
    assert "16 bits a channel, the model takes 8" in answer.json()["detail"]


def test_the_map_is_drawn_over_the_image_as_the_library_draws_it(
    served: Running, inspector: onlygood.Inspector
) -> None:
    [result] = served.client.post(f"{URL}?map=png", files={"image": ("b.png", bad_png())}).json()["results"]
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(result["map_png"]))))
    both = np.asarray(inspector(bad_png()).heatmap())
    np.testing.assert_array_equal(drawn, both[:, -96:])


@pytest.mark.parametrize(
    ("keep", "content", "is_kept"),
    [
        ("all", good_png(5), True),
        ("anomalous", good_png(5), False),
        ("anomalous", bad_png(5), True),
        ("none", bad_png(5), False),
    ],
)
def test_what_is_not_to_be_remembered_is_not(served: Running, keep: str, content: bytes, is_kept: bool) -> None:
    before = served.client.get("/v1/inspections?limit=1").json()["inspections"]
    [result] = served.client.post(URL, files={"image": content}, params={"keep": keep}).json()["results"]
    after = served.client.get("/v1/inspections?limit=1").json()["inspections"]
    assert (result["inspection"]["id"] > 0) == is_kept
    assert (before != after) == is_kept


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\x\\y.png", "a\x00b.png", "\x1b[31m.png", "\u202egnp.exe", "ö" * 300, ""]
)
def test_a_name_is_data_and_what_is_not_seen_in_it_is_written_out(served: Running, name: str) -> None:
    answer = served.client.post(
        URL, content=good_png(), headers={"Content-Type": "image/png"}, params={"name": name} if name else {}
    )
    [result] = answer.json()["results"]
    kept = served.client.get(f"/v1/inspections/{result['inspection']['id']}").json()["name"]
    assert kept == result["name"] == result["inspection"]["name"]
    assert 1 <= len(kept) <= 255
    assert kept.isprintable()
    assert served.client.get(f"/v1/inspections/{result['inspection']['id']}/image").content == good_png()


def test_a_name_that_is_no_utf_8_is_data(served: Running) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="\xff\xfe.png"\r\n\r\n'
        + good_png()
        + b"\r\n--x--\r\n"
    )
    answer = served.client.post(URL, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.json()["results"][0]["name"] == "\xff\xfe.png"


def test_an_unknown_model_is_answered_with_the_nearest_one(served: Running) -> None:
    answer = served.client.post("/v1/models/prat/inspect", files={"image": good_png()})
    assert answer.status_code == 404
    assert answer.json() == {
        "detail": "a model must be one that is served, got 'prat', and there are part: did you mean 'part'?",
        "error": "NotFoundError",
    }


@pytest.mark.parametrize(
    ("headers", "content", "status", "sentence"),
    [
        ({}, b"", 415, "an image must come as a file of a form (multipart/form-data) or as the bytes"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"image=x", 415, "with curl use -F image=@FILE"),
        ({"Content-Type": "application/json"}, b"{}", 415, "got 'application/json'"),
        ({"Content-Type": "multipart/form-data"}, b"x", 422, "must name its boundary"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"garbage", 422, "damaged or cut short"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 422, "got a form without a file"),
        ({"Content-Type": "multipart/form-data; boundary=" + 300 * "x"}, b"", 422, "1 to 200 bytes"),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b"--x\r\nContent-Type: image/png\r\n\r\nabc\r\n--x--\r\n",
            422,
            "a name in its Content-Disposition",
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc\r\n',
            422,
            "damaged or cut short",
        ),
        ({"Content-Type": "image/png"}, b"", 422, "is empty (0 bytes)"),
    ],
)
def test_what_brings_no_image_is_refused(
    served: Running, headers: dict[str, str], content: bytes, status: int, sentence: str
) -> None:
    answer = served.client.post(URL, content=content, headers=headers)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("map=jpg", "map in the query must be 'png' or 'none', got 'jpg'"),
        ("keep=yes", "keep in the query must be 'all', 'anomalous' or 'none', got 'yes'"),
        ("source=line", "source in the query must be 'http' or 'page', got 'line'"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused(served: Running, query: str, sentence: str) -> None:
    answer = served.client.post(f"{URL}?{query}", files={"image": good_png()})
    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)


def test_nobody_waits_for_the_large_image_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_begun, goes_on, inspect = Event(), Event(), onlygood.Inspector.inspect

    def slow(self: onlygood.Inspector, image: Any, name: str, *others: Any) -> Any:
        if name == "large":
            has_begun.set()
            goes_on.wait(30)
        return inspect(self, image, name, *others)

    monkeypatch.setattr(onlygood.Inspector, "inspect", slow)
    settings = StationSettings(limits=Limits(workers=2))
    with running(tmp_path, settings, models={"part": PATCH}) as station, ThreadPoolExecutor(1) as pool:

        def ask(name: str) -> int:
            with httpx.Client(base_url=station.url, timeout=30) as client:
                [result] = client.post(URL, files={"image": (name, good_png())}).json()["results"]
            return int(result["inspection"]["id"])

        large = pool.submit(ask, "large")
        assert has_begun.wait(30)
        small = [ask("small") for _ in range(3)]
        assert not large.done()
        goes_on.set()
        assert large.result() > max(small)
