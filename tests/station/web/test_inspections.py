import io

import pytest
from PIL import Image

from tests.station.server import Running, bad_png, good_png


@pytest.fixture(scope="module")
def ids(served: Running) -> list[int]:
    """Of five inspections, the second and the fourth anomalous."""
    found = []
    for number in range(5):
        content = bad_png(number) if number % 2 else good_png(number)
        answer = served.client.post("/v1/models/part/inspect", files={"image": (f"lot-{number}.png", content)})
        found.append(answer.json()["results"][0]["inspection"]["id"])
    return found


def test_the_history_comes_page_by_page_the_newest_first(served: Running, ids: list[int]) -> None:
    found, before = [], None
    while True:
        page = served.client.get("/v1/inspections", params={"limit": 2} | ({"before": before} if before else {}))
        found += [each["id"] for each in page.json()["inspections"]]
        before = page.json()["next_before"]
        if before is None:
            break
    assert found == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("verdict=anomalous", [3, 1]),
        ("model=part&name=LOT-2", [2]),
        ("model=nix", []),
        ("source=page", []),
        ("since=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00%2B01:00", []),
        ("label=none&verdict=good", [4, 2, 0]),
    ],
)
def test_the_history_is_narrowed_down(served: Running, ids: list[int], query: str, wanted: list[int]) -> None:
    page = served.client.get(f"/v1/inspections?{query}").json()
    assert [each["id"] for each in page["inspections"]] == [ids[each] for each in wanted]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "limit in the query must be greater than or equal to 1, got '0'"),
        ("limit=501", "limit in the query must be less than or equal to 500, got '501'"),
        ("before=x", "before in the query must be a valid integer, unable to parse string as an integer, got 'x'"),
        ("verdict=bad", "verdict in the query must be 'good' or 'anomalous', got 'bad'"),
        ("since=yesterday", "since in the query must be a valid datetime"),
        ("since=2026-01-01T00:00:00", "since in the query must have timezone info"),
    ],
)
def test_filters_that_cannot_be_used_are_refused_by_name(served: Running, query: str, sentence: str) -> None:
    answer = served.client.get(f"/v1/inspections?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)


def test_an_inspection_has_its_image_a_thumbnail_and_a_map(served: Running, ids: list[int]) -> None:
    url = f"/v1/inspections/{ids[1]}"
    image = served.client.get(f"{url}/image")
    assert (image.content, image.headers["content-type"]) == (bad_png(1), "image/png")
    assert image.headers["content-security-policy"] == "default-src 'none'; sandbox"
    thumbnail = Image.open(io.BytesIO(served.client.get(f"{url}/thumbnail").content))
    assert thumbnail.format == "JPEG"
    [asked] = served.client.post("/v1/models/part/inspect?map=png&keep=none", files={"image": bad_png(1)}).json()[
        "results"
    ]
    drawn = served.client.get(f"{url}/map")
    assert drawn.headers["content-type"] == "image/png"
    assert _same(drawn.content, asked["map_png"])


def _same(png: bytes, encoded: str) -> bool:
    import base64

    one, other = (Image.open(io.BytesIO(each)) for each in (png, base64.b64decode(encoded)))
    return one.size == other.size and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("what", ["", "/image", "/thumbnail", "/map"])
def test_an_inspection_that_is_not_remembered_is_not_found(served: Running, what: str) -> None:
    answer = served.client.get(f"/v1/inspections/999999{what}")
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFoundError")


@pytest.mark.parametrize("id", ["0", "-1", "x", "1.5", "9" * 40, "%00"])
def test_a_number_that_is_none_is_refused(served: Running, id: str) -> None:
    answer = served.client.get(f"/v1/inspections/{id}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("id in the path must be ")


def test_the_latest_feedback_holds(served: Running, ids: list[int]) -> None:
    url = f"/v1/inspections/{ids[3]}/feedback"
    assert served.client.post(url, json={"label": "defect", "note": "a scratch"}).status_code == 200
    record = served.client.post(url, json={"label": "good"}).json()
    assert (record["feedback"]["label"], record["feedback"]["note"], record["feedback"]["by"]) == ("good", "", "")
    assert served.client.get(f"/v1/inspections/{ids[3]}").json() == record
    marked = served.client.get("/v1/inspections?label=any").json()["inspections"]
    assert [each["id"] for each in marked] == [ids[3]]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('{"label": "bad"}', "label in the body must be 'good' or 'defect', got 'bad'"),
        ("{}", "label in the body must be given, and it is not: add it"),
        ('{"label": "good", "lable": 1}', "lable in the body is not known: leave it out, or check how it is spelt"),
        ('{"label": "good", "note": 5}', "note in the body must be a valid string, got 5"),
        ("{", "the body must be JSON, got something else"),
        ("[]", "the body must be a JSON object with Content-Type application/json, got []"),
        ("\ud800", "the body must be JSON"),
    ],
)
def test_feedback_that_cannot_be_used_is_refused_by_name(
    served: Running, ids: list[int], body: str, sentence: str
) -> None:
    answer = served.client.post(
        f"/v1/inspections/{ids[0]}/feedback",
        content=body.encode("utf-8", "surrogatepass"),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"].startswith(sentence)
    assert served.client.get(f"/v1/inspections/{ids[0]}").json()["feedback"] is None
