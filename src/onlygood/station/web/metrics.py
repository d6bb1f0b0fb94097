"""What Prometheus reads: requests as they are answered, and the state of the station when it asks."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onlygood._printable import printable
from onlygood.station.web.access import address_of
from onlygood.station.web.problems import METHODS
from onlygood.station.web.rights import GuardedRoute, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station

router = APIRouter(route_class=GuardedRoute, tags=["health"])

_access_log = logging.getLogger("onlygood.station.access")

_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self, station: Station) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "onlygood_http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "onlygood_http_request_seconds",
            "Time until a request was answered",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.inspections = Counter(
            "onlygood_inspections", "Images inspected", ("model", "source", "verdict"), registry=self.registry
        )
        self.inspection_seconds = Histogram(
            "onlygood_inspection_seconds",
            "Time of the model on one image",
            ("model",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_StationState(station))
        # For as long as the station is there: whoever publishes an event adds to it, so that none is lost.
        self._watching = ExitStack()
        self._events = self._watching.enter_context(station.hub.subscribed(self._count))

    def _count(self) -> None:
        for _, event in self._events.take():
            if event.kind == "inspection" and event.inspection is not None:
                record = event.inspection
                self.inspections.labels(record.model, record.source, record.verdict.value).inc()
                self.inspection_seconds.labels(record.model).observe(record.latency_ms / 1e3)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class Observed:
    """Counts and times every request, and writes it into the log: those that are refused, and all where that is wanted.

    Args:
        app: what comes after.
        metrics: that count.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            taken_s = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "none")
            # Names that anybody may make up are not kept: each would be a time series of its own.
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(taken_s)
            # What is answered as it should be would fill a disk in a year.
            level = logging.INFO if status >= 400 else logging.DEBUG
            if _access_log.isEnabledFor(level):
                _access_log.log(
                    level,
                    "%s %s %s: %d in %.1f ms",
                    address_of(scope),
                    scope["method"],
                    printable(scope["path"]),
                    status,
                    1e3 * taken_s,
                )


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="For Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "metrics as text"}},
)
@needs("inspect")
def read_metrics(request: Request) -> Response:
    """Requests, queue, throughput, disk, sources, outputs and drift."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


class _StationState(Collector):
    """The state of a station at the moment when it is asked for."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is shows when it is collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        health = self._station.health()
        yield _gauge("onlygood_ready", "Whether the station remembers what it inspects", float(health.is_ready))
        yield _gauge("onlygood_uptime_seconds", "Since the station began", health.uptime_s)
        yield _gauge("onlygood_queue_images", "Images that wait to be inspected", health.queued)
        yield _gauge("onlygood_queue_size_images", "Images that may wait to be inspected", health.queue_size)
        yield _gauge("onlygood_inspections_per_second", "Of late", health.inspections_per_s)
        yield _gauge("onlygood_disk_free_bytes", "Of the disk of the data folder", health.disk_free_bytes)
        yield _gauge("onlygood_kept_bytes", "Of all images that are kept", health.kept_bytes)
        alarmed = GaugeMetricFamily("onlygood_source_alarmed", "Whether a source has an alarm", labels=("source",))
        working = GaugeMetricFamily("onlygood_source_working", "Whether a source has no problem", labels=("source",))
        frames = CounterMetricFamily("onlygood_source_frames", "Frames that were inspected", labels=("source",))
        skipped = CounterMetricFamily("onlygood_source_skipped", "Frames that were passed over", labels=("source",))
        reconnects = CounterMetricFamily("onlygood_source_reconnects", "Times it was found again", labels=("source",))
        for source in health.sources:
            name = (source.name,)
            alarmed.add_metric(name, float(source.is_alarmed))
            working.add_metric(name, float(source.problem is None))
            frames.add_metric(name, source.frames)
            skipped.add_metric(name, source.skipped)
            reconnects.add_metric(name, source.reconnects)
        yield from (alarmed, working, frames, skipped, reconnects)
        waiting = GaugeMetricFamily("onlygood_output_waiting", "Inspections to be told of", labels=("output",))
        delivered = CounterMetricFamily("onlygood_output_delivered", "Inspections told of", labels=("output",))
        for output in health.outputs:
            waiting.add_metric((output.name,), output.waiting)
            delivered.add_metric((output.name,), output.delivered)
        yield from (waiting, delivered)
        version = GaugeMetricFamily("onlygood_model_version", "That is served", labels=("model",))
        drift = GaugeMetricFamily("onlygood_model_drift", "Whether the drift test has found drift", labels=("model",))
        for model in health.models:
            version.add_metric((model.name,), model.active.number)
        for each in health.drift:
            drift.add_metric((each.model,), float(each.is_drift))
        yield from (version, drift)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value)
