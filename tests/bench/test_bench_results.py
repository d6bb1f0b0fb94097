"""The results in the repository: the table is what the harness makes of the runs beside it, and nothing else."""

from pathlib import Path

from onlygood.bench.published import read_published
from onlygood.bench.runs import results_in
from onlygood.bench.table import as_markdown

BENCHES = Path(__file__).parents[2] / "benches"


def test_the_table_is_written_by_the_harness() -> None:
    results = [result for _, result in results_in(BENCHES / "runs")]
    notes = (BENCHES / "notes.md").read_text(encoding="utf-8").strip()
    expected = as_markdown(results, read_published(BENCHES / "published.json"), [notes])
    assert (BENCHES / "RESULTS.md").read_text(encoding="utf-8") == expected
