"""A process that records inspections and delivers them, until it is killed or, at the end, until nothing waits."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from onlygood.station.outputs.delivery import Delivery
from onlygood.station.outputs.jsonl import JsonLines
from onlygood.station.outputs.webhook import Webhook
from onlygood.station.schemas import Verdict
from onlygood.station.station_settings import JsonLinesOutput, WebhookOutput
from onlygood.station.store.records import NewInspection
from onlygood.station.store.store import Store

NEW = NewInspection(
    model="part",
    model_sha256="a" * 64,
    source="http",
    name="new.jpg",
    verdict=Verdict.GOOD,
    score=-0.5,
    p_value=0.75,
    latency_ms=3.0,
    width=64,
    height=48,
)


def run(data: Path, url: str, lines: Path, *, is_last: bool) -> None:
    """Says on the standard output which inspections are acknowledged."""
    store = Store(data, housekeeping_s=0)
    outputs = [
        Webhook(WebhookOutput(name="mes", url=url)),
        JsonLines(JsonLinesOutput(name="log", path=str(lines))),
    ]
    delivery = Delivery(store.outbox, outputs)
    delivery.start()
    while not is_last:
        futures = [store.recorder.submit(NEW, outputs=["mes", "log"]) for _ in range(10)]
        for future in futures:
            sys.stdout.write(f"{future.result().id}\n")
            sys.stdout.flush()
        delivery.wake()
    while store.outbox.count("mes") or store.outbox.count("log"):
        time.sleep(0.01)
    assert delivery.stop()
    store.close()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), is_last=sys.argv[4] == "last")
