"""The default settings on several sets of parts: what is found, at which false-alarm rate, and how that was measured.

    python -m benchmarks.studies.sets --data data --output benchmarks/results/sets.jsonl \
        --table benchmarks/RESULTS-SETS.md

Each run is a line of the output; a run that is there already is not repeated. For each set and seed the model is fitted
to the set's own good images and measured on its own test images, and fitted once more to as many good images, drawn
from all of them, and measured on the good images left: that is where false alarms are counted without the luck of one
split. Nothing is chosen on any of these images.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import onlygood
from benchmarks.datasets.elpv import open_elpv
from benchmarks.datasets.opening import open_dataset
from benchmarks.datasets.tasks import TaskImage
from benchmarks.fitting import describe, fit_method
from benchmarks.progress import running
from benchmarks.records import append_line, read_lines

SETS = ("aliens", "cookies", "piston", "casting", "fabric_stain", "deeppcb", "magnetic_tile", "elpv-mono", "elpv-poly")
SEVEN = SETS[:7]
FEW_SHOT_SETS, FEW_SHOTS, FEW_SHOT_TARGET = ("aliens", "cookies"), (4, 8, 16, 31), 200
# Of the good cells of ELPV, which has no split of its own.
ELPV_FITTED = 0.6

Tested: TypeAlias = tuple[Path, str, Path | None]
Studied: TypeAlias = tuple[dict[str, Any], Callable[[], dict[str, Any]]]


@dataclass(frozen=True)
class PartSet:
    """Good images to learn from, and test images by kind of defect ("good" for none), each with its mask or None."""

    good: list[Path]
    test: list[Tested]


def load_set(name: str, data: Path) -> PartSet:
    if name.startswith("elpv-"):
        return load_elpv(name.removeprefix("elpv-"))
    task = open_dataset(name, data / name).task("all", seed=0)
    return PartSet(good=[path_of(image) for image in task.good], test=[tested(image) for image in task.test])


def load_elpv(kind: str) -> PartSet:
    """Good cells split at random, once and for all seeds; those graded 1 are the defective ones."""
    cells = open_elpv("elpv", None).cells[kind]
    good = [path_of(cell) for cell in cells if not cell.is_anomalous]
    order = np.random.default_rng(0).permutation(len(good))
    cut = int(ELPV_FITTED * len(good))
    test: list[Tested] = [(good[place], "good", None) for place in sorted(order[cut:])]
    test += [(path_of(cell), "defective", None) for cell in cells if cell.defect == "1"]
    return PartSet(good=[good[place] for place in sorted(order[:cut])], test=test)


def tested(image: TaskImage) -> Tested:
    return path_of(image), image.defect, image.mask


def path_of(image: TaskImage) -> Path:
    assert isinstance(image.source, Path), "a data set of files"
    return image.source


def labelled(test: Sequence[Tested], folder: Path) -> Path:
    """A CSV file of labelled images, as `evaluate` takes it."""
    lines = ["path,label,mask,defect"]
    lines += [
        f"{file.resolve()},{int(kind != 'good')},{mask.resolve() if mask else ''},{kind if kind != 'good' else ''}"
        for file, kind, mask in test
    ]
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def hindsight_misses(evaluation: onlygood.Evaluation, rate: float) -> float:
    """What a threshold that the good test images exceed at most at this rate misses."""
    good = [each.score for each in evaluation.images if not each.labelled.is_anomalous]
    bad = [each.score for each in evaluation.images if each.labelled.is_anomalous]
    return float(np.mean(np.array(bad) <= np.quantile(good, 1.0 - rate, method="higher")))


def measure(good: Sequence[Path], test: Sequence[Tested], **settings: Any) -> dict[str, Any]:
    began = time.perf_counter()
    model = fit_method([str(file) for file in good], **settings)
    fit_s = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        evaluation = onlygood.evaluate(model, labelled(test, Path(folder)))
    image = evaluation.image
    measured: dict[str, Any] = {
        "fitted": len(good),
        "groups": model.guarantee.groups,
        "rate": model.guarantee.requested_rate,
        "rule": model.guarantee.rule,
        "odd": [Path(each.name).name for each in model.good_images if each.is_odd],
        "input_shape": describe(model)["input"]["input_shape"],
        "fit_s": round(fit_s, 2),
        "false_alarms": None if image.false_alarms is None else image.false_alarms.value,
        "good_tested": image.good,
    }
    if image.auroc is not None and image.misses is not None:
        measured |= {
            "auroc": image.auroc.value,
            "misses": image.misses.value,
            "hindsight_misses": hindsight_misses(evaluation, model.guarantee.requested_rate),
            "at_rates": {
                f"{each.requested_rate:g}": [
                    each.misses and each.misses.value,
                    each.false_alarms and each.false_alarms.value,
                ]
                for each in evaluation.at_rates
            },
        }
    if evaluation.pixel is not None:
        metrics = evaluation.pixel.metrics
        measured |= {"pixel_auroc": metrics.pixel_auroc, "aupro": metrics.aupro}
    return measured


def runs(names: Sequence[str], data: Path, seeds: int) -> Iterator[Studied]:
    """Each run's key, and what measures it."""
    for seed in range(seeds):
        for name in names:
            parts = load_set(name, data)
            yield (
                {"study": "sets", "set": name, "seed": seed, "split": "own"},
                partial(measure, parts.good, parts.test, seed=seed),
            )
            everything = [*parts.good, *(file for file, kind, _ in parts.test if kind == "good")]
            order = np.random.default_rng(1000 + seed).permutation(len(everything))
            fitted = [everything[place] for place in sorted(order[: len(parts.good)])]
            left: list[Tested] = [(everything[place], "good", None) for place in sorted(order[len(parts.good) :])]
            yield (
                {"study": "sets", "set": name, "seed": seed, "split": "drawn"},
                partial(measure, fitted, left, seed=seed),
            )


def few_shot_runs(data: Path, seeds: int) -> Iterator[Studied]:
    for name in FEW_SHOT_SETS:
        parts = load_set(name, data)
        for shots in FEW_SHOTS:
            for augment in (None, FEW_SHOT_TARGET):
                for seed in range(seeds):
                    order = np.random.default_rng(2000 + seed).permutation(len(parts.good))[:shots]
                    chosen = [parts.good[place] for place in sorted(order)]
                    yield (
                        {"study": "few-shot", "set": name, "seed": seed, "shots": shots, "augment": augment},
                        partial(measure, chosen, parts.test, seed=seed, augment=augment),
                    )


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown, means over seeds."""

    def mean(found: Sequence[dict[str, Any]], field: str) -> str:
        values = [line[field] for line in found if line.get(field) is not None]
        return f"{np.mean(values):.3f}" if values else "-"

    sets = [line for line in lines if line["study"] == "sets"]
    out = [
        "# Sets of parts, default settings",
        "",
        "Written by `make bench-sets`; means over seeds. *Misses* and *false alarms* are at the model's own "
        "threshold, which comes from good images alone; *hindsight* is what a threshold chosen on the good test images "
        "at the same rate would miss; *drawn* are false alarms where the good images to learn from are drawn from "
        "all.",
        "",
        "| set | fitted | seeds | AUROC | misses | hindsight | false alarms | drawn | pixel AUROC | AUPRO | input | "
        "fit |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(line["set"] for line in sets):
        own = [line for line in sets if line["set"] == name and line["split"] == "own"]
        drawn = [line for line in sets if line["set"] == name and line["split"] == "drawn"]
        if own:
            shape = " x ".join(map(str, own[0]["input_shape"]))
            out.append(
                f"| {name} | {own[0]['fitted']} | {len(own)} | {mean(own, 'auroc')} | {mean(own, 'misses')} | "
                f"{mean(own, 'hindsight_misses')} | {mean(own, 'false_alarms')} | {mean(drawn, 'false_alarms')} | "
                f"{mean(own, 'pixel_auroc')} | {mean(own, 'aupro')} | {shape} | {mean(own, 'fit_s')} s |"
            )
    seven = [line for line in sets if line["set"] in SEVEN]
    own = [line for line in seven if line["split"] == "own"]
    if own:

        def mean_of_sets(split: str, field: str) -> str:
            found = [line for line in seven if line["split"] == split]
            means = [
                np.mean([line[field] for line in found if line["set"] == name])
                for name in dict.fromkeys(line["set"] for line in found)
            ]
            return f"{np.mean(means):.3f}"

        out += [
            "",
            f"Mean of the {len({line['set'] for line in own})} sets but ELPV, at the default rate of "
            f"{own[0]['rate']:g}: AUROC {mean_of_sets('own', 'auroc')}, misses {mean_of_sets('own', 'misses')}, false "
            f"alarms where good images are drawn {mean_of_sets('drawn', 'false_alarms')}.",
        ]
    few = [line for line in lines if line["study"] == "few-shot"]
    if few:
        out += [
            "",
            "## Few good images",
            "",
            f"With and without `--augment {FEW_SHOT_TARGET}`.",
            "",
            "| set | good images | seeds | AUROC | misses | false alarms | AUROC, augmented | misses | false alarms |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for name in dict.fromkeys(line["set"] for line in few):
            for shots in FEW_SHOTS:
                cells = []
                for augment in (None, FEW_SHOT_TARGET):
                    found = [
                        line for line in few if (line["set"], line["shots"], line["augment"]) == (name, shots, augment)
                    ]
                    cells += [mean(found, field) for field in ("auroc", "misses", "false_alarms")]
                seeds = len({line["seed"] for line in few if (line["set"], line["shots"]) == (name, shots)})
                out.append(f"| {name} | {shots} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets")
    parser.add_argument("--output", type=Path, required=True, help="a file of JSON lines; what is there is kept")
    parser.add_argument("--table", type=Path, help="write the results as Markdown")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--few-shot", action="store_true", help="also learn from few images of two sets")
    arguments = parser.parse_args()

    lines = read_lines(arguments.output)
    wanted = list(runs(arguments.sets.split(","), arguments.data, arguments.seeds))
    if arguments.few_shot:
        wanted += list(few_shot_runs(arguments.data, arguments.seeds))
    left = [(key, run) for key, run in wanted if not any(key.items() <= line.items() for line in lines)]
    for number, (key, run) in enumerate(left, start=1):
        with running(" / ".join(map(str, key.values())), number=number, total=len(left)):
            line = {**key, **run(), "onlygood": onlygood.__version__}
        lines.append(line)
        append_line(arguments.output, line)
        print(json.dumps(line), flush=True)
        if arguments.table:
            arguments.table.write_text(table(lines))
    if arguments.table:
        arguments.table.write_text(table(lines))


if __name__ == "__main__":
    main()
