"""The clock of this computer, and whether what it says can be believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

# A clock that is set by the network moves by less than this.
TOLERANCE_S = 60.0
DAY_S = 86_400.0
# A station that was off for longer than this may have lost its clock's battery meanwhile.
MOST_OFF_S = 31 * DAY_S


def utc_now() -> datetime:
    """The time by this computer's clock."""
    return datetime.now(UTC)


def steady_s() -> float:
    """Seconds that pass whatever the clock is set to, also while the computer sleeps where the system knows of that."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class Clock:
    """The time, watched against one that only ever goes on.

    A clock that was set wrongly must not make the station forget: while it is not believed, nothing is let go by its
    age. A change is believed once it has lasted for a day, and as long as it is large: a computer that slept for a week
    is believed after a week, one that woke up in another decade is not. `trust` is for a person to say so.

    Args:
        now: the time by the clock.
        believed_at: the latest time that was believed before this start; None for a new station.
        steady: seconds that pass whatever the clock is set to.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = utc_now,
        *,
        believed_at: datetime | None = None,
        steady: Callable[[], float] = steady_s,
    ) -> None:
        self._now, self._steady = now, steady
        self._guard = Lock()
        at = now()
        self._at_s = steady()
        self._changed_s: float | None = None
        off_s = 0.0 if believed_at is None else (at - believed_at).total_seconds()
        # What the clock would say if the station had not been off, where that is not plausible.
        is_plausible = believed_at is None or -TOLERANCE_S <= off_s <= MOST_OFF_S
        self._expected = at if is_plausible or believed_at is None else believed_at

    def now(self) -> datetime:
        """The time by the clock, right or wrong."""
        return self._now()

    def shift_s(self) -> float:
        """By how much the clock is ahead of what was expected, in seconds; 0 while it is believed."""
        with self._guard:
            at, steady = self._now(), self._steady()
            shift = (at - self._expected).total_seconds() - (steady - self._at_s)
            if abs(shift) <= TOLERANCE_S:
                self._believe(at, steady)
                return 0.0
            if self._changed_s is None:
                self._changed_s = steady
            if steady - self._changed_s >= max(DAY_S, shift):
                self._believe(at, steady)
                return 0.0
            return shift

    def believed(self) -> datetime | None:
        """The time, where the clock is believed; None elsewhere."""
        return self._now() if self.shift_s() == 0.0 else None

    def trust(self) -> None:
        """Believe the clock as it is now."""
        with self._guard:
            self._believe(self._now(), self._steady())

    def problem(self) -> str | None:
        """What is wrong with the clock, as a sentence; None while it is believed."""
        shift = self.shift_s()
        if shift > 0:
            return (
                f"the clock of this computer is {_in_words(shift)} ahead of what it said before: no image is let go by "
                "its age until the clock is set right or is said to be right"
            )
        if shift < 0:
            return (
                f"the clock of this computer was set back by {_in_words(-shift)}: new inspections say earlier times "
                "than older ones, and their numbers tell the order; set the clock right, or say that it is right"
            )
        return None

    def _believe(self, at: datetime, steady: float) -> None:
        self._expected, self._at_s, self._changed_s = at, steady, None


def _in_words(seconds: float) -> str:
    """A duration in its largest unit: "90 minutes", "12 days"."""
    for unit, name in ((DAY_S, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return f"{timedelta(seconds=seconds) / timedelta(seconds=unit):.0f} {name}"
    return f"{seconds:.0f} seconds"
