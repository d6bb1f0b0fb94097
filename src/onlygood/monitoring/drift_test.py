"""The drift test: one score after another in, in bounded memory, and whether the process has changed out."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onlygood._files import write_atomically
from onlygood._integers import HIGHEST_SEED, check_integer
from onlygood._paths import given_path
from onlygood._plain import plain
from onlygood._plurals import shorten
from onlygood._printable import printable
from onlygood.errors import ModelFormatError, SettingError
from onlygood.graph.verdict import CalibrationScores
from onlygood.model import ModelSource, file_and_name
from onlygood.monitoring.drift_result import Change, Drift
from onlygood.monitoring.evidence import Evidence, Tally, is_highest
from onlygood.monitoring.score_ranks import MOST_BINS, ScoreRanks, uniform_draw
from onlygood.results import Inspection

# The largest probability that a process which never changes is called drift, unless another one is asked for.
FALSE_DRIFT_RATE = 0.01
# With n scores to compare with, a shift by one standard deviation of all images to come gives at most n / 2 nats of
# evidence. Fewer scores than these could not reach a rate of 0.01 whatever follows.
LEAST_SCORES = 20
# Of the file of a state, in bytes: one of ours has at most a few hundred thousand.
MOST_STATE_BYTES = 10_000_000
# The most characters that are kept of an image's name.
_NAME_LENGTH = 500
_LEAST_P_VALUE = 1e-300

Bin = Annotated[int, Field(ge=-MOST_BINS, le=MOST_BINS)]
Weight = Annotated[float, Field(gt=0, le=1e15)]


class _State(BaseModel):
    """A drift test as it is kept in a file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    model_sha256: str
    false_drift_rate: Annotated[float, Field(gt=0, lt=1)]
    seed: int
    baseline: Annotated[int, Field(ge=0)]
    baseline_images: Annotated[int, Field(ge=0)] = 0
    center: float
    scale: Annotated[float, Field(gt=0)]
    scores: list[tuple[Bin, Weight]] = []
    tally: Tally = Tally()
    evidence: Evidence = Field(default_factory=Evidence)
    highest_log_capital: Annotated[float, Field(ge=0)] = 0.0
    last_name: str = ""
    change: Change | None = None

    @model_validator(mode="after")
    def _of_one_past(self) -> Self:
        """What was before a bet began cannot be more than what has been."""
        for run in self.evidence.runs:
            if run.start > self.evidence.images or run.before.highest > self.tally.highest:
                raise ValueError("a bet must have begun among the images that came")
        return self


class DriftTest:
    """A test that takes one score after another and says whether the process has changed since the fit.

    Each score gets its rank among the calibration scores in the model file and all scores before it. As long as they
    are exchangeable, which is: as long as nothing changes, these ranks are uniform and independent, and a gambler who
    bets against that hardly ever wins (see `onlygood.monitoring.evidence`). What is guaranteed: with a probability of
    at most `false_drift_rate` a process that never changes is ever called drift, however long the test goes on. A fixed
    calibration set would not do: 30 scores are no exact picture of the process, and a test against them alone called
    397 of 1,000 stable processes drift within 500 images; with ranks among all before it was 9.

    The guarantee holds for new images that are exchangeable with the calibration images. With leave-one-out that is
    approximate: calibration scores lie a little above those of new images, and the bets are made so that they do not
    win by that. Where images come in sessions that differ from one another, each session is a change. `baseline`
    compares with the first images of the process itself instead; then the guarantee needs the calibration for nothing.

    Memory and the time for one score are bounded, whatever has come before. One thread at a time may call it. Drift
    that was found stays found: begin a new test when its cause is settled.

    Args:
        model: whose scores will come: the path of its file, what `onlygood.fit` or `onlygood.calibrate` returned, or an
            Inspector. Scores are relative to its threshold.
        false_drift_rate: the largest probability of calling a process drift that never changes, in (0, 1).
        baseline: compare with so many first scores, which are not tested, instead of the calibration scores: for a
            process that differs from the fit and is known to be right as it is. 0, or at least 20.
        seed: of the places among equal scores.

    Raises:
        SettingError: a rate, baseline or seed that cannot be used, or too few calibration scores.
        ModelFileError: the model cannot be used, or has no calibration scores.

    Example:
        >>> import onlygood
        >>> test = onlygood.DriftTest("part.onnx", baseline=20)
        >>> for number in range(200):
        ...     score = -1 + 0.1 * (number * 7 % 10)
        ...     if test.add(score if number < 100 else score + 0.5, name=f"{number}.png"):
        ...         break
        >>> test.result.change.kind, test.result.change.start_name
        ('higher', '10...png')
        >>> test.save("drift.json")
        >>> onlygood.DriftTest.load("drift.json", "part.onnx").is_drift
        True
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        false_drift_rate: float = FALSE_DRIFT_RATE,
        baseline: int = 0,
        seed: int = 0,
    ) -> None:
        file, shown = file_and_name(model)
        rate = _check_rate(false_drift_rate)
        baseline = check_integer("baseline", baseline, 0)
        seed = check_integer("seed", seed, 0, HIGHEST_SEED)
        if 0 < baseline < LEAST_SCORES:
            raise SettingError(
                f"baseline must be 0 or at least {LEAST_SCORES}, got {baseline}: fewer scores than that never tell "
                "enough about those that follow"
            )
        known = _require_scores(file.calibration_scores, shown, baseline)
        center, scale = _center_and_scale(known, shown)
        self._state = _State(
            model_sha256=file.metadata.content_sha256,
            false_drift_rate=rate,
            seed=seed,
            baseline=baseline,
            center=center,
            scale=scale,
        )
        self._ranks = ScoreRanks(center, scale)
        if not baseline:
            for score, weight in zip(_centred(known), known.weights * (known.groups + 1), strict=True):
                self._ranks.add(float(score), float(weight))
                self._state.tally = self._state.tally.plus(self._ranks.standardized(float(score)), weight=float(weight))

    def __repr__(self) -> str:
        return f"<DriftTest: {repr(self.result).removeprefix('<Drift: ')}"

    @property
    def is_drift(self) -> bool:
        """Whether drift was found so far."""
        return self._state.change is not None

    @property
    def last_name(self) -> str:
        """What the last image was called; empty before the first."""
        return self._state.last_name

    def add(self, score: float | Inspection, *, name: str | None = None) -> bool:
        """Take the score of one more image, and return whether drift was found so far.

        Args:
            score: of this model, relative to its threshold; or its Inspection.
            name: of the image; that of the inspection, or "image 7" for the seventh, unless given.

        Raises:
            SettingError: a score that is no finite number.
        """
        if isinstance(score, Inspection):
            name = score.name if name is None else name
            score = score.score
        score = plain(score)
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise SettingError(f"a score must be a finite number, got {score!r}: give the score of an inspection")
        state = self._state
        count = state.baseline_images + state.evidence.images
        name = f"image {count + 1}" if name is None else printable(shorten(name, _NAME_LENGTH))
        state.last_name = name
        if state.baseline_images < state.baseline:
            state.baseline_images += 1
            state.tally = state.tally.plus(self._ranks.standardized(score))
        else:
            self._test(float(score), name, uniform_draw(state.seed, count))
        self._ranks.add(float(score))
        return self.is_drift

    def _test(self, score: float, name: str, draw: float) -> None:
        state = self._state
        p_value = self._ranks.p_value(score, draw)
        log_capital = state.evidence.add(p_value, name=name, before=state.tally)
        state.tally = state.tally.plus(self._ranks.standardized(score), is_highest=is_highest(p_value))
        is_strongest = log_capital > state.highest_log_capital
        state.highest_log_capital = max(state.highest_log_capital, log_capital)
        if is_strongest and log_capital >= -math.log(state.false_drift_rate):
            state.change = self._describe(name)

    def _describe(self, name: str) -> Change:
        """The change as it is seen after this image, whose evidence is the strongest so far."""
        state = self._state
        found = state.change
        strongest = state.evidence.strongest()
        before, now = strongest.run.before, state.tally
        images = state.evidence.images - strongest.run.start + 1
        mean_since, deviation = (now.total - before.total) / images, before.deviation
        return Change(
            kind=strongest.kind,
            start=strongest.run.start,
            start_name=strongest.run.start_name,
            found=state.evidence.images if found is None else found.found,
            found_name=name if found is None else found.found_name,
            images=images,
            mean_before=state.center + state.scale * before.mean,
            mean_since=state.center + state.scale * mean_since,
            shift=(mean_since - before.mean) / deviation if deviation > 0 else None,
            highest_share=(now.highest - before.highest) / images,
        )

    @property
    def result(self) -> Drift:
        """What the test says so far."""
        state = self._state
        return Drift(
            is_drift=self.is_drift,
            false_drift_rate=state.false_drift_rate,
            p_value=max(math.exp(-state.highest_log_capital), _LEAST_P_VALUE),
            images=state.evidence.images,
            baseline=state.baseline,
            baseline_images=state.baseline_images,
            change=state.change,
        )

    def to_dict(self) -> dict[str, Any]:
        """The state as plain JSON values, with which `from_dict` goes on."""
        return {**self._state.model_dump(mode="json"), "scores": self._ranks.to_pairs()}

    @classmethod
    def from_dict(cls, values: Any, model: ModelSource | None = None, *, name: str = "the state") -> Self:
        """The test that goes on from a state.

        Args:
            values: what `to_dict` gave.
            model: the model whose scores will come; it must be the one that the state was begun with.
            name: what messages call the state.

        Raises:
            SettingError: it is no such state, or one of another model.
            ModelFileError: the model cannot be used.
        """
        try:
            state = _State.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = printable(".".join(map(str, first["loc"]))[:100]) or "it"
            raise SettingError(
                f"{name} must be a state of a drift test, and {where} in it cannot be used ({first['msg'].lower()}): "
                "give the file that drift wrote, or begin with a new one"
            ) from None
        if model is not None:
            found = file_and_name(model)[0].metadata.content_sha256
            if found != state.model_sha256:
                raise SettingError(
                    f"{name} must be of the model that is given, whose digest is {found[:12]}, got one of the "
                    f"model with {printable(state.model_sha256)[:12]}: give that model, or begin with a new state"
                )
        test = object.__new__(cls)
        test._state = state
        test._ranks = ScoreRanks(state.center, state.scale)
        test._ranks.add_pairs(state.scores)
        return test

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state as JSON, whole or not at all.

        Raises:
            WriteError: the path cannot be written.
        """
        write_atomically(path, (json.dumps(self.to_dict()) + "\n").encode("ascii"))

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: ModelSource | None = None) -> Self:
        """The test that goes on from a state in a file.

        Args:
            path: of the file that `save` wrote.
            model: as in `from_dict`.

        Raises:
            SettingError: the file cannot be read, is no such state, or one of another model.
            ModelFileError: the model cannot be used.
        """
        file = given_path(path)
        shown = f"the state {printable(os.fspath(path))}"
        try:
            with file.open("rb") as opened:
                content = opened.read(MOST_STATE_BYTES + 1)
        except OSError as error:
            raise SettingError(
                f"{shown} cannot be read: {(error.strerror or str(error)).lower()}: check its path and permissions"
            ) from error
        if len(content) > MOST_STATE_BYTES:
            raise SettingError(
                f"{shown} must have at most {MOST_STATE_BYTES:,} bytes, got more: give the file that drift wrote"
            )
        try:
            values = json.loads(content)
        except (ValueError, RecursionError):
            raise SettingError(
                f"{shown} must be a JSON file that drift wrote, got another kind of file: give that file, or begin "
                "with a new one"
            ) from None
        return cls.from_dict(values, model, name=shown)


def resumed(path: str | os.PathLike[str], model: ModelSource) -> DriftTest | None:
    """The test that goes on from a state in a file; None where there is no file yet.

    Raises:
        SettingError, ModelFileError: as `DriftTest.load`.
    """
    return DriftTest.load(path, model) if Path(given_path(path)).exists() else None


def _check_rate(rate: float) -> float:
    rate = plain(rate)
    if isinstance(rate, bool) or not (isinstance(rate, int | float) and _LEAST_P_VALUE < rate < 1.0):
        raise SettingError(
            f"the false-drift rate must be between 0 and 1, both excluded (0.01 is one stable process in a hundred), "
            f"got {rate!r}"
        )
    return float(rate)


def _require_scores(known: CalibrationScores | None, shown: str, baseline: int) -> CalibrationScores:
    """The calibration scores, where there are enough to compare with."""
    if known is None:
        raise ModelFormatError(
            f"the model {shown} must hold its calibration scores for a drift test, got a file without them: fit "
            "it again"
        )
    if not baseline and known.groups < LEAST_SCORES:
        raise SettingError(
            f"a drift test needs at least {LEAST_SCORES} independent calibration images, got {known.groups} in the "
            f"model {shown}: calibrate it with more good images, or compare with a baseline of at least {LEAST_SCORES} "
            "images of the process"
        )
    return known


def _centred(known: CalibrationScores) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The calibration scores relative to the threshold, as inspections give them."""
    return known.scores.astype(np.float64) - known.threshold


def _center_and_scale(known: CalibrationScores, shown: str) -> tuple[float, float]:
    """Of the bins of scores: the median, and the range of the middle half, or of all where that has none.

    Raises:
        SettingError: all scores are equal.
    """
    scores = _centred(known)
    low, center, high = (float(each) for each in np.quantile(scores, (0.25, 0.5, 0.75)))
    scale = high - low if high > low else float(scores[-1] - scores[0])
    if not scale > 0:
        raise SettingError(
            f"a drift test needs calibration scores that differ, got {len(scores)} equal ones in the model {shown}: "
            "calibrate it with good images as the camera gives them"
        )
    return center, scale
