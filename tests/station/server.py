"""A station with its HTTP server on a free port, for tests of all that talks to it."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
from PIL import Image

from onlygood.images.reading import ReadingLimits
from onlygood.station.drawing import PastVersions
from onlygood.station.hub import Hub
from onlygood.station.inspecting import Inspecting
from onlygood.station.schemas import Health
from onlygood.station.serving.models import ServedModels
from onlygood.station.serving.pool import Pool
from onlygood.station.settings_file import SettingsFile
from onlygood.station.station import Station
from onlygood.station.station_settings import StationSettings
from onlygood.station.store.store import Store
from onlygood.station.web.app import make_app
from onlygood.station.web.protocol import StationProtocol
from onlygood.station.web.server import WebServer
from textures import texture, with_defect

MODELS = Path(__file__).parents[1] / "models"


class Provisional(Station):
    """The real parts, put together until the station itself is."""

    def __init__(self, data: Path, settings: StationSettings) -> None:
        self.settings_file = SettingsFile(data / "station.json")
        self.settings_file.replace(settings)
        self.store = Store(data)
        self.store.kept_bytes = lambda: 0
        self.hub = Hub()
        limits = settings.limits
        self.pool = Pool(workers=limits.workers, queue_size=limits.queue_size, queue_timeout_s=limits.queue_timeout_s)
        self.models = ServedModels(self.store.models, limits, changed=self._model_changed)
        self.reading_limits = ReadingLimits(max_pixels=limits.max_pixels, max_bytes=limits.max_image_bytes)
        self._folder = None
        self._inspecting = Inspecting(
            self.models, self.pool, self.store.recorder, outputs=self._outputs_for, watching=None, told=self._inspected
        )
        self._past = PastVersions(self._open_version)
        self._started_at = time.monotonic()
        self._recent: deque[float] = deque()
        self._recent_lock = Lock()

    def health(self) -> Health:
        return Health(
            is_ready=not self.store.problems(),
            problems=tuple(self.store.problems()),
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
    station = Provisional(data, settings or StationSettings())
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
        station.stop()


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
