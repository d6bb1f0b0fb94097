"""How well anomaly maps show where a defect is: exact pixel AUROC, average precision and AUPRO, in bounded memory.

All three depend only on how many normal pixels lie above and at each value that an anomalous pixel has. So pixels are
counted, and sorted a million at a time, never as a whole: a value becomes a 32-bit key that orders as values do, the
upper half of the key is its bucket, and only the lower half is kept, grouped by bucket. At the end, buckets without an
anomalous pixel are passed over by their count alone. All sums that depend on the order of images are sums of
integers: threads, and what went through the temporary file, cannot change the last bit of a result.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BufferedRandom
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._extras import need_extra
from onlygood._integers import check_integer
from onlygood._plain import plain
from onlygood.errors import SettingError, WriteError
from onlygood.metrics._marked_pixels import MarkedPixels, keys_of, marked_pixels
from onlygood.metrics._overlap import Overlap
from onlygood.metrics._sortable_scores import Chunk, Codes, chunk_of

_CHUNK = 1 << 20  # pixels that are grouped at once: few chunks to visit a bucket, yet small beside the bound
_LOWS = 1 << 16  # lower halves of keys that there are
_FEW = 1 << 12  # so many codes are faster sorted than counted by all lower halves
_MOST_THREADS = 4  # of `result`: each needs memory, and the interpreter's lock lets few more run
_LOW_AND_SIZE = np.uint64(0xFFFF_FFFF_FFFF)  # of a code of an anomalous pixel: what is left without its bucket


@dataclass(frozen=True, kw_only=True)
class PixelMetrics:
    """How well maps rank anomalous pixels above normal ones; 1 is perfect.

    Attributes:
        pixel_auroc: chance that an anomalous pixel has a higher value than a normal one, ties half, in [0, 1].
        pixel_average_precision: mean over anomalous pixels of the precision at their value, in (0, 1].
        aupro: area under the per-region overlap up to `fpr_limit`, divided by `fpr_limit`, in [0, 1].
        fpr_limit: the highest share of normal pixels above the threshold that `aupro` looks at.
        pixels: of all images.
        anomalous_pixels: of these, inside a mask.
        regions: connected regions of all masks.
    """

    pixel_auroc: float
    pixel_average_precision: float
    aupro: float
    fpr_limit: float
    pixels: int
    anomalous_pixels: int
    regions: int

    def to_dict(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return asdict(self)


class PixelTally:
    """Takes maps and masks one by one, from any number of threads, and gives the metrics of all of them.

    Memory, whatever the number of images, is at most the sum of

    - 2 bytes for each of `max_pixels_in_memory`, 256 MB by default, and a quarter of it where values spread over all
      that float32 can hold;
    - for each thread that calls `add`, 24 bytes, and 48 more where it is anomalous, for each of 1,048,576 pixels and
      of the largest image: these wait to be grouped, or are being grouped;
    - 50 MB for `result`, and about 200 bytes for each different size, in pixels, that a region has.

    What exceeds `max_pixels_in_memory` goes to a temporary file without a name, 2 bytes a pixel and 8 more where it is
    anomalous. It is gone after `result`, after `close`, and at the end of the `with` block.

    Args:
        max_pixels_in_memory: how many pixels are kept before all go to the temporary file; an anomalous one counts as
            five.
        folder: where that file is; None for the system's folder for temporary files.

    Raises:
        SettingError: if `max_pixels_in_memory` is not a whole number of at least 1.
        MissingExtraError: without SciPy.

    Example:
        >>> import numpy as np
        >>> import onlygood
        >>> anomaly_map = np.zeros((8, 8), np.float32)
        >>> anomaly_map[2:4, 2:4] = 1
        >>> with onlygood.PixelTally() as tally:
        ...     tally.add(anomaly_map, mask=anomaly_map > 0)
        ...     metrics = tally.result()
        >>> metrics.pixel_auroc, metrics.aupro
        (1.0, 1.0)
    """

    def __init__(
        self, *, max_pixels_in_memory: int = 128_000_000, folder: str | os.PathLike[str] | None = None
    ) -> None:
        need_extra("SciPy", module="scipy", extra="report", purpose="measuring anomaly maps")
        self._most = check_integer("max_pixels_in_memory", max_pixels_in_memory, 1)
        self._folder = folder
        self._lock = Lock()
        self._is_closed = False
        self._failure: str | None = None
        self._file: BufferedRandom | None = None
        self._waiting = _Waiting()
        self._waiting_anomalous = _Waiting()
        self._kept = 0
        self._pixels = Codes(np.dtype(np.uint16))
        self._anomalous = Codes(np.dtype(np.uint64))
        self._regions: Counter[int] = Counter()
        self._place_of_size: dict[int, int] = {}

    def __enter__(self) -> PixelTally:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def add(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> None:
        """Take one image.

        Args:
            anomaly_map: float32 [H, W], higher is more anomalous; any finite values, -0 equals 0.
            mask: bool [H, W], true where the part is anomalous; None if it is so nowhere.

        Raises:
            ValueError: if the map is not float32 [H, W] with finite values, if the mask is not bool or has another
                shape, or after `result` or `close`.
            WriteError: if the temporary file cannot be written.
        """
        keys = keys_of(anomaly_map)
        marked = None if mask is None else marked_pixels(mask, keys.reshape(np.shape(anomaly_map)))
        with self._lock:
            self._check_open()
            self._wait(keys, marked)
            if self._waiting.pixels < min(_CHUNK, self._most):
                return
            waiting = self._take_waiting(min(_CHUNK, self._most))
        chunks = _grouped(*waiting)
        with self._lock:
            self._check_open()
            self._keep(*chunks)

    def result(self, *, fpr_limit: float = 0.3) -> PixelMetrics:
        """The metrics of all images; call it once, after the last `add` has returned. Nothing can be added after it.

        Pixel AUROC and average precision are those of scikit-learn on the pixels of all images together. AUPRO is
        the area under the mean share of a region, over all regions of all masks, that is at or above a threshold, over
        the share of normal pixels of all images that are too, from 0 to `fpr_limit`, divided by `fpr_limit`. A region
        is 8-connected. Equal values are one step of the curve, joined linearly; at the limit the curve is interpolated.

        The area is linear in the pixels of a region. With a and b normal pixels above and at or above the value of one
        pixel of a region of s pixels, and l = `fpr_limit` times the number of normal pixels, that pixel adds to it
        1 / s times l - (a + b) / 2 where b <= l, (l - a)^2 / (2 (b - a)) where a < l < b, and else nothing.

        Args:
            fpr_limit: in (0, 1].

        Raises:
            SettingError: if `fpr_limit` is not in (0, 1].
            ValueError: without an anomalous or without a normal pixel, or after `result` or `close`.
            WriteError: if the temporary file cannot be written.

        Source: Bergmann, Batzner, Fauser, Sattlegger and Steger, "The MVTec Anomaly Detection Dataset", International
        Journal of Computer Vision 129, 2021, section 4.2.
        """
        fpr_limit = plain(fpr_limit)
        if not (isinstance(fpr_limit, int | float) and 0.0 < fpr_limit <= 1.0):
            raise SettingError(f"fpr_limit must be above 0 and at most 1, got {fpr_limit!r}")
        with self._lock:
            self._check_open()
            try:
                self._keep(*_grouped(*self._take_waiting(1)))
                with self._using_file():
                    return self._metrics(float(fpr_limit))
            finally:
                self._close()

    def close(self) -> None:
        """Forget all pixels and remove the temporary file. Nothing can be added after it; it may be called again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._waiting, self._waiting_anomalous = _Waiting(), _Waiting()
        self._pixels = Codes(np.dtype(np.uint16))
        self._anomalous = Codes(np.dtype(np.uint64))
        if self._file is not None:
            self._file.close()
            self._file = None

    def _check_open(self) -> None:
        if self._failure is not None:
            raise WriteError(self._failure)
        if self._is_closed:
            raise ValueError("this tally has given its result or was closed: make a new one")

    def _wait(self, keys: NDArray[np.int32], marked: MarkedPixels | None) -> None:
        self._waiting.add(keys)
        if marked is not None:
            self._regions.update(marked.regions)
            places = [self._place_of_size.setdefault(size, len(self._place_of_size)) for size in marked.regions]
            self._waiting_anomalous.add(marked.keys, np.array(places, dtype=np.uint32)[marked.sizes])

    def _take_waiting(self, least: int) -> tuple[_Waiting, _Waiting]:
        """What waits, and of the anomalous pixels what waits if there are so many: few chunks to visit."""
        pixels, self._waiting = self._waiting, _Waiting()
        anomalous = _Waiting()
        if self._waiting_anomalous.pixels >= least:
            anomalous, self._waiting_anomalous = self._waiting_anomalous, anomalous
        return pixels, anomalous

    def _keep(self, pixels: Chunk | None, anomalous: Chunk | None) -> None:
        if pixels is not None:
            self._pixels.keep(pixels)
            self._kept += len(pixels.codes)
        if anomalous is not None:
            self._anomalous.keep(anomalous)
            self._kept += 4 * len(anomalous.codes)
        if self._kept > self._most:
            with self._using_file():
                if self._file is None:
                    self._file = tempfile.TemporaryFile(dir=self._folder, prefix="onlygood-")  # noqa: SIM115
                self._pixels.write(self._file)
                self._anomalous.write(self._file)
            self._kept = 0

    @contextmanager
    def _using_file(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = tempfile.gettempdir() if self._folder is None else os.fsdecode(self._folder)
            self._failure = (
                f"the temporary file with pixels of anomaly maps cannot be used in {folder} "
                f"({error.strerror or error}): free some space there, or choose another folder"
            )
            self._close()
            raise WriteError(self._failure) from error

    def _metrics(self, fpr_limit: float) -> PixelMetrics:
        pixels, anomalous = self._pixels.counts, self._anomalous.counts
        all_pixels, all_anomalous = pixels.sum().item(), anomalous.sum().item()
        if all_anomalous == 0:
            raise ValueError("pixel metrics need at least one anomalous pixel, got none: give a mask that shows one")
        all_normal = all_pixels - all_anomalous
        if all_normal == 0:
            raise ValueError("pixel metrics need at least one normal pixel, got none: add maps of good images")
        overlap = Overlap(list(self._place_of_size), self._regions.total(), fpr_limit * all_normal)
        pixels_above = all_pixels - np.cumsum(pixels)
        anomalous_above = all_anomalous - np.cumsum(anomalous)
        # Buckets do not depend on one another, but what is in a file is read from its beginning to its end.
        with ThreadPoolExecutor(1 if self._file is not None else min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
            parts = list(
                pool.map(
                    lambda bucket: self._of_bucket(bucket, pixels_above[bucket], anomalous_above[bucket], overlap),
                    np.flatnonzero(anomalous).tolist(),
                )
            )
        precisions, doubled_above = zip(*parts, strict=True)
        return PixelMetrics(
            pixel_auroc=1.0 - sum(doubled_above) / (2 * all_anomalous * all_normal),
            pixel_average_precision=math.fsum(precisions) / all_anomalous,
            aupro=overlap.area() / overlap.limit,
            fpr_limit=fpr_limit,
            pixels=all_pixels,
            anomalous_pixels=all_anomalous,
            regions=self._regions.total(),
        )

    def _of_bucket(self, bucket: int, pixels_above: int, anomalous_above: int, overlap: Overlap) -> tuple[float, int]:
        """The sum of the precisions at a bucket's anomalous pixels, and of a + b over them.

        Args:
            bucket: that has anomalous pixels.
            pixels_above: how many pixels are in the buckets above.
            anomalous_above: how many of these are anomalous.
            overlap: takes what the bucket adds to it.
        """
        lows, counts = self._anomalous_values(bucket)
        above, equal = self._compare(bucket, lows)
        before = pixels_above + above
        at = before + equal
        anomalous_at = anomalous_above + np.cumsum(counts)
        precision = float((counts * (anomalous_at / at)).sum())
        # From here on, both without the anomalous pixels.
        before -= anomalous_at - counts
        at -= anomalous_at
        if before[0] < overlap.limit:
            place = np.empty(_LOWS, dtype=np.int32)
            place[lows] = np.arange(len(lows), dtype=np.int32)
            for codes in self._anomalous.read(bucket):
                overlap.add(place[_low_of(codes)], codes.astype(np.uint32), before, at)
        return precision, int(counts @ (before + at))

    def _compare(self, bucket: int, lows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many pixels of a bucket lie above each of some values, and how many have it."""
        length = self._pixels.counts[bucket]
        if length < _FEW:
            codes = np.concatenate(list(self._pixels.read(bucket)))
            codes.sort(kind="stable")  # of 16 bits: a radix sort, fast on every processor
            start, end = np.searchsorted(codes, lows, side="left"), np.searchsorted(codes, lows, side="right")
            return length - end, end - start
        equal = np.zeros(_LOWS, dtype=np.int64)
        for codes in self._pixels.read(bucket):
            equal += np.bincount(codes, minlength=_LOWS)
        return length - np.cumsum(equal)[lows], equal[lows]

    def _anomalous_values(self, bucket: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The different values of anomalous pixels in a bucket, highest first, and how many pixels have each."""
        if self._anomalous.counts[bucket] < _FEW:
            codes = np.concatenate(list(self._anomalous.read(bucket)))
            lows, counts = np.unique(_low_of(codes), return_counts=True)
            return lows[::-1], counts[::-1]
        of_all = np.zeros(_LOWS, dtype=np.int64)
        for codes in self._anomalous.read(bucket):
            of_all += np.bincount(_low_of(codes), minlength=_LOWS)
        places = np.flatnonzero(of_all != 0)[::-1]
        return places, of_all[places]


@dataclass
class _Waiting:
    """Keys of pixels that wait to be grouped, and of anomalous ones the sizes of their regions, by place."""

    keys: list[NDArray[np.int32]] = field(default_factory=list)
    sizes: list[NDArray[np.uint32]] = field(default_factory=list)
    pixels: int = 0

    def add(self, keys: NDArray[np.int32], sizes: NDArray[np.uint32] | None = None) -> None:
        self.keys.append(keys)
        self.pixels += len(keys)
        if sizes is not None:
            self.sizes.append(sizes)


def _grouped(pixels: _Waiting, anomalous: _Waiting) -> tuple[Chunk | None, Chunk | None]:
    """All pixels, by the lower halves of their keys; the anomalous ones, by those and the sizes of their regions."""
    of_all, of_anomalous = None, None
    if pixels.pixels:
        keys = np.concatenate(pixels.keys)
        keys.sort()
        of_all = chunk_of(keys, keys.astype(np.uint16))
    if anomalous.pixels:
        both = np.concatenate(anomalous.keys).astype(np.int64) << 32
        both |= np.concatenate(anomalous.sizes)
        both.sort()
        of_anomalous = chunk_of((both >> 32).astype(np.int32), both.view(np.uint64) & _LOW_AND_SIZE)
    return of_all, of_anomalous


def _low_of(codes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    return (codes >> np.uint64(32)).astype(np.uint16)
