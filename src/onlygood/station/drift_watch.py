"""The drift test of each model version on what comes, across restarts.

The state of a test, some ten thousand characters, goes into the database in the transaction of an inspection, at most
every SAVE_EVERY_S. What a kill -9 or a power loss loses is the scores since then; which ones they are has nothing to do
with what they were, so the guarantee of the test holds for those that it has taken.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from onlygood.errors import OnlygoodError, SettingError
from onlygood.monitoring.drift_test import LEAST_SCORES, DriftTest
from onlygood.results import Inspection
from onlygood.station.schemas import DriftStatus
from onlygood.station.serving.models import Served
from onlygood.station.store.drift_states import DriftStates

_log = logging.getLogger("onlygood.station")

SAVE_EVERY_S = 5.0
# Models with fewer calibration images than a test needs are compared with so many first images of the process.
BASELINE = 50
# Tests in memory at once, of different versions; others go on from their kept states when they are needed again.
MOST_OPEN = 64


@dataclass
class _Watch:
    """The test of one version, or why there is none."""

    test: DriftTest | None
    problem: str = ""
    saved_at: float = float("-inf")
    has_news: bool = False
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class DriftNews:
    """What one more score changes.

    Attributes:
        state: to be saved with its inspection: the version's digest and JSON; None where none is due.
        found: the status, if drift was found with this score and not before.
    """

    state: tuple[str, str] | None = None
    found: DriftStatus | None = None


class DriftWatch:
    """Takes the scores of all lines and says for each model whether its process has changed. Any thread may call it.

    Args:
        states: where the states of tests are kept.
        false_drift_rate: of each test.
        clock: seconds that never go back.
    """

    def __init__(
        self, states: DriftStates, *, false_drift_rate: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._states, self._rate, self._clock = states, false_drift_rate, clock
        self._watches: dict[str, _Watch] = {}
        self._lock = Lock()

    def add(self, served: Served, inspection: Inspection, *, is_recorded: bool = True) -> DriftNews:
        """Take the score of one more image.

        Args:
            served: the version that gave it.
            inspection: of the image.
            is_recorded: whether it is about to be recorded, so that a state can be saved with it.
        """
        watch = self._watch(served)
        with watch.lock:
            if watch.test is None:
                return DriftNews()
            was = watch.test.is_drift
            is_new = watch.test.add(inspection) and not was
            watch.has_news = True
            state = None
            now = self._clock()
            if is_recorded and (is_new or now - watch.saved_at >= SAVE_EVERY_S):
                state = (served.version.sha256, _as_json(watch.test))
                watch.saved_at = now
            found = _status(served.name, watch) if is_new else None
        if found is not None:
            _log.warning("model %s: %s", served.name, found.sentence)
        return DriftNews(state, found)

    def status(self, served: Served) -> DriftStatus:
        """What the test of a version says so far."""
        watch = self._watch(served)
        with watch.lock:
            return _status(served.name, watch)

    def settled(self, served: Served, *, baseline: int | None = None) -> DriftStatus:
        """Begin the test of a version again, since a person has settled the cause of its drift.

        Args:
            served: the version.
            baseline: compare with so many next images, which are right as they are, instead of the calibration scores.

        Raises:
            SettingError: a baseline that cannot be used, or a model that cannot be tested.
            StoreError: the new state cannot be kept; the old test goes on.
        """
        test = self._begin(served, baseline)
        watch = self._watch(served)
        with watch.lock:
            self._states.save(served.version.sha256, _as_json(test))
            watch.test, watch.problem = test, ""
            watch.saved_at, watch.has_news = self._clock(), False
            status = _status(served.name, watch)
        _log.info("model %s: its drift test begins again", served.name)
        return status

    def flush(self) -> None:
        """Save what came since the last time, as when the station stops.

        Raises:
            StoreError: it cannot be written.
        """
        with self._lock:
            watches = list(self._watches.items())
        for sha256, watch in watches:
            self._save(sha256, watch)

    def _save(self, sha256: str, watch: _Watch) -> None:
        with watch.lock:
            if watch.test is not None and watch.has_news:
                self._states.save(sha256, _as_json(watch.test))
                watch.has_news = False

    def _watch(self, served: Served) -> _Watch:
        found = self._watches.get(served.version.sha256)
        if found is not None:
            return found
        with self._lock:
            if served.version.sha256 not in self._watches:
                self._close_oldest()
                self._watches[served.version.sha256] = self._open(served)
            return self._watches[served.version.sha256]

    def _close_oldest(self) -> None:
        """Make room for one more test; those that cannot be saved stay open meanwhile."""
        while len(self._watches) >= MOST_OPEN:
            oldest = next(iter(self._watches))
            try:
                self._save(oldest, self._watches[oldest])
            except OnlygoodError:
                return
            del self._watches[oldest]

    def _open(self, served: Served) -> _Watch:
        """The test that goes on from the state that is kept, or a new one; drift is no reason to inspect nothing."""
        try:
            kept = self._states.load(served.version.sha256)
        except OnlygoodError as error:
            _log.warning("model %s: its drift test begins again: %s", served.name, error)
            kept = None
        if kept is not None:
            try:
                return _Watch(DriftTest.from_dict(json.loads(kept), served.inspector, name="the kept state"))
            except (OnlygoodError, ValueError) as error:
                _log.warning("model %s: its drift test begins again: %s", served.name, error)
        try:
            return _Watch(self._begin(served, None))
        except OnlygoodError as error:
            _log.info("model %s has no drift test: %s", served.name, error)
            return _Watch(None, str(error))

    def _begin(self, served: Served, baseline: int | None) -> DriftTest:
        known = served.inspector.calibration_scores
        if baseline is None:
            baseline = BASELINE if known is not None and known.groups < LEAST_SCORES else 0
        try:
            return DriftTest(served.inspector, false_drift_rate=self._rate, baseline=baseline)
        except OnlygoodError as error:  # it calls every model in memory the same
            raise SettingError(str(error).replace("the model in memory", f"model {served.name}")) from error


def _as_json(test: DriftTest) -> str:
    return json.dumps(test.to_dict(), separators=(",", ":"))


def _status(name: str, watch: _Watch) -> DriftStatus:
    if watch.test is None:
        return DriftStatus(model=name, images=0, is_drift=False, sentence=f"There is no drift test: {watch.problem}.")
    result = watch.test.result
    sentences = result.sentences[:1] if result.change is None else result.sentences[:-1]
    return DriftStatus(model=name, images=result.images, is_drift=result.is_drift, sentence=" ".join(sentences))
