"""What people are shown of the images that a station keeps: their files, small copies, and their maps.

Maps are not kept: they are computed again from the image and the version of the model, which are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from onlygood.errors import NotFoundError
from onlygood.images.reading import ReadingLimits
from onlygood.inspector import Inspector
from onlygood.results import Inspection
from onlygood.station.drawing import THUMBNAIL_SIDE, map_png, thumbnail_jpeg
from onlygood.station.schemas import InspectionRecord
from onlygood.station.serving.pool import Pool
from onlygood.station.store.store import Store

# Bytes of small copies that stay in memory.
MOST_BYTES = 32 << 20
# Versions of models that stay ready to draw maps of what they inspected.
MOST_VERSIONS = 4


class ShownImages:
    """Draws what people look at, and keeps the newest of it in memory. Safe to share between threads.

    Args:
        store: that keeps images and versions of models.
        pool: in which images are inspected again.
        limits: on pixels and bytes.
    """

    def __init__(self, store: Store, pool: Pool, limits: ReadingLimits) -> None:
        self._store, self._pool, self._limits = store, pool, limits
        self._lock = Lock()
        self._drawn: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._bytes = 0
        self._opening = Lock()
        self._versions: OrderedDict[str, Inspector] = OrderedDict()

    def file(self, id: int) -> tuple[bytes, str]:
        """The file of an inspection's image, and its suffix.

        Raises:
            NotFoundError: there is no such inspection, or its image is not kept any more.
        """
        self._store.inspections.get(id)
        kept = self._store.inspections.image(id)
        if kept is None:
            raise NotFoundError(f"the image of inspection {id} is not kept any more: raise the bounds in retention")
        return kept

    def small(self, id: int, side: int = THUMBNAIL_SIDE) -> bytes:
        """A JPEG of an inspection's image, of at most so many pixels on its long side.

        Raises:
            NotFoundError: as `file`.
        """
        return self._small(("inspection", id, side), lambda: self.file(id)[0])

    def taught_small(self, id: int, side: int = THUMBNAIL_SIDE) -> bytes:
        """A JPEG of an image that a model is taught with, of at most so many pixels on its long side.

        Raises:
            NotFoundError: there is none of this number.
        """

        def content() -> bytes:
            kept = self._store.taught.content(id)
            if kept is None:
                raise NotFoundError(f"taught image {id} must be one that is kept: ask for the list of them")
            return kept[0]

        return self._small(("taught", id, side), content)

    def inspected_again(self, id: int) -> tuple[InspectionRecord, Inspection]:
        """What is remembered of an inspection, and the same with its map, by the version that inspected it.

        Raises:
            NotFoundError: as `file`.
            BusyError: too many images wait to be inspected.
            StoreError, ModelFileError: that version cannot be used any more.
        """
        record = self._store.inspections.get(id)
        content, _ = self.file(id)
        inspector = self._version(record.model_sha256)
        return record, self._pool.submit(lambda: inspector.inspect(content, record.name, None)[0]).result()

    def map_png(self, id: int) -> bytes:
        """The anomaly map over the image of an inspection: a PNG file.

        Raises:
            NotFoundError, BusyError, StoreError, ModelFileError: as `inspected_again`.
        """
        return map_png(self.inspected_again(id)[1])

    def _version(self, sha256: str) -> Inspector:
        """The inspector of a version, which need not be served any more."""
        with self._opening:
            if sha256 not in self._versions:
                self._versions[sha256] = Inspector(
                    self._store.models.path(sha256),
                    threads=1,
                    max_pixels=self._limits.max_pixels,
                    max_bytes=self._limits.max_bytes,
                )
                if len(self._versions) > MOST_VERSIONS:
                    self._versions.popitem(last=False)
            self._versions.move_to_end(sha256)
            return self._versions[sha256]

    def _small(self, key: tuple[str, int, int], content: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key]
        drawn = thumbnail_jpeg(content(), name="the image", limits=self._limits, long_side=key[2])
        with self._lock:
            if key not in self._drawn:
                self._drawn[key] = drawn
                self._bytes += len(drawn)
            while self._bytes > MOST_BYTES:
                self._bytes -= len(self._drawn.popitem(last=False)[1])
        return drawn
