"""Stations that answer, each shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from onlygood.station.station_settings import Limits, StationSettings
from onlygood.station.web.protocol import StationProtocol
from tests.station.server import MODELS, Running, running

PATCH, KNN = MODELS / "format-2-patch.onnx", MODELS / "format-2-knn.onnx"


class Narrow(StationProtocol):
    """Bounds that a test reaches quickly."""

    most_connections = 8
    max_head_bytes = 4096
    head_timeout_s = 0.3
    linger_s = 0.3
    write_timeout_s = 0.6


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A station with one model and its own limits."""
    with running(tmp_path_factory.mktemp("station"), models={"part": PATCH}, heartbeat_s=0.1) as station:
        yield station


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A station with narrow limits."""
    limits = Limits(
        max_body_bytes=100_000,
        max_image_bytes=40_000,
        max_pixels=50_000,
        max_images=3,
        body_timeout_s=0.5,
        max_model_bytes=60_000,
        workers=1,
        queue_size=2,
    )
    settings = StationSettings(limits=limits)
    folder = tmp_path_factory.mktemp("narrow")
    with running(folder, settings, models={"part": PATCH}, protocol=Narrow) as station:
        yield station
