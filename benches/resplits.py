"""How often good images are called anomalous and how many defects are missed, by the threshold rule, the rate and the
number of good images, over many draws of these.

    python benches/resplits.py --data data --output benches/results/resplits.jsonl --table benches/RESULTS-RESPLITS.md

For each set, number and seed the default detector is fitted to that many good images, drawn from all good ones of the
set, and scores others and defects. Both rules then decide from the same calibration scores at every rate. Each fit is a
line of the output; one that is there already is not repeated. Sets whose images come in groups that no file name gives
(magnetic_tile, piston) are left out.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import onlygood
from onlygood.calibration.threshold import RULES, choose_rule, threshold_weighted
from sets import load_set

SETS = ("casting", "elpv-mono", "elpv-poly", "deeppcb", "fabric_stain", "aliens", "cookies")
COUNTS = (10, 20, 50, 100, 300)
RATES = (0.001, 0.003, 0.01, 0.03, 0.05, 0.1)
# Most good and most defective images that are tested, drawn at random.
TESTED = 150
# Fewer than this many good images left to test say nothing of false alarms.
LEAST_TESTED = 10


def measure(name: str, data: Path, count: int, seed: int) -> dict[str, Any] | None:
    """Shares by rule and rate; None where a set has too few good images."""
    parts = load_set(name, data)
    good = parts.good + [file for file, kind, _ in parts.test if kind == "good"]
    bad = [file for file, kind, _ in parts.test if kind != "good"]
    if len(good) < count + LEAST_TESTED:
        return None
    random = np.random.default_rng([seed, count])
    order = random.permutation(len(good))
    model = onlygood.fit([str(good[place]) for place in sorted(order[:count])], seed=seed)
    inspect = onlygood.Inspector(model, threads=1)
    tested = [good[place] for place in order[count : count + TESTED]]
    anomalous = [bad[place] for place in random.permutation(len(bad))[:TESTED]]
    with ThreadPoolExecutor(2) as pool:
        scores = np.array([each.score for each in pool.map(inspect, tested + anomalous)]) + model.calibration.threshold
    of_good, of_bad = scores[: len(tested)], scores[len(tested) :]
    calibration = model.calibration
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
            threshold = threshold_weighted(calibration.scores, calibration.weights, calibration.groups, rate, rule=rule)
            found["rules"][f"{rule} {rate:g}"] = [
                float(np.mean(of_good > threshold)),
                float(np.mean(of_bad <= threshold)),
            ]
        chosen = choose_rule(calibration.groups, rate, is_exact=False)
        found["rules"][f"auto {rate:g}"] = found["rules"][f"{chosen} {rate:g}"]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Thresholds over many draws of the good images",
        "",
        "Written by `make bench-resplits`. Means over sets and draws: false alarms on other good images / misses.",
        "*auto* is the default. *hindsight* is a threshold set on the tested good images themselves, with their luck.",
        "",
        "| good images | rate | fits | conformal | estimated | auto | hindsight |",
        "|---|---|---|---|---|---|---|",
    ]
    cells = defaultdict(list)
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
    rows = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    done = {(row["set"], row["count"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for count in COUNTS:
            for name in SETS:
                if (name, count, seed) in done or (row := measure(name, options.data, count, seed)) is None:
                    continue
                rows.append(row)
                with options.output.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(name, count, seed, row["rules"]["auto 0.05"], flush=True)
                if options.table:
                    options.table.write_text(table(rows))


if __name__ == "__main__":
    main()
