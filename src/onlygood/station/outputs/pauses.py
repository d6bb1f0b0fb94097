"""Pauses that grow from one failure to the next, so that what is broken is not kept busy by those who ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(kw_only=True)
class Pauses:
    """How long to wait after each failure in a row.

    The bound doubles from `first_s` to `longest_s`; each pause is drawn between half of the bound and the bound, so
    that several that failed at one moment do not come back at one moment.

    Attributes:
        first_s: the bound of the pause after the first failure.
        longest_s: the bound that is never exceeded.
        seed: of the drawing.
    """

    first_s: float = 0.5
    longest_s: float = 15.0
    seed: int | None = None
    failures: int = field(default=0, init=False)
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def next_s(self, at_least_s: float = 0.0) -> float:
        """The pause after one more failure, in seconds.

        Args:
            at_least_s: what the other side asks for; no more than `longest_s` of it is granted.
        """
        # A power beyond the range of numbers is never computed, however long the other side stays away.
        bound_s = min(self.longest_s, self.first_s * 2.0 ** min(self.failures, 64))
        self.failures += 1
        return max(bound_s * self._random.uniform(0.5, 1.0), min(at_least_s, self.longest_s))

    def reset(self) -> None:
        """Begin again with the first pause: it works."""
        self.failures = 0
