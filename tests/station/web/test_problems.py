import errno
from pathlib import Path

import pytest

from onlygood import errors
from onlygood.errors import OnlygoodError
from onlygood.station.store.troubles import DatabaseError, Trouble
from onlygood.station.web.problems import headers_of, kind_of, status_of
from tests.station.server import Running, good_png

STATUSES = {
    "SettingError": 422,
    "ImageError": 422,
    "ImageTooLargeError": 413,
    "ImageFormatError": 422,
    "FolderError": 422,
    "NotAllGoodError": 422,
    "BackboneError": 422,
    "ModelFileError": 422,
    "ModelFormatError": 422,
    "ModelVersionError": 422,
    "TrainingError": 422,
    "CheckpointError": 422,
    "LabelledSetError": 422,
    "VerificationError": 500,
    "WriteError": 500,
    "MissingExtraError": 501,
    "StationError": 409,
    "SourceError": 409,
    "OutputError": 409,
    "StoreError": 500,
    "NotFoundError": 404,
    "BusyError": 503,
}


def every_error() -> list[type[OnlygoodError]]:
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, OnlygoodError)]
    return [each for each in found if each is not OnlygoodError]


def made(kind: type[OnlygoodError]) -> OnlygoodError:
    return errors.BusyError("a sentence", retry_after_s=1.5) if kind is errors.BusyError else kind("a sentence")


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_each_error_of_the_library_has_a_status(kind: type[OnlygoodError]) -> None:
    error = made(kind)
    known = next(name for name in (each.__name__ for each in kind.__mro__) if name in STATUSES)
    assert status_of(error) == STATUSES[known]
    assert kind_of(error) == kind.__name__


def test_a_full_queue_says_when_to_ask_again() -> None:
    assert headers_of(errors.BusyError("a sentence", retry_after_s=1.5)) == {"Retry-After": "2"}


@pytest.mark.parametrize("kind", [errors.StoreError, errors.WriteError])
@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 500)])
def test_a_full_disk_is_told_from_a_broken_one(kind: type[OnlygoodError], number: int, status: int) -> None:
    with pytest.raises(kind) as raised:
        try:
            raise OSError(number, "from the system")
        except OSError as cause:
            raise kind("a sentence") from cause
    assert status_of(raised.value) == status


@pytest.mark.parametrize("trouble", list(Trouble))
def test_what_is_wrong_with_a_database_has_a_status(trouble: Trouble) -> None:
    error = DatabaseError("a sentence", trouble=trouble)
    wanted = {Trouble.FULL: 507, Trouble.LOST: 503, Trouble.LOCKED: 503}
    assert status_of(error) == wanted.get(trouble, 500)
    assert ("Retry-After" in headers_of(error)) == (status_of(error) == 503)
    assert kind_of(error) == "StoreError"


def test_a_full_disk_is_answered_with_its_sentence_and_nothing_is_acknowledged(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise DatabaseError("the disk of the database x is full: make room on it", trouble=Trouble.FULL)

    before = served.client.get("/v1/inspections").json()
    with monkeypatch.context() as patched:
        patched.setattr("onlygood.station.store.recorder.record_entries", full)
        answer = served.client.post("/v1/models/part/inspect", files={"image": good_png()})
    assert (answer.status_code, answer.json()) == (
        507,
        {"detail": "the disk of the database x is full: make room on it", "error": "StoreError"},
    )
    assert served.client.get("/v1/inspections").json() == before
    assert served.client.post("/v1/models/part/inspect", files={"image": good_png()}).status_code == 200


def test_a_model_that_cannot_be_kept_is_answered_with_its_sentence(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise errors.WriteError("x cannot be written: no space left on device: make room") from error

    content = (Path(__file__).parents[2] / "models" / "format-2-knn.onnx").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("onlygood.station.store.model_versions.write_atomically", full)
        answer = served.client.put("/v1/models/new", content=content)
    assert (answer.status_code, answer.json()["error"]) == (507, "StoreError")
    assert served.client.get("/v1/models/new").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "sentence", "allow"),
    [
        ("GET", "/v1/models/part/inspect", "'/v1/models/part/inspect' does not take 'GET': use POST", "POST"),
        ("DELETE", "/v1/teach/part", "'/v1/teach/part' does not take 'DELETE': use GET or POST", "GET, POST"),
        ("TRACE", "/healthz", "'/healthz' does not take 'TRACE': use GET", "GET"),
    ],
)
def test_another_method_is_answered_with_those_that_a_path_takes(
    served: Running, method: str, path: str, sentence: str, allow: str
) -> None:
    answer = served.client.request(method, path)
    assert (answer.status_code, answer.json()["detail"], answer.headers["allow"]) == (405, sentence, allow)


def test_json_that_is_too_deep_is_refused(served: Running) -> None:
    answer = served.client.post("/v1/jobs/update", content=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("the body must be JSON")
