"""Results beside one another: by data set, class and method, over seeds, and what was not run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.published import PublishedFigure
from benchmarks.runs import Result, title_of_data

HEAD = """# Benchmark results

Written by `python -m benchmarks table` from the results of `python -m benchmarks run`, never by hand.

Image AUROC is of scores, for good images (0) against anomalous ones (1); pixel AUROC and AUPRO (to a false-positive
rate of 0.3) are at the images' own size. False alarms and misses are by the method's own threshold, where good
images alone decided it. ± is the standard deviation over seeds, where there were several. Times are wall times on the
machine named below: fit is learning from the images, inspect is one decoded image after another, with its map where
the method has maps. Compare times within one table only.
"""


def as_markdown(results: Sequence[Result], published: Sequence[PublishedFigure], notes: Sequence[str] = ()) -> str:
    """All results as one Markdown document.

    Args:
        results: at least one, as `read_results` gives them.
        published: figures to put beside.
        notes: what a reader should know of the runs, each a paragraph at the beginning.
    """
    parts = [HEAD, *(f"{note}\n" for note in notes)]
    for data in _in_order(_data_of(result) for result in results):
        of_data = [result for result in results if _data_of(result) == data]
        parts.append(_data_section(data, of_data, [figure for figure in published if figure.data == data]))
    parts.append("## Not run\n\n" + _bullets(_not_run(results)))
    parts.append("## Machines and versions\n\n" + _bullets(_made_with(results)))
    return "\n".join(parts)


def as_csv(results: Sequence[Result]) -> str:
    """All results as CSV: one row a run, failed ones with their error."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["data", "class", "method", "seed", "status", *(column.key for column in COLUMNS), "error"])
    for result in results:
        values = [column.value(result) if result["status"] == "ok" else None for column in COLUMNS]
        run = result["run"]
        writer.writerow(
            [_data_of(result), run["class_name"], run["method"], run["seed"], result["status"]]
            + ["" if value is None else value for value in values]
            + [result.get("error", "")]
        )
    return buffer.getvalue()


@dataclass(frozen=True)
class _Column:
    """One figure of a run: its key in CSV, its title, how to find it, and how to show it."""

    key: str
    title: str
    value: Callable[[Result], float | None]
    shown: str


def _metric(*keys: str) -> Callable[[Result], float | None]:
    def find(result: Result) -> float | None:
        value: Any = result
        for key in keys:
            value = None if value is None else value.get(key)
        return None if value is None else float(value)

    return find


def _model_mb(result: Result) -> float | None:
    size = result.get("model_bytes")
    return None if size is None else size / 1e6


COLUMNS = (
    _Column("image_auroc", "image AUROC", _metric("metrics", "image_auroc", "value"), ".3f"),
    _Column("average_precision", "AP", _metric("metrics", "average_precision"), ".3f"),
    _Column("false_alarms", "false alarms", _metric("metrics", "false_alarms", "value"), ".3f"),
    _Column("misses", "missed", _metric("metrics", "misses", "value"), ".3f"),
    _Column("pixel_auroc", "pixel AUROC", _metric("metrics", "pixel", "pixel_auroc"), ".3f"),
    _Column("aupro", "AUPRO", _metric("metrics", "pixel", "aupro"), ".3f"),
    _Column("fit_s", "fit s", _metric("times", "fit_s"), ".1f"),
    _Column("inspect_ms_median", "inspect ms", _metric("times", "inspect_ms", "median"), ".1f"),
    _Column("inspect_ms_p95", "95 %", _metric("times", "inspect_ms", "p95"), ".1f"),
    _Column("peak_memory_mb", "peak MB", _metric("peak_memory_mb"), ".0f"),
    _Column("model_mb", "model MB", _model_mb, ".1f"),
)


def _data_section(data: str, results: Sequence[Result], published: Sequence[PublishedFigure]) -> str:
    good = [result for result in results if result["status"] == "ok"]
    lines = [f"## {data}", ""]
    for sentence in _in_order(note for result in good for note in result["notes"]):
        lines += [f"*{sentence}*", ""]
    classes = _in_order(_of(result, "class_name") for result in results)
    for class_name in classes:
        of_class = [result for result in results if _of(result, "class_name") == class_name]
        lines += _class_table(class_name, of_class, [each for each in published if each.class_name == class_name])
    known = _in_order(name for result in good for name in result["classes"])
    if len(classes) > 1:
        lines += _mean_table(good, classes, known)
    means = [figure for figure in published if figure.class_name == "mean"]
    if means:
        lines += [
            f"Published means over all {len(known)} classes:" if known else "Published means over all classes:",
            "",
            *(f"- {each.method}: {each.image_auroc:.3f} (published: {each.source})" for each in means),
            "",
        ]
    return "\n".join(lines)


def _class_table(class_name: str, results: Sequence[Result], published: Sequence[PublishedFigure]) -> list[str]:
    """One row a method, the best image AUROC first; failures last, without figures."""
    good = [result for result in results if result["status"] == "ok"]
    lines = [f"### {class_name}", ""]
    for counts in _in_order(_counts(result) for result in good):
        lines += [counts, ""]
    columns = [column for column in COLUMNS if any(column.value(result) is not None for result in good)]
    columns = columns or [COLUMNS[0]]
    rows: list[tuple[float, list[str]]] = []
    for method in _in_order(_of(result, "method") for result in results):
        of_method = [result for result in results if _of(result, "method") == method]
        done = [result for result in of_method if result["status"] == "ok"]
        if not done:
            rows.append((-1.0, [method, "failed", *[""] * (len(columns) - 1), f"0 of {len(of_method)}"]))
            continue
        seeds = f"{len(done)}" if len(done) == len(of_method) else f"{len(done)} of {len(of_method)}"
        best = np.mean([COLUMNS[0].value(result) or 0.0 for result in done])
        rows.append((float(best), [method, *(_mean(column, done) for column in columns), seeds]))
    for figure in published:
        cells = [f"*{figure.method} (published: {figure.source})*", f"*{figure.image_auroc:.3f}*"]
        rows.append((figure.image_auroc, [*cells, *[""] * len(columns)]))
    rows.sort(key=lambda row: -row[0])
    lines += _table(["method", *(column.title for column in columns), "seeds"], [cells for _, cells in rows])
    return [*lines, ""]


def _mean_table(results: Sequence[Result], classes: Sequence[str], known: Sequence[str]) -> list[str]:
    """Means over the classes, of the methods that ran on all of them: others would be means of other things."""
    rows = []
    for method in _in_order(_of(result, "method") for result in results):
        of_method = [result for result in results if _of(result, "method") == method]
        by_class = [[result for result in of_method if _of(result, "class_name") == name] for name in classes]
        if not all(by_class):
            continue
        means = [float(np.mean([COLUMNS[0].value(result) or 0.0 for result in of_one])) for of_one in by_class]
        rows.append((float(np.mean(means)), method))
    if not rows:
        return []
    which = (
        f"all {len(known)} classes" if len(classes) == len(known) else f"{', '.join(classes)} of {len(known)} classes"
    )
    cells = [[method, f"{mean:.3f}"] for mean, method in sorted(rows, key=lambda row: -row[0])]
    return [f"### Mean over {which}", "", *_table(["method", "image AUROC"], cells), ""]


def _not_run(results: Sequence[Result]) -> list[str]:
    """What is missing from a table of everything, and what failed."""
    sentences = []
    methods = _in_order(_of(result, "method") for result in results)
    for data in _in_order(_data_of(result) for result in results):
        of_data = [result for result in results if _data_of(result) == data]
        ran = _in_order(_of(result, "class_name") for result in of_data)
        known = _in_order(name for result in of_data for name in result.get("classes", ()))
        left = [name for name in known if name not in ran]
        if left:
            sentences.append(f"{data}: the classes {', '.join(left)}.")
        for class_name in ran:
            there = {_of(result, "method") for result in of_data if _of(result, "class_name") == class_name}
            missing = [method for method in methods if method not in there]
            if missing:
                sentences.append(f"{data}, {class_name}: {', '.join(missing)}.")
    for result in results:
        if result["status"] != "ok":
            run = result["run"]
            reason = result["error"].strip().splitlines()[-1]
            sentences.append(
                f"FAILED: {_data_of(result)}, {run['class_name']}, {run['method']}, seed {run['seed']}: {_cell(reason)}"
            )
    return sentences or ["Nothing: every method ran on every class of every data set."]


def _made_with(results: Sequence[Result]) -> list[str]:
    """Machines and versions, each with the methods that it made figures of."""
    machines = _in_order(
        f"{result['machine']['processor']}, {result['machine']['cores']} cores, {result['machine']['system']}, Python "
        f"{result['machine']['python']}"
        for result in results
    )
    versions: dict[str, list[str]] = {}
    for result in results:
        if result["status"] == "ok":
            stack = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
            methods = versions.setdefault(stack, [])
            if _of(result, "method") not in methods:
                methods.append(_of(result, "method"))
    return [*machines, *(f"{', '.join(methods)}: {stack}" for stack, methods in versions.items())]


def _counts(result: Result) -> str:
    counts, run = result["counts"], result["run"]
    reference = f" (doc also from {counts['reference']:,} reference images)" if counts.get("reference") else ""
    return (
        f"Learned from {counts['good']:,} good images{reference}, tested on {counts['test_good']:,} good and "
        f"{counts['test_anomalous']:,} anomalous; our methods were asked for a false-alarm rate of "
        f"{run['false_alarm_rate']:g}."
    )


def _mean(column: _Column, results: Sequence[Result]) -> str:
    """Mean, and standard deviation where there are several, of those that have the figure."""
    values = [value for result in results if (value := column.value(result)) is not None]
    if not values:
        return ""
    mean = format(float(np.mean(values)), column.shown)
    return mean if len(values) == 1 else f"{mean} ± {format(float(np.std(values, ddof=1)), column.shown)}"


def _data_of(result: Result) -> str:
    run = result["run"]
    return title_of_data(str(run["data"]), run.get("reference"))


def _of(result: Result, name: str) -> str:
    return str(result["run"][name])


def _in_order(values: Iterable[str]) -> list[str]:
    """Each once, in the order in which they first come."""
    return list(dict.fromkeys(values))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(titles) - 1)]
    return ["| " + " | ".join(_cell(text) for text in cells) + " |" for cells in (titles, marks, *rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _bullets(sentences: Sequence[str]) -> str:
    return "".join(f"- {sentence}\n" for sentence in sentences)
