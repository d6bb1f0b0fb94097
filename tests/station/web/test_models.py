import hashlib

import pytest

from tests.station.server import Running, good_png
from tests.station.web.conftest import KNN, PATCH


def test_models_are_listed_and_shown(served: Running) -> None:
    [listed] = served.client.get("/v1/models").json()
    assert listed == served.client.get("/v1/models/part").json()
    assert (listed["name"], listed["versions"], listed["problem"]) == ("part", 1, None)
    active = listed["active"]
    assert (active["number"], active["method"], active["origin"], active["is_active"]) == (1, "patch", "upload", True)
    assert active["sha256"] == hashlib.sha256(PATCH.read_bytes()).hexdigest()


def test_an_upload_is_served_and_can_be_rolled_back(served: Running) -> None:
    client = served.client
    for method, number, path in (("PUT", 1, PATCH), ("POST", 2, KNN)):
        answer = client.request(method, "/v1/models/other?note=a+note", content=path.read_bytes())
        assert (answer.status_code, answer.json()["number"], answer.json()["note"]) == (201, number, "a note")

    def used() -> str:
        [result] = client.post("/v1/models/other/inspect", files={"image": good_png()}).json()["results"]
        digest: str = result["inspection"]["model_sha256"]
        return digest

    digests = {number: hashlib.sha256(path.read_bytes()).hexdigest() for number, path in ((1, PATCH), (2, KNN))}
    assert used() == digests[2]
    assert client.post("/v1/models/other/rollback").json()["active"]["number"] == 1
    assert used() == digests[1]
    answer = client.post("/v1/models/other/rollback")
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFoundError")
    assert client.post("/v1/models/other/versions/2/activate").json()["active"]["number"] == 2
    assert used() == digests[2]
    numbers = [each["number"] for each in client.get("/v1/models/other/versions").json()]
    assert sorted(numbers) == [1, 2]
    assert client.get("/v1/models/other/versions/1").json()["is_active"] is False


def test_a_version_can_be_downloaded_and_says_what_it_is(served: Running) -> None:
    answer = served.client.get("/v1/models/part/versions/1/file")
    assert answer.content == PATCH.read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="part-1.onnx"'
    described = served.client.get("/v1/models/part/versions/1/description").json()
    assert (described["method"], described["good_images"]["count"]) == ("patch", 16)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must be one that `onlygood fit` wrote, got no ONNX graph at all"),
        (b"garbage", "must be an ONNX file, got 7 bytes that are not one or are cut short"),
        (PATCH.read_bytes()[:-100], "must be"),
    ],
)
def test_a_broken_upload_leaves_the_old_version_serving(served: Running, content: bytes, sentence: str) -> None:
    before = served.client.get("/v1/models/part").json()
    answer = served.client.put("/v1/models/part", content=content)
    assert answer.status_code == 422
    assert answer.json()["error"] in ("ModelFormatError", "ModelFileError")
    assert sentence in answer.json()["detail"]
    assert served.client.get("/v1/models/part").json()["active"] == before["active"]
    assert served.client.post("/v1/models/part/inspect", files={"image": good_png()}).status_code == 200


@pytest.mark.parametrize("name", [".hidden", "-x", "a b", "x" * 65, "%00", "..%2f..%2fx", "part%0a"])
def test_a_name_that_cannot_stand_in_a_path_is_refused(served: Running, name: str) -> None:
    answer = served.client.put(f"/v1/models/{name}", content=PATCH.read_bytes())
    assert answer.status_code in (404, 422)
    assert [each["name"] for each in served.client.get("/v1/models").json()] in (["part"], ["other", "part"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/nix"),
        ("GET", "/v1/models/nix/versions"),
        ("GET", "/v1/models/part/versions/9"),
        ("GET", "/v1/models/part/versions/9/file"),
        ("GET", "/v1/models/nix/versions/1/description"),
        ("POST", "/v1/models/part/versions/9/activate"),
        ("POST", "/v1/models/nix/rollback"),
    ],
)
def test_what_is_not_there_is_not_found(served: Running, method: str, path: str) -> None:
    answer = served.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFoundError")
