"""What appears when something goes wrong is what the guide says: each situation is brought about."""

from __future__ import annotations

import dataclasses
import io
import re
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from onlygood.errors import OnlygoodError
from onlygood.station.frames import make_source
from onlygood.station.inspecting import ToInspect
from onlygood.station.outputs.registry import make_output
from onlygood.station.schemas import InspectionRecord, Verdict
from onlygood.station.serving.pool import Pool
from onlygood.station.settings_file import FILE_NAME, SettingsFile
from onlygood.station.station import Station
from onlygood.station.station_settings import (
    CameraSource,
    FolderSource,
    MqttOutput,
    OutputSettings,
    Retention,
    RtspSource,
    SourceSettings,
    WebhookOutput,
)
from onlygood.station.store.clock import Clock
from onlygood.station.store.records import NewInspection
from onlygood.station.store.store import Store
from onlygood.station.web.access import check_listening
from onlygood.station.web.certificate import Certificate
from onlygood.station.web.server import listen
from tests.station.outputs.certificates import Authority
from tests.station.server import MODELS
from textures import as_colour, texture

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "station.md").read_text(encoding="utf-8")
DATA = "/var/lib/onlygood/station"
Situation = Callable[[Path], str]


A_RECORD = InspectionRecord(
    id=1742,
    at=datetime(2026, 11, 29, 12, tzinfo=UTC),
    model="part",
    model_sha256="ab" * 32,
    source="hall",
    name="hall-000012",
    verdict=Verdict.ANOMALOUS,
    score=1.0,
    p_value=0.01,
    latency_ms=12.5,
    width=640,
    height=480,
)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(OnlygoodError) as raised:
        act()
    return str(raised.value)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def why_not_opened(settings: SourceSettings) -> str:
    source = make_source(settings)
    try:
        return refused(source.open)
    finally:
        source.close()


def why_not_told(settings: OutputSettings) -> str:
    output = make_output(settings, Path())

    def tell() -> None:
        output.open()
        output.deliver([A_RECORD])

    try:
        return refused(tell)
    finally:
        output.close()


def port_taken(folder: Path) -> str:
    with closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        return refused(lambda: listen("127.0.0.1", port)).replace(str(port), "8000")


def no_tokens(folder: Path) -> str:
    return refused(lambda: check_listening("0.0.0.0", 0, without_tokens=False))


def no_camera(folder: Path) -> str:
    return why_not_opened(CameraSource(name="belt", device=97)).replace("97", "0")


def rtsp_down(folder: Path) -> str:
    port = free_port()
    said = why_not_opened(RtspSource(name="hall", url=f"rtsp://user:secret@127.0.0.1:{port}/stream"))
    assert "secret" not in said
    return said.replace(f"127.0.0.1:{port}", "192.168.0.20:554")


def no_folder(folder: Path) -> str:
    said = why_not_opened(FolderSource(name="incoming", path=str(folder / "incoming")))
    return said.replace(str(folder), "/srv")


def two_stations(folder: Path) -> str:
    with closing(Store(folder, housekeeping_s=0)):
        said = refused(lambda: Store(folder, housekeeping_s=0))
    return re.sub(r"process \d+", "process 4711", said)


def newer_database(folder: Path) -> str:
    with closing(Store(folder, housekeeping_s=0)) as store, store.database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    said = refused(lambda: Store(folder, housekeeping_s=0))
    return re.sub(r"up to \d+", "up to 0001", said)


def no_database(folder: Path) -> str:
    port = free_port()
    address = f"postgresql://onlygood@127.0.0.1:{port}/onlygood"
    said = refused(lambda: Store(folder, url=address, housekeeping_s=0)).replace(f"127.0.0.1:{port}", "database")
    return re.sub(r"\(.*\)", "(...)", said)


def another_key(folder: Path) -> str:
    authority = Authority(folder)
    certificate, other = authority.certificate("127.0.0.1"), authority.certificate("127.0.0.2")
    text = certificate.read_text()
    certificate.write_text(text[text.index("-----BEGIN CERT") :])
    said = refused(lambda: Certificate(certificate, other))
    return said.replace(str(certificate), "/etc/onlygood/cert.pem").replace(str(other), "/etc/onlygood/key.pem")


def expired_certificate(folder: Path) -> str:
    path = Authority(folder).certificate("127.0.0.1", begins_in_days=-2, ends_in_days=-1)
    (said,) = Certificate(path).problems()
    return said.replace(str(path), "/etc/onlygood/cert.pem")


def disk_full(folder: Path) -> str:
    with closing(Store(folder, retention=Retention(min_free_bytes=1 << 60), housekeeping_s=0)) as store:
        fields = {each.name for each in dataclasses.fields(NewInspection)} & {*A_RECORD.model_fields_set} - {"at"}
        values = {name: getattr(A_RECORD, name) for name in fields}
        store.recorder.record(NewInspection(**values, content=b"an image", suffix=".png"))
        (said,) = store.problems()
    return re.sub(r"has [\d,]+ MiB free, and [\d,]+ MiB", "has 312 MiB free, and 500 MiB", said)


def broker_refusing(folder: Path) -> str:
    port = free_port()
    said = why_not_told(MqttOutput(name="line", host="127.0.0.1", port=port))
    return re.sub(r"\(.*\)", "(...)", said.replace(f"127.0.0.1:{port}", "broker.example:1883"))


def webhook_slow(folder: Path) -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:  # it accepts, and never answers
        port = silent.getsockname()[1]
        said = why_not_told(WebhookOutput(name="mes", url=f"http://127.0.0.1:{port}/", timeout_s=0.1))
    return said.replace(f"127.0.0.1:{port}", "mes.example").replace("0.1 s", "10 s")


def clock_set_back(folder: Path) -> str:
    now = [datetime(2026, 11, 29, 12, tzinfo=UTC)]
    clock = Clock(lambda: now[0], steady=lambda: 0.0)
    now[0] -= timedelta(hours=3)
    return clock.problem() or ""


def another_kind_of_image(folder: Path) -> str:
    buffer = io.BytesIO()
    Image.fromarray(as_colour(texture(3)) // np.array([1, 2, 3], np.uint8)).save(buffer, format="PNG")
    image = ToInspect(model="part", content=buffer.getvalue(), source="hall", name="hall-000012")
    station = Station(folder)
    try:
        station.models.add("part", (MODELS / "format-2-patch.onnx").read_bytes(), origin="upload")
        return refused(lambda: station.submit(image).result(60))
    finally:
        station.stop()


def queue_full(folder: Path) -> str:
    gate = Event()
    pool = Pool(workers=1, queue_size=64)
    try:
        running = Event()
        pool.submit(lambda: (running.set(), gate.wait(60)))
        assert running.wait(60)
        for _ in range(64):
            pool.submit(gate.is_set)
        return refused(lambda: pool.submit(gate.is_set))
    finally:
        gate.set()
        pool.close()


def misspelt_setting(folder: Path) -> str:
    (folder / FILE_NAME).write_text('{"retenton": {}}', encoding="utf-8")
    return refused(lambda: SettingsFile(folder / FILE_NAME))


SITUATIONS: tuple[Situation, ...] = (
    port_taken,
    no_tokens,
    no_camera,
    rtsp_down,
    no_folder,
    two_stations,
    another_key,
    expired_certificate,
    newer_database,
    no_database,
    disk_full,
    broker_refusing,
    webhook_slow,
    clock_set_back,
    another_kind_of_image,
    queue_full,
    misspelt_setting,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_the_guide_has_the_sentence_that_appears(situation, tmp_path):
    if situation is no_camera and sys.platform != "linux":
        pytest.skip("elsewhere the system does not say why a camera cannot be opened")
    folder = tmp_path / "data"
    folder.mkdir()
    said = situation(folder)
    said = said.replace(str(folder), DATA)
    assert f"`{said}`" in " ".join(GUIDE.split()), said
