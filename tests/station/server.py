"""A station with its HTTP server on a free port, for tests of all that talks to it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from onlygood.errors import NotFoundError
from onlygood.heatmap import overlay, to_screen
from onlygood.images.kinds import format_of_source
from onlygood.images.reading import read_image
from onlygood.station.hub import Hub
from onlygood.station.schemas import Event, Health, ImageRegion, Label, Verdict
from onlygood.station.serving.models import ServedModels
from onlygood.station.serving.pool import Pool
from onlygood.station.station_settings import StationSettings
from onlygood.station.store.records import NewInspection
from onlygood.station.store.store import Store
from onlygood.station.web.app import make_app
from onlygood.station.web.protocol import StationProtocol
from onlygood.station.web.server import WebServer
from textures import texture, with_defect

MODELS = Path(__file__).parents[1] / "models"


@dataclass
class Inspected:
    record: Any
    inspection: Any
    pixels: Any


class FakeStation:
    """The real parts, put together until the station itself is."""

    def __init__(self, data: Path, settings: StationSettings) -> None:
        self.settings = settings
        self.store = Store(data)
        self.hub = Hub()
        self.models = ServedModels(
            self.store.models, settings.limits, changed=lambda m: self.hub.publish(Event(kind="model", model=m))
        )
        limits = settings.limits
        self.pool = Pool(workers=limits.workers, queue_size=limits.queue_size, queue_timeout_s=limits.queue_timeout_s)
        self.lines: dict[str, Any] = {}

    def submit(
        self, model: str, content: bytes, *, source: str, name: str, with_map: bool = False, keep: bool = True
    ) -> Future[Inspected]:
        result: Future[Inspected] = Future()

        def work() -> None:
            try:
                served = self.models.get(model)
                inspection, pixels = served.inspector.inspect(content, name, None)
                new = NewInspection(
                    model=model,
                    model_sha256=served.version.sha256,
                    source=source,
                    name=name,
                    verdict=Verdict.ANOMALOUS if inspection.is_anomaly else Verdict.GOOD,
                    score=inspection.score,
                    p_value=inspection.p_value,
                    latency_ms=inspection.latency_ms,
                    width=pixels.shape[1],
                    height=pixels.shape[0],
                    regions=[
                        ImageRegion(top=b[0], left=b[1], bottom=b[2], right=b[3], peak=each.peak)
                        for each in inspection.regions or ()
                        for b in [each.box]
                    ],
                    notes=[each.sentence for each in inspection.differences],
                    content=content if keep else None,
                    suffix={"JPEG": ".jpg", "PNG": ".png"}.get(format_of_source(content) or "", ".bin"),
                )
                recorded = self.store.recorder.submit(new)
            except Exception as error:
                result.set_exception(error)
                return

            def done(future: Future[Any]) -> None:
                if future.exception() is not None:
                    result.set_exception(future.exception())
                    return
                self.hub.publish(Event(kind="inspection", inspection=future.result()))
                result.set_result(Inspected(future.result(), inspection, pixels))

            recorded.add_done_callback(done)

        waiting = self.pool.submit(work)

        def refused(future: Future[Any]) -> None:
            if future.exception() is not None:
                result.set_exception(future.exception())

        waiting.add_done_callback(refused)
        return result

    def teach(self, model: str, content: bytes, *, name: str) -> Any:
        pixels = read_image(content, name=name)
        return self.store.taught.add(model, name, content, width=pixels.shape[1], height=pixels.shape[0])

    def feedback(self, id: int, label: Label, *, by: str, note: str) -> Any:
        record = self.store.feedback.add(id, label, by, note)
        self.hub.publish(Event(kind="feedback", inspection=record))
        return record

    def draw_map(self, id: int) -> Image.Image:
        record, kept = self.store.inspections.get(id), self.store.inspections.image(id)
        if record is None or kept is None:
            raise NotFoundError(f"no image {id}")
        found, _ = self.models.get(record.model).inspector.inspect(kept[0], record.name, None)
        assert found.pixels is not None and found.anomaly_map is not None
        return overlay(
            to_screen(found.pixels.image, found.pixels.window), found.anomaly_map, levels=found.pixels.levels
        )

    def sources(self) -> tuple[Any, ...]:
        return ()

    def outputs_status(self) -> tuple[Any, ...]:
        return ()

    def line(self, name: str) -> Any:
        raise NotFoundError(f"no source {name!r}")

    def health(self) -> Health:
        return Health(
            is_ready=True,
            uptime_s=1.0,
            queued=self.pool.queued,
            queue_size=self.pool.queue_size,
            inspections_per_s=0.0,
            disk_free_bytes=self.store.free_bytes(),
            kept_bytes=0,
            sources=(),
            outputs=(),
            models=self.models.all(),
            drift=(),
        )

    def close(self) -> None:
        self.pool.close()
        self.store.close()


@dataclass
class Running:
    """A station that answers.

    Attributes:
        station: itself.
        url: where.
        port: where.
        client: that asks it.
    """

    station: Any
    url: str
    port: int
    client: httpx.Client


@contextmanager
def running(
    data: Path,
    settings: StationSettings | None = None,
    *,
    models: dict[str, Path] | None = None,
    protocol: type[StationProtocol] = StationProtocol,
    token: str = "",
    **app_settings: Any,
) -> Iterator[Running]:
    """A station that answers while it lasts.

    Args:
        data: its folder.
        settings: of the station.
        models: files to serve, by name.
        protocol: of connections.
        token: that the client sends.
        app_settings: of `make_app`.
    """
    station = FakeStation(data, settings or StationSettings())
    try:
        for name, path in (models or {}).items():
            station.models.add(name, path.read_bytes(), origin="upload")
        server = WebServer(make_app(station, **app_settings), port=0, protocol=protocol)  # type: ignore[arg-type]
        server.start()
        try:
            url = f"http://127.0.0.1:{server.port}"
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
                yield Running(station, url, server.port, client)
        finally:
            server.stop()
    finally:
        station.close()


def good_png(seed: int = 100) -> bytes:
    """The file of a good image."""
    return _png(texture(seed))


def bad_png(seed: int = 101) -> bytes:
    """The file of an image with a defect."""
    return _png(with_defect(texture(seed)))


def good_jpeg(seed: int = 100) -> bytes:
    """The file of a good image, as a camera writes it."""
    buffer = io.BytesIO()
    Image.fromarray(texture(seed)).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def until(condition: Any, *, timeout_s: float = 20.0) -> Any:
    """What a condition gives as soon as it is true."""
    ends_at = time.monotonic() + timeout_s
    while time.monotonic() < ends_at:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("the condition did not become true in time")
