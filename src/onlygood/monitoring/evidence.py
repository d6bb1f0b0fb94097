"""Evidence of a change at an unknown moment: a martingale that begins to bet at every image, and where it pays best.

Before image k the share c_k of the capital is put into bets that begin there; the rest stays as it is until then:

    M_t = sum over k <= t of c_k * (sum over bets b of w_b * f_b(u_k) * ... * f_b(u_t)) + (1 - c_1 - ... - c_t)

M is a martingale with M_0 = 1 where p-values u are uniform and independent, as each product is. So by Ville's
inequality the probability that M ever reaches 1 / alpha is at most alpha, over all time and not for each image. A bet
that began at the first image alone would lose nearly all of its capital over a long stable time, and find a later
change late. What is paid for not knowing k is the logarithm of 1 / c_k: half of the capital begins with the first
image, and the other half is spent so slowly that a shift by one standard deviation after 100,000 images is found some
25 images later than one that begins at once.

The sum is a recursion in bounded memory, W <- (W + c_t) * f(u_t) for each bet. So is the largest product, without its
c_k: the moment from which it begins is the estimate of where the change begins (Page's cumulative sum).

Source: Volkhonskiy, Burnaev, Nouretdinov, Gammerman and Vovk, "Inductive conformal martingales for change-point
detection", 2017 (martingales for change points); Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for
sequential change detection", 2022 (mixtures over moments and bets). We depart from both: p-values are ranks among
all scores before, not among a fixed set, and a mixture over k with a sum of 1 bounds the probability of any false
alarm, where their sum without c bounds the mean time to the first one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from onlygood.monitoring.bets import BETS, HIGHEST, KINDS, Kind, normal_score

# Of the capital, the share that begins to bet with the first image: a process may differ from the calibration at once.
FIRST_SHARE = 0.5


class Tally(BaseModel):
    """Sums over scores, whose differences say what a stretch of them was like.

    Attributes:
        weight: how many scores.
        total: of the scores, standardized.
        squares: of the scores, standardized.
        highest: how many of the p-values were at most HIGHEST.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: Annotated[float, Field(ge=0, le=1e15)] = 0.0
    total: Annotated[float, Field(ge=-1e100, le=1e100)] = 0.0
    squares: Annotated[float, Field(ge=0, le=1e150)] = 0.0
    highest: Annotated[int, Field(ge=0)] = 0

    def plus(self, standardized: float, *, weight: float = 1.0, is_highest: bool = False) -> Tally:
        """The tally with one more score."""
        return Tally.model_construct(
            weight=self.weight + weight,
            total=self.total + weight * standardized,
            squares=self.squares + weight * standardized * standardized,
            highest=self.highest + is_highest,
        )

    @property
    def mean(self) -> float:
        """Of the scores, standardized."""
        return self.total / self.weight

    @property
    def deviation(self) -> float:
        """The standard deviation of the scores, standardized."""
        return math.sqrt(max(self.squares / self.weight - self.mean**2, 0.0))


class Run(BaseModel):
    """What one bet has won, over all moments at which it began, and since which it would have won most.

    Attributes:
        log_sum: logarithm of the sum over moments; None before the first image.
        log_best: of the largest product over moments, whatever their shares of the capital.
        start: the image with which that product begins, from 1.
        start_name: what that image is called.
        before: the tally of all scores before it.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    log_sum: float | None = None
    log_best: float | None = None
    start: Annotated[int, Field(ge=0)] = 0
    start_name: str = ""
    before: Tally = Tally()


@dataclass(frozen=True)
class Strongest:
    """The bet that has won most, of the kind that has won most.

    Attributes:
        kind: of change.
        run: since when, and what was before.
    """

    kind: Kind
    run: Run


def _one_each(runs: list[Run]) -> list[Run]:
    if len(runs) != len(BETS):
        raise ValueError(f"there must be {len(BETS)} runs, one a bet")
    return runs


class Evidence(BaseModel):
    """The capital of all bets, image after image.

    Attributes:
        images: how many p-values came.
        runs: one a bet.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    images: Annotated[int, Field(ge=0, le=10**15)] = 0
    runs: Annotated[list[Run], AfterValidator(_one_each)] = Field(default_factory=lambda: [Run() for _ in BETS])

    @model_validator(mode="after")
    def _all_have_begun(self) -> Self:
        if any((run.log_sum is None or run.log_best is None) == (self.images > 0) for run in self.runs):
            raise ValueError("every bet must have begun with the first image")
        return self

    def add(self, p_value: float, *, name: str, before: Tally) -> float:
        """Take one p-value, in (0, 1), and return the logarithm of the capital.

        Args:
            p_value: conformal, with ties broken at random.
            name: of the image.
            before: the tally of all scores before this one.
        """
        self.images += 1
        log_share = log_share_at(self.images)
        z = normal_score(p_value)
        for bet, run in zip(BETS, self.runs, strict=True):
            won = bet.log_density(p_value, z)
            run.log_sum = won + (log_share if run.log_sum is None else _log_add(run.log_sum, log_share))
            if run.log_best is None or run.log_best <= 0.0:
                run.log_best, run.start, run.start_name, run.before = 0.0, self.images, name, before
            run.log_best += won
        return self.log_capital

    @property
    def log_capital(self) -> float:
        """Logarithm of the capital: 0 before the first image, and in a stable process seldom far above it."""
        logs = [
            bet.log_weight + run.log_sum for bet, run in zip(BETS, self.runs, strict=True) if run.log_sum is not None
        ]
        return log_total([*logs, math.log(unspent_after(self.images))])

    def strongest(self) -> Strongest:
        """The kind of change for which there is most evidence, and its best bet; at least one image must have come."""
        pairs = list(zip(BETS, self.runs, strict=True))
        by_kind = {
            kind: log_total([bet.log_weight + (run.log_sum or 0.0) for bet, run in pairs if bet.kind == kind])
            for kind in KINDS
        }
        kind = max(KINDS, key=lambda each: by_kind[each])
        run = max((run for bet, run in pairs if bet.kind == kind), key=lambda each: each.log_best or 0.0)
        return Strongest(kind, run.model_copy())


def unspent_after(images: int) -> float:
    """The share of the capital that has not begun to bet: 1 - c_1 - ... - c_t."""
    return 1.0 if images == 0 else (1.0 - FIRST_SHARE) / (1.0 + math.log(images))


def log_share_at(image: int) -> float:
    """The logarithm of c_k, the share of the capital that begins to bet with this image, counted from 1."""
    if image == 1:
        return math.log(FIRST_SHARE)
    # The difference of `unspent_after` before and after, without cancellation.
    now, before = 1.0 + math.log(image), 1.0 + math.log(image - 1)
    return math.log((1.0 - FIRST_SHARE) * -math.log1p(-1.0 / image) / (now * before))


def log_total(logs: Sequence[float]) -> float:
    """Logarithm of the sum of numbers that are given by their logarithms."""
    highest = max(logs)
    return highest + math.log(math.fsum(math.exp(each - highest) for each in logs))


def _log_add(first: float, second: float) -> float:
    high, low = (first, second) if first >= second else (second, first)
    return high + math.log1p(math.exp(low - high))


def is_highest(p_value: float) -> bool:
    """Whether a score is among the highest of those before it."""
    return p_value <= HIGHEST
