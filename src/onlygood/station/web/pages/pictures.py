"""Images as pages show them: small, in a format that every browser knows; and their maps."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

from onlygood.errors import NotFoundError
from onlygood.inspector import Inspector
from onlygood.station.drawing import PastVersions, thumbnail_jpeg
from onlygood.station.web.live_messages import pack, small_map, verdict_entries

if TYPE_CHECKING:
    from onlygood.station.station import Station

# Long sides, in pixels, that a page may ask for.
SIDES = (240, 800, 1600)
# Bytes of small images that are kept in memory.
MOST_BYTES = 32 << 20


class Pictures:
    """Draws images for pages, and keeps the newest in memory. Safe to share between threads."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._bytes = 0
        self._past = PastVersions(self._opened)

    def of_inspection(self, id: int, side: int) -> bytes:
        """The JPEG of an inspected image.

        Args:
            id: of the inspection.
            side: one of SIDES.

        Raises:
            NotFoundError: its image is not kept.
        """
        return self._drawn(("inspection", id, side), lambda: self.inspected(id)[0])

    def of_taught(self, id: int, side: int) -> bytes:
        """The JPEG of an image that a model is taught with.

        Args:
            id: of the image.
            side: one of SIDES.

        Raises:
            NotFoundError: there is none of this number.
        """

        def content() -> bytes:
            found = self._station.store.taught.content(id)
            if found is None:
                raise NotFoundError(f"a taught image must be one that is kept, got {id}: open the page again")
            taken: bytes = found[0]
            return taken

        return self._drawn(("taught", id, side), content)

    def inspected(self, id: int) -> tuple[bytes, str]:
        """The image file of an inspection, and its suffix.

        Raises:
            NotFoundError: it is not kept.
        """
        found: tuple[bytes, str] | None = self._station.store.inspections.image(id)
        if found is None:
            raise NotFoundError(f"the image of an inspection must be kept to be shown, and that of {id} is not")
        return found

    def map_of(self, id: int) -> bytes:
        """A live message with the anomaly map of an inspected image, computed by the version that inspected it.

        Raises:
            NotFoundError: the image, or that version's file, is not kept.
            BusyError: too many images wait to be inspected.
        """
        record = self._station.inspection(id)
        content, _ = self.inspected(id)
        inspector = self._past.get(record.model_sha256)
        inspection = self._station.pool.submit(lambda: inspector.inspect(content, record.name, None)[0]).result()
        entry, map_bytes = small_map(inspection)
        header = {"map": entry, "width": record.width, "height": record.height, "image": None}
        return pack(header | verdict_entries(inspection), b"", map_bytes)

    def _opened(self, sha256: str) -> Inspector:
        """What inspected an image, loaded again where another version is served by now."""
        limits = self._station.reading_limits
        path = self._station.store.models.path(sha256)
        return Inspector(path, threads=1, max_pixels=limits.max_pixels, max_bytes=limits.max_bytes)

    def _drawn(self, key: tuple[str, int, int], content: Any) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = thumbnail_jpeg(content(), name="the image", limits=self._station.reading_limits, long_side=key[2])
        with self._lock:
            if key not in self._kept:
                self._kept[key] = drawn
                self._bytes += len(drawn)
            while self._bytes > MOST_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return drawn
