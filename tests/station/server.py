"""A station with its HTTP server on a free port, for tests of all that talks to it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from PIL import Image

from onlygood.station.settings_file import FILE_NAME, SettingsFile
from onlygood.station.station import Station
from onlygood.station.station_settings import StationSettings
from onlygood.station.web.app import make_app
from onlygood.station.web.certificate import Certificate
from onlygood.station.web.protocol import StationProtocol
from onlygood.station.web.server import WebServer
from textures import texture, with_defect

MODELS = Path(__file__).parents[1] / "models"


@dataclass
class Running:
    """A station that answers.

    Attributes:
        station: itself.
        url: where.
        port: where.
        client: that asks it.
        app: that answers.
    """

    station: Station
    url: str
    port: int
    client: httpx.Client
    app: FastAPI


@contextmanager
def running(
    data: Path,
    settings: StationSettings | None = None,
    *,
    models: dict[str, Path] | None = None,
    protocol: type[StationProtocol] = StationProtocol,
    certificate: Certificate | None = None,
    token: str = "",
    **app_settings: Any,
) -> Iterator[Running]:
    """A station that answers while it lasts.

    Args:
        data: its folder.
        settings: of the station.
        models: files to serve, by name.
        protocol: of connections.
        certificate: for HTTPS, which the client does not check.
        token: that the client sends.
        app_settings: of `make_app`.
    """
    if settings is not None:
        data.mkdir(parents=True, exist_ok=True)
        SettingsFile(data / FILE_NAME).replace(settings)
    station = Station(data)
    station.start()
    try:
        for name, path in (models or {}).items():
            station.models.add(name, path.read_bytes(), origin="upload")
        app = make_app(station, **app_settings)
        server = WebServer(app, port=0, protocol=protocol, certificate=certificate)
        if certificate is not None:
            station.other_problems = certificate.problems
        server.start()
        try:
            url = server.url.replace("localhost", "127.0.0.1")
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            with httpx.Client(base_url=url, headers=headers, timeout=30, verify=certificate is None) as client:
                yield Running(station, url, server.port, client, app)
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
