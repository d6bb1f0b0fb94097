"""The results in the repository: each table is what the harness makes of the runs beside it, and nothing else."""

from pathlib import Path

import pytest

from benchmarks.published import read_published
from benchmarks.records import read_lines
from benchmarks.runs import read_results
from benchmarks.studies import resplits, sets
from benchmarks.table import as_markdown

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("table", "runs", "notes"),
    [
        ("RESULTS", "runs", "runs"),
        ("RESULTS-2000", "runs-2000", "2000"),
        ("RESULTS-DOC", "runs-doc", "doc"),
        ("RESULTS-TEMPLATES", "runs-templates", "templates"),
    ],
)
def test_a_table_is_written_by_the_harness(table: str, runs: str, notes: str) -> None:
    results = read_results(BENCHMARKS / "results" / f"{runs}.jsonl")
    text = (BENCHMARKS / "notes" / f"{notes}.md").read_text(encoding="utf-8").strip()
    published = read_published(BENCHMARKS / "published.json") if table == "RESULTS" else []
    assert (BENCHMARKS / f"{table}.md").read_text(encoding="utf-8") == as_markdown(results, published, [text])


def test_the_tables_of_studies_are_written_by_them() -> None:
    for study, name in ((sets, "sets"), (resplits, "resplits")):
        written = study.table(read_lines(BENCHMARKS / "results" / f"{name}.jsonl"))
        assert (BENCHMARKS / f"RESULTS-{name.upper()}.md").read_text(encoding="utf-8") == written
