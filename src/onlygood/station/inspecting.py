"""One image from its bytes to its record: inspected in the pool, remembered in the database, told to subscribers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from onlygood._printable import printable
from onlygood.images.reading import ImageArray
from onlygood.results import Inspection
from onlygood.station.file_types import suffix_of
from onlygood.station.schemas import ImageRegion, InspectionRecord, Verdict
from onlygood.station.serving.models import Served, ServedModels
from onlygood.station.serving.pool import Pool
from onlygood.station.station_settings import FROM_PERSONS, NOT_SOURCES
from onlygood.station.store.recorder import Recorder
from onlygood.station.store.records import NewInspection
from onlygood.station.store.transaction import AlreadySeen
from onlygood.station.turns import Turn, Turns

Keep = Literal["all", "anomalous", "none"]

# Regions that a record holds: those with the highest peaks.
MOST_REGIONS = 20
# Of an image's name, the most characters that are kept.
NAME_LENGTH = 500
# The id of an inspection that was not asked to be remembered.
NOT_RECORDED = 0

_log = logging.getLogger("onlygood.station")


@dataclass(frozen=True)
class Inspected:
    """One inspection: what is remembered of it, and what it was made from.

    Attributes:
        record: as it was remembered; its id is NOT_RECORDED where it was not.
        inspection: with the anomaly map and the pixels where a map was asked for.
        served: the version of the model.
    """

    record: InspectionRecord
    inspection: Inspection
    served: Served


@dataclass(frozen=True, kw_only=True)
class ToInspect:
    """An image that is to be inspected.

    Attributes:
        model: its name.
        content: the bytes of the image's file.
        source: where it comes from: "http", "page" or the name of a source.
        name: of the image: data, never a path.
        page: of a multi-page TIFF, from 0.
        at: when it was taken; now unless given.
        keep: which inspections are remembered; those with a `seen_key` always are, and this says with which images.
        with_map: whether the anomaly map and the pixels are given back.
        seen_key: identifies the image across restarts; None for one that may come twice.
        watches_drift: whether the drift test takes its score.
    """

    model: str
    content: bytes
    source: str
    name: str
    page: int | None = None
    at: datetime | None = None
    keep: Keep = "all"
    with_map: bool = False
    seen_key: str | None = None
    watches_drift: bool = True


class Inspecting:
    """Inspects images in the pool and remembers them. Safe to share between threads.

    Args:
        models: that are served.
        pool: that runs them.
        recorder: that remembers.
        outputs: gives the names of the outputs that are to be told of a model's inspection with a verdict.
        drift: is shown each inspection that the drift test is to take, and whether it is about to be remembered, and
            gives the digest of the model's version and a state of its test that are to be kept with it, or nothing.
        told: called with each record once it is remembered, and with those that are not; it must return at once.
    """

    def __init__(
        self,
        models: ServedModels,
        pool: Pool,
        recorder: Recorder,
        *,
        outputs: Callable[[str, Verdict], Sequence[str]],
        drift: Callable[[Served, Inspection, bool], tuple[str, str] | None],
        told: Callable[[InspectionRecord], None],
    ) -> None:
        self._models, self._pool, self._recorder = models, pool, recorder
        self._outputs, self._drift, self._told = outputs, drift, told
        self._turns = Turns()
        # Images whose score the drift test has, and whose record is not there yet: one that is tried again, as while
        # the database is away, is no further image of the process.
        self._counted: set[tuple[str, str]] = set()

    def submit(self, image: ToInspect, *, waits_s: float = 0.0) -> Future[Inspected]:
        """The future inspection; it is remembered when the future has a result.

        A future that is cancelled before its image's turn leaves nothing behind. Images of one source are remembered in
        the order in which they are submitted, whichever is inspected first. Those that no source gave are remembered as
        they are inspected: nobody waits for the large image of somebody else.

        Args:
            image: what to inspect.
            waits_s: for how long to wait for room in the queue.

        Raises:
            NotFoundError: there is no such model.
            BusyError: the queue is full.
            ModelFileError: the model cannot be used.
        """
        served = self._models.get(image.model)
        answer: Future[Inspected] = Future()
        turn = None if image.source in NOT_SOURCES else self._turns.next(image.source)
        try:
            work = self._pool.submit(lambda: self._work(served, image, answer, turn), waits_s=waits_s)
        except BaseException:
            _skip(turn)
            raise

        # Neither future holds the other when the work is over, nor itself: images and maps would stay in memory until
        # the collector of cycles comes by.
        under_way = [work]

        def ended(over: Future[None]) -> None:
            under_way.clear()
            _skip(turn)
            # What went wrong before the work began, such as a wait that was too long.
            if not over.cancelled() and (error := over.exception()) is not None:
                _fail(answer, error)

        def given_up(given: Future[Inspected]) -> None:
            if given.cancelled():
                for each in tuple(under_way):
                    each.cancel()

        answer.add_done_callback(given_up)
        work.add_done_callback(ended)
        return answer

    def _work(self, served: Served, image: ToInspect, answer: Future[Inspected], turn: Turn | None) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        inspection, pixels = served.inspector.inspect(image.content, image.name, image.page)
        verdict = Verdict.ANOMALOUS if inspection.is_anomaly else Verdict.GOOD
        kept_inspection = inspection if image.with_map else replace(inspection, anomaly_map=None, pixels=None)
        new = _new_inspection(served, image, inspection, pixels, verdict)
        turn = turn or self._turns.next(image.source)
        turn.do(lambda: self._remember(served, image, answer, new, inspection, kept_inspection))

    def _remember(
        self,
        served: Served,
        image: ToInspect,
        answer: Future[Inspected],
        new: NewInspection,
        inspection: Inspection,
        answered: Inspection,
    ) -> None:
        """Record an inspection where that is asked for, and answer with it. It never raises: the answer has the error.

        Args:
            served: the version that inspected.
            image: what was inspected.
            answer: what is waited for.
            new: what is recorded.
            inspection: what the model said.
            answered: the same as far as it is asked for.
        """
        is_kept = image.keep == "all" or (image.keep == "anomalous" and inspection.is_anomaly)
        is_recorded = is_kept or image.seen_key is not None
        try:
            drift = self._drift(served, inspection, is_recorded) if self._is_to_count(image) else None
            if not is_recorded:
                self._finish(answer, Inspected(_unrecorded(new), answered, served))
                return
            recorded = self._recorder.submit(
                new if is_kept else replace(new, content=None),
                outputs=self._outputs(served.name, new.verdict),
                drift=drift,
            )
        except Exception as error:
            _fail(answer, error)
            return

        def remembered(future: Future[InspectionRecord]) -> None:
            error = future.exception()
            if image.seen_key is not None and (error is None or isinstance(error, AlreadySeen)):
                self._counted.discard((image.source, image.seen_key))
            if error is not None:
                _fail(answer, error)
            else:
                self._finish(answer, Inspected(future.result(), answered, served))

        recorded.add_done_callback(remembered)

    def _is_to_count(self, image: ToInspect) -> bool:
        """Whether the drift test takes an image now; of one with a key, once until it is recorded."""
        if not _is_of_the_process(image):
            return False
        if image.seen_key is None:
            return True
        key = (image.source, image.seen_key)
        is_new = key not in self._counted
        self._counted.add(key)
        return is_new

    def _finish(self, answer: Future[Inspected], inspected: Inspected) -> None:
        answer.set_result(inspected)
        try:
            self._told(inspected.record)
        except Exception:
            _log.exception("telling of inspection %d failed; it is remembered", inspected.record.id)


def _is_of_the_process(image: ToInspect) -> bool:
    """Whether the drift test takes an image: not those that a person tries the model with on the page."""
    return image.watches_drift and image.source not in FROM_PERSONS


def _skip(turn: Turn | None) -> None:
    if turn is not None:
        turn.skip()


def _fail(answer: Future[Inspected], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _new_inspection(
    served: Served, image: ToInspect, inspection: Inspection, pixels: ImageArray, verdict: Verdict
) -> NewInspection:
    regions = tuple(
        ImageRegion(
            left=each.box[0], top=each.box[1], right=each.box[2], bottom=each.box[3], peak=float(str(each.peak))
        )
        for each in (inspection.regions or ())[:MOST_REGIONS]
    )
    return NewInspection(
        at=image.at,
        model=served.name,
        model_sha256=served.version.sha256,
        source=image.source,
        name=printable(image.name[:NAME_LENGTH]),
        verdict=verdict,
        score=inspection.score,
        p_value=inspection.p_value,
        latency_ms=inspection.latency_ms,
        width=pixels.shape[1],
        height=pixels.shape[0],
        regions=regions,
        notes=tuple(each.sentence for each in inspection.differences),
        content=image.content,
        suffix=suffix_of(image.content),
        seen_key=image.seen_key,
    )


def _unrecorded(new: NewInspection) -> InspectionRecord:
    """What is told of an inspection that is not remembered."""
    return InspectionRecord(
        id=NOT_RECORDED,
        at=new.at or datetime.now(UTC),
        model=new.model,
        model_sha256=new.model_sha256,
        source=new.source,
        name=new.name,
        verdict=new.verdict,
        score=new.score,
        p_value=new.p_value,
        latency_ms=new.latency_ms,
        image_sha256=None,
        width=new.width,
        height=new.height,
        regions=tuple(new.regions),
        notes=tuple(new.notes),
        has_image=False,
    )
