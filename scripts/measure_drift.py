"""How often the drift test is wrong, and how soon it finds what: the tables of docs/guides/drift.md.

    python scripts/measure_drift.py            # about half an hour on one core
    python scripts/measure_drift.py --quick    # a tenth of the runs

Scores are drawn, not measured: calibration scores from a distribution that leans to the right, as those of detectors
do, and later ones resampled from them. Each run has a seed of its own.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import onlygood
from onlygood.calibration.threshold import calibrate
from onlygood.graph.verdict import CalibrationScores
from onlygood.monitoring.evidence import Evidence, Tally
from onlygood.monitoring.score_ranks import ScoreRanks, uniform_draw

Scores = np.ndarray[Any, np.dtype[np.float64]]
SIZES = (30, 50, 100, 300, 1000)
FEW_SIZES = (30, 100, 1000)
WITHIN = 200


@dataclass(frozen=True)
class Holder:
    """What holds a model file."""

    file: Any


def drawn(count: int, rng: np.random.Generator) -> Scores:
    return rng.gamma(2.0, size=count)


def model_with(model: onlygood.Model, scores: Scores) -> Holder:
    """The model with other calibration scores, whose threshold is 0 so that scores stay as they are."""
    found = calibrate(scores.astype(np.float32), list(range(len(scores))), 0.05)
    known = CalibrationScores(scores=found.scores, weights=found.weights, groups=found.groups, threshold=0.0)
    return Holder(replace(model.file, calibration_scores=known))


def some_model() -> onlygood.Model:
    """Any model: its graph is not run."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(8)]
    return onlygood.fit(images, method=onlygood.Knn(), false_alarm_rate=0.5)


def run(model: onlygood.Model, calibration: Scores, scores: Scores, seed: int) -> onlygood.DriftTest:
    test = onlygood.DriftTest(model_with(model, calibration), seed=seed)
    for score in scores.tolist():
        if test.add(score):
            break
    return test


def false_alarms(model: onlygood.Model, runs: int) -> None:
    print("\nstable processes called drift, at a rate of 0.01")
    for size in FEW_SIZES:
        alarms = 0
        for seed in range(runs):
            rng = np.random.default_rng([1, size, seed])
            calibration = drawn(size, rng)
            alarms += run(model, calibration, rng.choice(calibration, 100_000), seed).is_drift
        print(f"  {size:>5} calibration scores, 100,000 resampled from them: {alarms} of {runs}", flush=True)
    for size in (30, 300):
        for is_fixed in (False, True):
            alarms = sum(_called(size, seed, is_fixed=is_fixed) for seed in range(50 * runs))
            kind = "among the calibration scores alone" if is_fixed else "among all before"
            print(f"  {size:>5} calibration scores, 500 new ones, ranks {kind}: {alarms} of {50 * runs}", flush=True)


def _called(size: int, seed: int, *, is_fixed: bool) -> bool:
    """Whether new scores of the same distribution are called drift."""
    rng = np.random.default_rng([2, size, seed])
    calibration = drawn(size, rng)
    low, center, high = np.quantile(calibration, (0.25, 0.5, 0.75))
    ranks, evidence = ScoreRanks(float(center), float(high - low)), Evidence()
    for score in calibration.tolist():
        ranks.add(score)
    for number, score in enumerate(drawn(500, rng).tolist()):
        p_value = ranks.p_value(score, uniform_draw(seed, number))
        if evidence.add(p_value, name="", before=Tally()) >= np.log(100):
            return True
        if not is_fixed:
            ranks.add(score)
    return False


def found(model: onlygood.Model, runs: int) -> None:
    """How many of several changes are found within WITHIN images, after how many, and as what."""
    changes: dict[str, Callable[[Scores, np.random.Generator, float], Scores]] = {
        "higher by 1 sd": lambda scores, _, sd: scores + sd,
        "lower by 1 sd": lambda scores, _, sd: scores - sd,
        "higher by 0.5 sd": lambda scores, _, sd: scores + 0.5 * sd,
        "10 % far above": lambda scores, rng, sd: scores + 5 * sd * (rng.random(len(scores)) < 0.1),
        "20 % far above": lambda scores, rng, sd: scores + 5 * sd * (rng.random(len(scores)) < 0.2),
        "one image again": lambda scores, _, __: np.full(len(scores), scores[0]),
    }
    print(f"\nfound within {WITHIN} images: share, median images until then, as what, error of its begin")
    for name, change in changes.items():
        is_main = name.endswith("by 1 sd")
        for stable in (0, 1000, 100_000) if is_main else (0, 1000):
            for size in SIZES if stable < 100_000 else FEW_SIZES:
                tests = []
                for seed in range(max(2, runs // 10) if stable == 100_000 else runs if is_main else 3 * runs // 10):
                    rng = np.random.default_rng([3, size, stable, seed])
                    calibration = drawn(size, rng)
                    later = change(rng.choice(calibration, WITHIN), rng, float(calibration.std()))
                    scores = np.concatenate([rng.choice(calibration, stable), later])
                    tests.append(run(model, calibration, scores, seed))
                right = [each.result.change for each in tests]
                right = [each for each in right if each is not None and each.found > stable]
                delays = [each.found - stable for each in right if each]
                errors = [abs(each.start - stable - 1) for each in right if each]
                kinds = Counter(each.kind for each in right if each)
                print(
                    f"  {name:<17} after {stable:>7,}, {size:>5} scores: {len(right)} of {len(tests)}, "
                    f"{np.median(delays) if delays else float('nan'):g}, {dict(kinds)}, "
                    f"{np.median(errors) if errors else float('nan'):g}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    model = some_model()
    found(model, 10 if quick else 100)
    false_alarms(model, 2 if quick else 20)


if __name__ == "__main__":
    main()
