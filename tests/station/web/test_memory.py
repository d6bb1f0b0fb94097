import gc

import pytest

from onlygood.results import InspectedPixels, Inspection
from tests.station.server import Running, bad_png, until


@pytest.mark.parametrize("query", ["map=none", "map=png", "keep=none"])
def test_nothing_of_an_inspection_waits_for_the_collector_of_cycles(served: Running, query: str) -> None:
    """Maps are large, and the collector, which counts objects and not bytes, comes by late."""

    def alive() -> int:
        # By type alone: objects of libraries that stand for others answer isinstance with warnings.
        return sum(type(each) in (Inspection, InspectedPixels) for each in gc.get_objects())

    url = f"/v1/models/part/inspect?{query}"
    served.client.post(url, files={"image": bad_png()})
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for _ in range(5):
            assert served.client.post(url, files={"image": bad_png()}).status_code == 200
        # A thread that drew a map may hold the last one until it draws the next.
        until(lambda: alive() <= before + 2)
    finally:
        gc.enable()
