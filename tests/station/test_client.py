import io
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import (
    BusyError,
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
    ModelFormatError,
    NotFoundError,
    SettingError,
    StationError,
)
from onlygood.station.client import StationClient
from onlygood.station.schemas import FitRequest, JobState, Label, Verdict
from onlygood.station.station_settings import Limits, StationSettings, Token
from onlygood.station.web.certificate import Certificate
from onlygood.station.web.tokens import sha256_of
from tests.station.outputs.certificates import Authority
from tests.station.server import MODELS, Running, bad_png, good_jpeg, good_png, running, until
from textures import FAST

PATCH, KNN = MODELS / "format-2-patch.onnx", MODELS / "format-2-knn.onnx"
SETTINGS = {name: value for name, value in FAST.items() if name != "false_alarm_rate"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = Limits(max_image_bytes=40_000, workers=1, queue_size=2)
    settings = StationSettings(limits=limits)
    with running(tmp_path_factory.mktemp("station"), settings, models={"part": PATCH}, heartbeat_s=0.1) as station:
        yield station


@pytest.fixture
def client(served: Running) -> Iterator[StationClient]:
    with StationClient(served.url, retry_for_s=0) as found:
        yield found


def test_one_image_by_its_path_or_its_bytes(client: StationClient, tmp_path: Path) -> None:
    path = tmp_path / "new ö.png"
    path.write_bytes(bad_png())
    record = client.inspect("part", path)
    assert (record.name, record.verdict, record.source) == ("new ö.png", Verdict.ANOMALOUS, "http")
    assert record.score > 0 and record.regions
    assert client.inspection(record.id) == record
    assert client.image(record.id) == bad_png()
    assert client.inspect("part", good_png(), name="a/b.png").name == "a/b.png"
    record, png = client.inspect_with_map("part", str(path), keep="none")
    assert record.id == 0
    assert Image.open(io.BytesIO(png)).size == (96, 96)
    assert Image.open(io.BytesIO(client.map(client.inspect("part", path).id))).size == (96, 96)


def test_many_images_in_their_order_and_each_that_is_none_in_its_place(client: StationClient, tmp_path: Path) -> None:
    images = [good_png(1), b"no image", tmp_path / "missing.png", bad_png(2), good_jpeg(3), b"", bad_png(4)]
    for at_once in (1, 2, 7):
        results = list(client.inspect_many("part", images, at_once=at_once))
        verdicts = [each.inspection.verdict if each.inspection else None for each in results]
        good, bad = Verdict.GOOD, Verdict.ANOMALOUS
        assert verdicts == [good, None, None, bad, good, None, bad]
        assert results[2].problem is not None and "missing.png cannot be read (no such file" in results[2].problem


def test_many_images_are_taken_as_their_results_are_asked_for(client: StationClient) -> None:
    taken = []

    def images() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield good_png(number)

    results = client.inspect_many("part", images(), at_once=4)
    next(results)
    assert len(taken) == 4


def test_the_history_page_by_page_and_what_a_person_says(client: StationClient) -> None:
    ids = [client.inspect("part", bad_png(each), name=f"history-{each}").id for each in range(5)]
    assert [each.id for each in client.inspections(name="history-", verdict=Verdict.ANOMALOUS)] == ids[::-1]
    assert list(client.inspections(name="history-", until=datetime.now(UTC) - timedelta(days=1))) == []
    record = client.feedback(ids[0], Label.GOOD, note="dust")
    assert record.feedback is not None and (record.feedback.label, record.feedback.note) == (Label.GOOD, "dust")
    assert [each.id for each in client.inspections(name="history-", label="any")] == [ids[0]]
    assert client.model("part").active.in_review >= 1
    assert client.rates("part")[0].marked_good >= 1


def test_pages_are_asked_for_as_they_are_needed(client: StationClient, served: Running) -> None:
    for number in range(3):
        client.inspect("part", good_png(number), name="paged")
    connection = client._station
    sent, send = [], connection.send

    def counted(method: str, path: str, **settings: object) -> object:
        sent.append(settings["params"])
        return send(method, path, **{**settings, "params": {**settings["params"], "limit": 1}})  # type: ignore[dict-item]

    connection.send = counted  # type: ignore[assignment, method-assign]
    records = client.inspections(name="paged")
    next(records)
    assert len(sent) == 1
    assert len(list(records)) == 2


def test_models_are_uploaded_swapped_rolled_back_and_downloaded(client: StationClient) -> None:
    assert client.upload("other", PATCH).number == 1
    assert client.upload("other", KNN.read_bytes(), note="from bytes").note == "from bytes"
    assert client.model("other").active.number == 2
    assert client.roll_back("other").active.number == 1
    assert client.activate("other", 2).active.number == 2
    assert client.download("other", 2) == KNN.read_bytes()
    assert {each.name for each in client.models()} >= {"part", "other"}
    assert sorted(each.number for each in client.versions("other")) == [1, 2]


def test_a_model_is_taught_fitted_and_used(client: StationClient) -> None:
    images = [client.teach("new", good_png(each), name=f"{each}.png") for each in range(13)]
    assert client.taught("new") == images
    assert client.leave_out(images[0].id).is_left_out
    assert client.remove_taught(images[0].id).name == "0.png"
    job = client.fit(FitRequest(model="new", false_alarm_rate=0.1, settings=SETTINGS))
    done = client.wait(job, timeout_s=90)
    assert (done.state, done.version) == (JobState.DONE, 1)
    assert client.jobs()[0] == client.job(job.id) == done
    version = client.model("new").active
    assert (version.origin, version.good_images, version.false_alarm_rate) == ("fit", 12, 0.1)
    record = client.inspect("new", bad_png())
    assert (record.verdict, record.model_sha256) == (Verdict.ANOMALOUS, version.sha256)
    # One that has ended is left as it is.
    assert client.cancel(job.id) == done


def test_a_job_that_fails_says_why_to_the_one_who_waits(client: StationClient) -> None:
    client.teach("few", good_png(1))
    job = client.fit(FitRequest(model="few", false_alarm_rate=0.05))
    with pytest.raises(StationError, match=r"good images|image"):
        client.wait(job, timeout_s=60)
    client.teach("more", good_png(1))
    cancelled = client.cancel(client.fit(FitRequest(model="more")).id)
    with pytest.raises(StationError):
        client.wait(cancelled, timeout_s=60)


def test_events_as_they_happen_and_after_a_lost_connection(client: StationClient, served: Running) -> None:
    first = client.inspect("part", good_png())
    events = client.events(after=first.id - 1)
    found = next(events)
    assert (found.kind, found.inspection) == ("inspection", first)
    second = client.inspect("part", good_png())
    assert next(events).inspection == second
    # The station ends all streams; the client comes back and gets what happened meanwhile.
    loop_stop = threading.Event()

    async def stop() -> None:
        served.app.state.streams.stop()
        loop_stop.set()

    served.app.add_api_route("/stop-streams", stop, methods=["POST"])
    client._station.send("POST", "/stop-streams")
    until(lambda: served.app.state.streams.open == 0)
    served.app.state.streams.is_stopping = False
    third = client.inspect("part", good_png())
    assert next(events).inspection == third


def test_health_sources_and_outputs(client: StationClient) -> None:
    assert client.health().is_ready
    assert (client.sources(), client.outputs()) == ([], [])


# Errors


def test_a_refusal_raises_the_error_that_the_library_would(client: StationClient, tmp_path: Path) -> None:
    deep = io.BytesIO()
    Image.fromarray(np.full((20, 20), 3000, np.uint16)).save(deep, format="PNG")
    cases = [
        (lambda: client.inspect("prat", good_png()), NotFoundError, "did you mean 'part'?"),
        (lambda: client.inspect("part", b"no image", name="x"), ImageError, "x is a text file, which is not read"),
        (lambda: client.inspect("part", bytes(40_001)), ImageTooLargeError, "40,000 bytes (max_image_bytes)"),
        (lambda: client.inspect("part", deep.getvalue()), ImageFormatError, "16 bits a channel"),
        (lambda: client.inspect("part", tmp_path / "x.png"), ImageError, "cannot be read (no such file or directory)"),
        (lambda: client.upload("part", b"garbage"), ModelFormatError, "must be an ONNX file"),
        (lambda: client.upload("a b", PATCH), SettingError, "name in the path must be 1 to 64 letters"),
        (lambda: client.inspection(999_999), NotFoundError, "999999"),
        (lambda: client.feedback(999_999, Label.GOOD), NotFoundError, "999999"),
        (lambda: client.update("prat"), NotFoundError, "prat"),
        (lambda: client.fit(FitRequest(model="untaught")), SettingError, "needs good images"),
        (lambda: client.start_source("x"), NotFoundError, "x"),
        (lambda: client.trigger("x"), NotFoundError, "x"),
        (lambda: client.job(999_999), NotFoundError, "999999"),
    ]
    for call, kind, sentence in cases:
        with pytest.raises(kind) as refused:
            call()
        assert type(refused.value) is kind
        assert sentence in str(refused.value)


def test_a_full_queue_is_an_error_or_waited_for(served: Running, client: StationClient) -> None:
    goes_on = threading.Event()
    running_work = [served.station.pool.submit(goes_on.wait)]
    until(lambda: served.station.pool.queued == 0)
    running_work += [served.station.pool.submit(goes_on.wait) for _ in range(2)]
    with pytest.raises(BusyError, match=r"^at most 2 images may wait") as refused:
        client.inspect("part", good_png())
    assert refused.value.retry_after_s >= 1
    threading.Timer(0.2, goes_on.set).start()
    with StationClient(served.url, retry_for_s=30) as patient:
        assert patient.inspect("part", good_png()).verdict is Verdict.GOOD
    for each in running_work:
        each.result()


def test_tokens_are_sent_and_their_refusal_is_a_sentence(tmp_path: Path) -> None:
    settings = StationSettings(tokens=(Token(name="x", sha256=sha256_of("right"), right="inspect"),))
    with running(tmp_path, settings, models={"part": PATCH}) as station:
        with StationClient(station.url, token="right") as client:
            assert client.inspect("part", good_png()).verdict is Verdict.GOOD
            with pytest.raises(StationError, match="this needs the right to manage"):
                client.upload("part", PATCH)
        for token, sentence in (("wrong", "not one of this station's"), ("", "a token must come with each request")):
            with StationClient(station.url, token=token) as client, pytest.raises(StationError, match=sentence):
                client.models()


def test_a_station_that_does_not_answer_is_said_in_a_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with StationClient(url) as client:
        for call in (client.models, lambda: next(client.events(reconnects=False))):
            with pytest.raises(StationError, match=rf"^the station at {url} must answer, and does not \("):
                call()


def test_another_server_than_a_station_is_said_in_a_sentence(served: Running) -> None:
    with StationClient(f"{served.url}/static") as client, pytest.raises(StationError):
        client.models()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", ""])
def test_an_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="must begin with http:// or https://"):
        StationClient(url)


# HTTPS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Running]:
    certificate = Certificate(authority.certificate("127.0.0.1"))
    folder = tmp_path_factory.mktemp("secure")
    with running(folder, models={"part": PATCH}, certificate=certificate, heartbeat_s=0.1) as station:
        yield station


def test_a_private_authority_is_trusted_by_its_file_its_folder_or_a_context(
    secure: Running, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "trusted").mkdir()
    digest = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(authority.path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    (tmp_path / "trusted" / f"{digest}.0").write_bytes(authority.path.read_bytes())
    context = ssl.create_default_context(cafile=authority.path)
    for verify in (authority.path, str(authority.path), tmp_path / "trusted", context, False):
        with StationClient(secure.url, verify=verify) as client:
            record = client.inspect("part", good_png())
            assert client.inspect("part", bad_png()).verdict is Verdict.ANOMALOUS
            event = next(client.events(after=record.id))
            assert event.inspection is not None and event.inspection.verdict is Verdict.ANOMALOUS


def test_a_certificate_that_is_not_trusted_is_said_in_a_sentence(secure: Running, tmp_path: Path) -> None:
    for verify in (True, Authority(tmp_path).path):
        with StationClient(secure.url, verify=verify) as client:
            for ask in (client.health, lambda: next(client.events())):  # which would be tried for ever
                with pytest.raises(StationError) as refused:
                    ask()
                assert str(refused.value).startswith(
                    f"the station at {secure.url} must show a certificate that is trusted, and does not ("
                )
                assert str(refused.value).endswith(
                    "give the PEM file of its authority, or of the certificate itself, as verify"
                )


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_that_cannot_be_read_are_said_in_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError) as refused:
        StationClient("https://localhost:8000", verify=path)
    assert str(refused.value).startswith(f"verify must be a PEM file or a folder with certificates, got {path} (")
