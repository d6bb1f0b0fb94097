"""How often good images are called anomalous and how many defects are missed, by the threshold rule, the rate and the
number of good images, over many draws of these.

    python -m benchmarks.studies.resplits --data data --output benchmarks/results/resplits.jsonl \
        --table benchmarks/RESULTS-RESPLITS.md

For each set, number and seed the default detector is fitted to that many good images, drawn from all good ones of the
set, and scores others and defects. Both rules then decide from the same calibration scores at every rate. Each fit is a
line of the output; one that is there already is not repeated. Sets whose images come in groups that no file name gives
(magnetic_tile, piston) are left out.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

import onlygood
from benchmarks.fitting import fit_method
from benchmarks.progress import running
from benchmarks.records import append_line, read_lines
from benchmarks.studies.sets import PartSet, load_set

SETS = ("casting", "elpv-mono", "elpv-poly", "deeppcb", "fabric_stain", "aliens", "cookies")
COUNTS = (10, 20, 50, 100, 300)
RATES = (0.001, 0.003, 0.01, 0.03, 0.05, 0.1)
RULES: tuple[Literal["conformal", "estimated", "auto"], ...] = ("conformal", "estimated", "auto")
# Most good and most defective images that are tested, drawn at random.
TESTED = 150
# Fewer than this many good images left to test say nothing of false alarms.
LEAST_TESTED = 10


def good_of(parts: PartSet) -> list[Path]:
    """All good images of a set."""
    return parts.good + [file for file, kind, _ in parts.test if kind == "good"]


def measure(name: str, parts: PartSet, count: int, seed: int) -> dict[str, Any]:
    """Shares by rule and rate."""
    good = good_of(parts)
    bad = [file for file, kind, _ in parts.test if kind != "good"]
    random = np.random.default_rng([seed, count])
    order = random.permutation(len(good))
    model = fit_method([str(good[place]) for place in sorted(order[:count])], seed=seed)
    inspect = onlygood.Inspector(model, threads=1)
    tested = [good[place] for place in order[count : count + TESTED]]
    anomalous = [bad[place] for place in random.permutation(len(bad))[:TESTED]]
    with ThreadPoolExecutor(2) as pool:
        scores = np.array([each.score for each in pool.map(inspect, tested + anomalous)]) + model.calibration.threshold
    of_good, of_bad = scores[: len(tested)], scores[len(tested) :]
    calibration = inspect.calibration_scores
    assert calibration is not None, "a fitted model has them"
    found: dict[str, Any] = {
        "set": name,
        "count": count,
        "seed": seed,
        "groups": calibration.groups,
        "good_tested": len(tested),
        "bad_tested": len(anomalous),
        "rules": {},
    }
    for rate in RATES:
        hindsight = np.quantile(of_good, 1.0 - rate, method="higher")
        found["rules"][f"hindsight {rate:g}"] = [
            float(np.mean(of_good > hindsight)),
            float(np.mean(of_bad <= hindsight)),
        ]
        for rule in RULES:
            threshold = calibration.at(rate, rule=rule, is_exact=False).threshold
            found["rules"][f"{rule} {rate:g}"] = [
                float(np.mean(of_good > threshold)),
                float(np.mean(of_bad <= threshold)),
            ]
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "# Thresholds over many draws of the good images",
        "",
        "Written by `make bench-resplits`. Means over sets and draws: false alarms on other good images / misses.",
        "*auto* is the default. *hindsight* is a threshold set on the tested good images themselves, with their luck.",
        "",
        "| good images | rate | fits | conformal | estimated | auto | hindsight |",
        "|---|---|---|---|---|---|---|",
    ]
    cells: defaultdict[tuple[int, float, str], list[list[float]]] = defaultdict(list)
    for row in rows:
        for key, values in row["rules"].items():
            rule, rate = key.split()
            cells[row["count"], float(rate), rule].append(values)
    for count in COUNTS:
        for rate in RATES:
            shown = []
            for rule in ("conformal", "estimated", "auto", "hindsight"):
                values = cells[count, rate, rule]
                shown.append("{:.3f} / {:.2f}".format(*np.mean(values, axis=0)) if values else "-")
            lines.append(f"| {count} | {rate:g} | {len(cells[count, rate, 'auto'])} | {' | '.join(shown)} |")
    lines += ["", "The same at the default rate of 0.05, by set, *auto*:", ""]
    names = sorted({row["set"] for row in rows}, key=SETS.index)
    lines += ["| good images | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for count in COUNTS:
        shown = []
        for name in names:
            values = [row["rules"]["auto 0.05"] for row in rows if (row["set"], row["count"]) == (name, count)]
            shown.append("{:.3f} / {:.2f}".format(*np.mean(values, axis=0)) if values else "-")
        lines.append(f"| {count} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the sets")
    parser.add_argument("--output", type=Path, required=True, help="lines of JSON")
    parser.add_argument("--table", type=Path, help="write this table of all lines")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = read_lines(options.output)
    done = {(row["set"], row["count"], row["seed"]) for row in rows}
    sets = {name: load_set(name, options.data) for name in SETS}
    wanted = [
        (name, count, seed)
        for seed in range(options.seeds)
        for count in COUNTS
        for name in SETS
        if len(good_of(sets[name])) >= count + LEAST_TESTED and (name, count, seed) not in done
    ]
    for number, (name, count, seed) in enumerate(wanted, start=1):
        with running(f"{name} / {count} images / seed {seed}", number=number, total=len(wanted)):
            row = measure(name, sets[name], count, seed)
        rows.append(row)
        append_line(options.output, row)
        print(name, count, seed, row["rules"]["auto 0.05"], flush=True)
        if options.table:
            options.table.write_text(table(rows))


if __name__ == "__main__":
    main()
