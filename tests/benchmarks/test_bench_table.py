"""The table of results: means over seeds, failures without figures, and what was not run."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.published import PublishedFigure, read_published
from benchmarks.table import as_csv, as_markdown
from onlygood import SettingError

DIGITS = ["0", "1", "2"]


def result(method: str = "patch", seed: int = 0, auroc: float = 0.9, **changes: Any) -> dict[str, Any]:
    """A result; `data` and `class_name` go into its run, the rest over its top level."""
    run = {"data": changes.pop("data", "mnist"), "class_name": changes.pop("class_name", "0")}
    return {
        "format": 1,
        "run": {**run, "method": method, "seed": seed, "max_train": None, "max_test": None, "false_alarm_rate": 0.05},
        "machine": {"processor": "EPYC", "cores": 2, "system": "Linux", "python": "3.11"},
        "status": "ok",
        "metrics": {
            "image_auroc": {"value": auroc, "low": auroc, "high": auroc},
            "average_precision": 0.8,
            "f1_max": 0.7,
            "pixel": None,
        },
        "times": {"fit_s": 12.0, "inspect_ms": {"median": 5.0, "p95": 7.0}},
        "peak_memory_mb": 500.0,
        "model_bytes": 4_000_000,
        "counts": {"good": 60, "test_good": 10, "test_anomalous": 90},
        "notes": [],
        "classes": DIGITS,
        "versions": {"onlygood": "0.1.0"},
        **changes,
    }


def failed(method: str, **changes: Any) -> dict[str, Any]:
    made = result(method, **changes)
    kept = {key: made[key] for key in ("format", "run", "machine")}
    return {**kept, "status": "failed", "error": "Traceback\nMemoryError: too | much"}


def row(text: str, method: str) -> list[str]:
    """The cells of the first row of that method."""
    (line, *_) = [line for line in text.splitlines() if line.startswith(f"| {method} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_one_seed_is_shown_as_it_is() -> None:
    text = as_markdown([result(auroc=0.9)], [])
    assert row(text, "patch") == ["patch", "0.900", "0.800", "12.0", "5.0", "7.0", "500", "4.0", "1"]
    assert "±" not in text.partition("## mnist")[2]


def test_seeds_are_a_mean_and_a_standard_deviation() -> None:
    text = as_markdown([result(seed=0, auroc=0.8), result(seed=1, auroc=0.9), result(seed=2, auroc=1.0)], [])
    assert row(text, "patch")[1] == "0.900 ± 0.100"
    assert row(text, "patch")[-1] == "3"


def test_the_best_comes_first_and_a_failure_last_without_figures() -> None:
    text = as_markdown([failed("pyod:ECOD"), result("sklearn:lof", auroc=0.7), result("patch", auroc=0.9)], [])
    methods = re.findall(r"^\| ([a-z:A-Z]+) \| (?:0|failed)", text, re.M)
    assert methods == ["patch", "sklearn:lof", "pyod:ECOD"]
    assert row(text, "pyod:ECOD") == ["pyod:ECOD", "failed", *[""] * 6, "0 of 1"]
    assert "- FAILED: mnist, 0, pyod:ECOD, seed 0: MemoryError: too \\| much" in text


def test_a_seed_that_failed_is_counted_but_not_averaged() -> None:
    text = as_markdown([result("sklearn:lof", seed=0, auroc=0.7), failed("sklearn:lof", seed=1)], [])
    assert row(text, "sklearn:lof")[1] == "0.700" and row(text, "sklearn:lof")[-1] == "1 of 2"


def test_a_failure_never_counts_as_a_win() -> None:
    """Of two classes the peer failed on one: its mean over classes is not that of the other one alone."""
    results = [
        *(result("patch", auroc=0.8, class_name=name) for name in "01"),
        result("sklearn:lof", auroc=0.99, class_name="0"),
        failed("sklearn:lof", class_name="1"),
    ]
    means = as_markdown(results, []).partition("### Mean over")[2].partition("##")[0]
    assert "| patch | 0.800 |" in means and "sklearn:lof" not in means


def test_the_mean_names_the_classes_that_ran() -> None:
    results = [result(auroc=value, class_name=name) for name, value in (("0", 0.8), ("2", 1.0))]
    assert "### Mean over 0, 2 of 3 classes" in as_markdown(results, [])
    results.append(result(auroc=0.9, class_name="1"))
    text = as_markdown(results, [])
    assert "### Mean over all 3 classes" in text and "| patch | 0.900 |" in text


def test_what_was_not_run_is_said() -> None:
    results = [
        result("patch", class_name="0"),
        result("sklearn:lof", class_name="0"),
        result("patch", class_name="2"),
        result("patch", data="tiles", class_name="all", classes=["all"]),
    ]
    left = as_markdown(results, []).partition("## Not run")[2]
    assert "- mnist: the classes 1." in left
    assert "- mnist, 2: sklearn:lof." in left
    assert "- tiles, all: sklearn:lof." in left
    assert "mnist, 0:" not in left


def test_where_everything_ran_nothing_is_missing() -> None:
    assert "- Nothing: every method ran" in as_markdown([result(class_name=name) for name in DIGITS], [])


def test_published_figures_are_marked_with_their_source() -> None:
    published = [
        PublishedFigure(
            data="mnist", class_name="0", method="Deep SVDD", image_auroc=0.98, source="Ruff 2018, Table 1"
        ),
        PublishedFigure(data="mnist", class_name="mean", method="Deep SVDD", image_auroc=0.948, source="the same"),
        PublishedFigure(data="cifar10", class_name="cat", method="other", image_auroc=0.5, source="elsewhere"),
    ]
    text = as_markdown([result(auroc=0.9)], published)
    assert "| *Deep SVDD (published: Ruff 2018, Table 1)* | *0.980* |" in text
    assert "- Deep SVDD: 0.948 (published: the same)" in text
    assert "elsewhere" not in text


def test_notes_stand_at_the_beginning() -> None:
    text = as_markdown([result()], [], ["The cells were chosen on."])
    assert "\nThe cells were chosen on.\n" in text.partition("## mnist")[0]


def test_every_row_has_as_many_cells_as_its_table() -> None:
    published = [PublishedFigure(data="mnist", class_name="0", method="x", image_auroc=0.98, source="y")]
    text = as_markdown([result(auroc=0.9), failed("sklearn:lof"), result("sklearn:ocsvm", model_bytes=None)], published)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_pixel_figures_have_columns_only_where_there_are_some() -> None:
    metrics = {**result()["metrics"], "pixel": {"pixel_auroc": 0.95, "aupro": 0.85}}
    with_pixels = as_markdown([result(metrics=metrics), result("sklearn:lof")], [])
    assert "pixel AUROC | AUPRO" in with_pixels
    assert row(with_pixels, "patch")[3:5] == ["0.950", "0.850"]
    assert row(with_pixels, "sklearn:lof")[3:5] == ["", ""]
    assert "| AUPRO" not in as_markdown([result()], [])


def test_csv_has_a_row_a_run() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([result(auroc=0.9), failed("sklearn:lof", seed=1)]))))
    assert [line["method"] for line in rows] == ["patch", "sklearn:lof"]
    assert float(rows[0]["image_auroc"]) == 0.9 and rows[0]["error"] == ""
    assert rows[1]["image_auroc"] == "" and rows[1]["error"].startswith("Traceback")
    assert rows[1]["status"] == "failed"


def test_published_figures_are_read(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    entry = {"data": "mnist", "class_name": "mean", "method": "m", "image_auroc": 0.9, "source": "s"}
    path.write_text(json.dumps([entry]))
    assert read_published(path) == [PublishedFigure(**entry)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be a JSON list"),
        ("{}", "got a dict"),
        ('[{"data": "mnist"}]', "must have data, class_name, method, image_auroc, source and nothing else"),
        (
            '[{"data": "a", "class_name": "b", "method": "c", "image_auroc": 94.8, "source": "d"}]',
            "image_auroc in .* must be between 0 and 1, got 94.8",
        ),
    ],
)
def test_a_file_of_other_contents_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "published.json"
    path.write_text(content)
    with pytest.raises(SettingError, match=message):
        read_published(path)
