"""Which of the methods that were compared is recommended, and why.

The rule: of the methods whose false alarms do not contradict what is guaranteed or estimated, the one that missed the
fewest anomalous images leads (of several the default, then the fastest). The default takes its place where the
difference in misses between the two cannot be told from chance by McNemar's exact test. So does, where the leader is
not the default, the fastest of the methods that are clearly faster and cannot be told from it either. Without anomalous
images nothing measured tells which method finds defects, and the default is recommended because it is the default.

Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12, 1947, in its exact form: a binomial test on the images about which two methods disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from onlygood._plurals import pluralize
from onlygood.metrics.image import Proportion

# The method that is recommended unless another one is shown to be better.
DEFAULT = "patch"
DEFAULT_WHY = "it finds small defects anywhere on a part and shows where they are"
# A difference in misses with a p-value below this is more than chance.
LEVEL = 0.05
# A method is clearly faster if an image takes at most this share of the other one's time.
FASTER = 0.8
# From fewer images on which two methods disagree, all in favour of one of them, no p-value is below LEVEL.
LEAST_DISAGREEMENTS = 6

OPTIMISTIC = (
    "Figures are optimistic for a method that was chosen by them: a last check, with onlygood evaluate, needs other "
    "images."
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a recommendation looks at, of one method.

    Attributes:
        label: of the method.
        missed: whether each anomalous image was missed, by its name; empty without anomalous images.
        false_alarms: good images called anomalous; None without good images.
        is_contradicted: whether these contradict what is guaranteed or estimated.
        latency_ms: of one image.
    """

    label: str
    missed: Mapping[str, bool]
    false_alarms: Proportion | None
    is_contradicted: bool
    latency_ms: float

    @property
    def misses(self) -> int:
        """How many anomalous images were missed."""
        return sum(self.missed.values())

    @property
    def is_default(self) -> bool:
        """Whether it is the default method with its default settings."""
        return self.label == DEFAULT

    @property
    def missed_of(self) -> str:
        """Such as "3 of 40 anomalous images"."""
        return f"{self.misses} of {pluralize(len(self.missed), 'anomalous image')}"


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Two methods on the same anomalous images.

    Attributes:
        first: label of a method.
        second: label of the other one.
        only_first: images that the first one alone missed.
        only_second: images that the second one alone missed.
        p_value: how often chance gives a difference at least as large, in either direction, if both miss as often.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    p_value: float

    @property
    def is_chance(self) -> bool:
        """Whether the difference cannot be told from chance."""
        return self.p_value >= LEVEL

    @property
    def sentence(self) -> str:
        """The test in words."""
        if not self.only_first + self.only_second:
            return f"{self.first} and {self.second} missed the same images."
        return (
            f"{self.first} alone missed {self.only_first} and {self.second} alone {self.only_second}, a difference "
            f"that {'cannot be told from' if self.is_chance else 'is more than'} chance (exact McNemar test, p = "
            f"{self.p_value:.2g})."
        )


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A method, and why.

    Attributes:
        method: label of the method; None where none can be recommended.
        sentences: the reason, the numbers behind it, and what it does not say.
        tests: the paired tests that it rests on.
    """

    method: str | None
    sentences: tuple[str, ...]
    tests: tuple[PairedTest, ...]

    @property
    def reason(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"method": self.method, "reason": self.reason, "tests": [asdict(test) for test in self.tests]}


def paired_test(first: Outcome, second: Outcome) -> PairedTest:
    """McNemar's exact test of two methods on the anomalous images that both could inspect."""
    both = first.missed.keys() & second.missed.keys()
    only_first = sum(first.missed[name] and not second.missed[name] for name in both)
    only_second = sum(second.missed[name] and not first.missed[name] for name in both)
    disagreements, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(disagreements, events) for events in range(fewer + 1)) / 2**disagreements
    return PairedTest(
        first=first.label,
        second=second.label,
        only_first=only_first,
        only_second=only_second,
        p_value=min(1.0, 2.0 * tail),
    )


def recommend(outcomes: Sequence[Outcome]) -> Recommendation:
    """The method to use, by the rule of this module.

    Args:
        outcomes: of the methods that could be measured, all on the same images.
    """
    if not outcomes:
        return Recommendation(
            method=None, sentences=("No method could be measured, so none is recommended.",), tests=()
        )
    kept = [outcome for outcome in outcomes if not outcome.is_contradicted]
    if not any(outcome.missed for outcome in outcomes):
        chosen, said, tests = _without_anomalous_images(outcomes)
    elif not kept:
        chosen, tests = None, []
        whose = "the only one" if len(outcomes) == 1 else "each"
        said = [
            f"No method is recommended: the false alarms of {whose} contradict the rate that is guaranteed or "
            "estimated. The good test images are not like those that are learned from: look at them, and learn from "
            "images taken as they were."
        ]
    else:
        chosen, said, tests = _by_misses(kept)
        said += _on_contradicted([outcome for outcome in outcomes if outcome.is_contradicted])
    if all(outcome.false_alarms is None for outcome in outcomes):
        said.append("No good images were tested, so nothing is known of false alarms.")
    return Recommendation(method=chosen, sentences=(*said, OPTIMISTIC), tests=tuple(tests))


def _without_anomalous_images(outcomes: Sequence[Outcome]) -> tuple[str | None, list[str], list[PairedTest]]:
    default = next((outcome for outcome in outcomes if outcome.is_default), None)
    nothing = "No anomalous image was tested, so nothing that was measured tells which method finds defects"
    if default is None:
        return (
            None,
            [f"{nothing}. No method is recommended: {DEFAULT}, the default, is not among those that were measured."],
            [],
        )
    assert default.false_alarms is not None  # there are images, and none is anomalous
    called = f"{default.false_alarms.events} of {pluralize(default.false_alarms.trials, 'good image')}"
    if default.is_contradicted:
        said = (
            f"{nothing}. {DEFAULT} is the default, but it called {called} anomalous, which contradicts the rate that "
            "is guaranteed or estimated: look at those images first."
        )
        return None, [said], []
    return (
        DEFAULT,
        [f"{nothing}. {DEFAULT} is recommended as the default: {DEFAULT_WHY}; it called {called} anomalous."],
        [],
    )


def _by_misses(kept: Sequence[Outcome]) -> tuple[str | None, list[str], list[PairedTest]]:
    leader = min(kept, key=lambda outcome: (outcome.misses, not outcome.is_default, outcome.latency_ms))
    anomalous = len(leader.missed)
    if leader.misses == anomalous:
        blind = f"none found any of {pluralize(anomalous, 'anomalous image')} at this false-alarm rate"
        return None, [f"No method is recommended: {blind}."], []
    default = next((outcome for outcome in kept if outcome.is_default), None)
    tests: list[PairedTest] = []
    chosen, why = leader, ""
    if default is not None and default is not leader:
        tests.append(paired_test(default, leader))
        if tests[-1].is_chance:
            chosen, why = default, "the default"
    faster = _fastest_alike(chosen, kept)
    if faster is not None and not chosen.is_default:
        chosen, why = faster, "the faster one"
        tests.append(paired_test(chosen, leader))
    said = [_head(chosen, leader, why, len(kept)), *(test.sentence for test in tests)]
    if why == "the faster one":
        said.append(_times(chosen, leader))
    elif faster is not None:
        tests.append(paired_test(faster, chosen))
        said.append(
            f"{_times(faster, chosen)} {faster.label} missed {faster.misses}. {tests[-1].sentence} Choose "
            f"{faster.label} where time decides."
        )
    said += _on_the_others(chosen, kept, tests)
    if len(kept) > 1 and anomalous < LEAST_DISAGREEMENTS:
        said.append(
            f"From fewer than {LEAST_DISAGREEMENTS} anomalous images no difference in misses can be told from chance: "
            "add some."
        )
    return chosen.label, said, tests


def _fastest_alike(one: Outcome, kept: Sequence[Outcome]) -> Outcome | None:
    """The fastest of those that are clearly faster and found something, and whose misses cannot be told from this
    one's.
    """
    fast = [
        other
        for other in kept
        if other.latency_ms <= FASTER * one.latency_ms
        and other.misses < len(other.missed)
        and paired_test(other, one).is_chance
    ]
    return min(fast, key=lambda other: other.latency_ms, default=None)


def _head(chosen: Outcome, leader: Outcome, why: str, kept: int) -> str:
    alarms = ""
    if chosen.false_alarms is not None:
        good_images = pluralize(chosen.false_alarms.trials, "good image")
        alarms = f", and called {chosen.false_alarms.events} of {good_images} anomalous"
    if chosen is leader:
        fewest = f", the fewest of the {kept} methods considered" if kept > 1 else ""
        return f"{chosen.label} is recommended: it missed {chosen.missed_of}{fewest}{alarms}."
    return (
        f"{chosen.label}, {why}, is recommended: it missed {chosen.missed_of}{alarms}; {leader.label} missed the "
        f"fewest, {leader.misses}."
    )


def _on_the_others(chosen: Outcome, kept: Sequence[Outcome], tests: list[PairedTest]) -> list[str]:
    """Which of the methods that nothing was said of yet miss as many as the chosen one, for all that can be told.

    Args:
        chosen: the method that is recommended.
        kept: all that were considered.
        tests: those that were reported; the ones that this rests on are put behind them.
    """
    known = {label for test in tests for label in (test.first, test.second)} | {chosen.label}
    found = [paired_test(other, chosen) for other in kept if other.label not in known]
    alike = [test for test in found if test.is_chance]
    tests += alike
    if not alike:
        return []
    named = ", ".join(f"{test.first} (p = {test.p_value:.2g})" for test in alike)
    return [f"The difference in misses between {chosen.label} and {named} cannot be told from chance."]


def _times(fast: Outcome, slow: Outcome) -> str:
    return f"With {fast.label} an image takes {fast.latency_ms:.3g} ms, with {slow.label} {slow.latency_ms:.3g} ms."


def _on_contradicted(contradicted: Sequence[Outcome]) -> list[str]:
    said = []
    for outcome in contradicted:
        assert outcome.false_alarms is not None  # they are what contradicts
        good_images = pluralize(outcome.false_alarms.trials, "good image")
        said.append(
            f"{outcome.label} was left aside: it called {outcome.false_alarms.events} of {good_images} anomalous, "
            "which contradicts the rate that is guaranteed or estimated."
        )
    return said
