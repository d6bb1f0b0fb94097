"""What every output can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from onlygood.errors import OutputError
from onlygood.station.schemas import InspectionRecord


class Output(Protocol):
    """A place that is told of inspections, on a thread of its own.

    The station keeps what was not delivered in its database and delivers it in order, again and again with growing
    pauses, until `deliver` returns: each inspection at least once; its `id` tells a repetition. Inspections are handed
    over a second time only where it is not known whether they were taken.
    """

    name: str
    kind: str

    def open(self) -> None:
        """Connect; nothing to do where it is connected. Called again after each error.

        Raises:
            OutputError: the other side is not there or refuses.
        """

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Hand over some inspections, the oldest first; returns when the other side has taken all of them.

        Raises:
            OutputError: it did not take them, or it is not known whether it did; its `taken` says of how many of
                them, from the first on, it is known that they were taken.
        """

    def check(self) -> None:
        """Called from time to time while nothing waits, so that a lost connection is known before it is needed.

        Raises:
            OutputError: the connection was lost.
        """

    def close(self) -> None:
        """Disconnect; no error where it is closed already."""


def deliver_in_turn(records: Sequence[InspectionRecord], hand_over: Callable[[InspectionRecord], None]) -> None:
    """Hand over one inspection after another.

    Args:
        records: the oldest first.
        hand_over: one of them.

    Raises:
        OutputError: as `hand_over`, with how many were taken before it.
    """
    for taken, record in enumerate(records):
        try:
            hand_over(record)
        except OutputError as error:
            error.taken = taken
            raise
