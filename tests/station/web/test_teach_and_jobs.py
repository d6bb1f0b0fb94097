import io

import pytest
from PIL import Image

from tests.station.server import Running, good_png, until


def test_good_images_are_taught_seen_left_out_and_thrown_out(served: Running) -> None:
    client = served.client
    files = [("image", (f"{number}.png", good_png(number))) for number in range(3)] + [("image", ("x", b"no image"))]
    results = client.post("/v1/teach/new", files=files).json()
    assert [each["name"] for each in results] == ["0.png", "1.png", "2.png", "x"]
    assert results[3] == {"name": "x", "image": None, "problem": "x is a text file, which is not read: give an image"}
    images = [each["image"] for each in results[:3]]
    assert client.get("/v1/teach/new").json() == images
    assert client.get("/v1/teach").json() == ["new"]
    url = f"/v1/teach/images/{images[0]['id']}"
    assert client.get(f"{url}/image").content == good_png(0)
    assert Image.open(io.BytesIO(client.get(f"{url}/thumbnail").content)).format == "JPEG"
    assert client.put(f"{url}/left-out", json={"is_left_out": True}).json()["is_left_out"] is True
    assert client.put(f"{url}/left-out", json={"is_left_out": False}).json() == images[0]
    assert client.delete(url).json() == images[0]
    assert client.get("/v1/teach/new").json() == images[1:]


def test_one_image_alone_that_cannot_be_read_is_refused(served: Running) -> None:
    answer = served.client.post("/v1/teach/new", files={"image": ("x", b"no image")})
    assert (answer.status_code, answer.json()["error"]) == (422, "ImageError")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/teach/images/999999/left-out"),
        ("DELETE", "/v1/teach/images/999999"),
        ("GET", "/v1/teach/images/999999/image"),
        ("GET", "/v1/teach/images/999999/thumbnail"),
    ],
)
def test_a_taught_image_that_is_not_there_is_not_found(served: Running, method: str, path: str) -> None:
    answer = served.client.request(method, path, json={"is_left_out": True} if method == "PUT" else None)
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFoundError")


def test_a_job_can_be_cancelled(served: Running) -> None:
    served.client.post("/v1/teach/again", files={"image": good_png(1)})
    ids = [served.client.post("/v1/jobs/fit", json={"model": "again"}).json()["id"] for _ in range(2)]
    assert served.client.post(f"/v1/jobs/{ids[1]}/cancel").status_code == 200
    assert served.client.post(f"/v1/jobs/{ids[0]}/cancel").status_code == 200
    for id in ids:
        until(
            lambda id=id: served.client.get(f"/v1/jobs/{id}").json()["state"] in ("cancelled", "failed"), timeout_s=60
        )


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("fit", {"model": "nothing"}, 422, "a fit of nothing needs good images that it is taught with, got none"),
        ("fit", {"model": "../x"}, 422, "model in the body must be 1 to 64 letters, digits, dots"),
        ("fit", {"model": "x", "false_alarm_rate": 1}, 422, "false_alarm_rate in the body must be less than 1, got 1"),
        ("fit", {"model": "new", "method": "pach"}, 422, "pach"),
        ("fit", {"model": "new", "settings": {"bank_sise": 5}}, 422, "bank_sise"),
        ("update", {"model": "part"}, 422, "an update of part needs false alarms that are marked good"),
        ("update", {"model": "nix"}, 404, "a model must be one that is served, got 'nix'"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_at_once(
    served: Running, path: str, body: dict[str, object], status: int, sentence: str
) -> None:
    answer = served.client.post(f"/v1/jobs/{path}", json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/jobs/999999"), ("POST", "/v1/jobs/999999/cancel")])
def test_a_job_that_is_not_there_is_not_found(served: Running, method: str, path: str) -> None:
    answer = served.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFoundError")
