"""Whatever is changed in a model file, with a digest that fits: an error of ours, or an answer that is one.

The files of `tests/models`, one of each method, are changed in seeded ways (`tests/mutations.py`) and used: `info`, and
a verdict on an image. That runs in a process of its own (`tests/use_mutated_models.py`), with limits on its memory and
on the time of each file, since a file that gets past the audit might hang it or take it down.

A right answer is one that every reader can take: the score is a finite number, the p-value is between 0 and 1, and
the map has the image's size and finite values. What the numbers are is the file's: whoever changes its weights and its
digest has made another model, which no audit can tell from one that was fitted; signatures are for that.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODELS = sorted((TESTS / "models").glob("*.onnx"))
EACH = 400
# They take about ten seconds.
LONGEST_S = 240


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_a_mutated_model_is_refused_or_gives_a_right_answer(model: Path) -> None:
    paths = [str(TESTS), str(TESTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    finished = subprocess.run(
        [sys.executable, str(TESTS / "use_mutated_models.py"), str(model), "0", str(EACH)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    lines = finished.stdout.splitlines()
    last = lines[-1] if lines else "none"
    assert finished.returncode == 0, (
        f"the process ended with {finished.returncode} at: {last}\n{finished.stderr[-3000:]}"
    )
    begun = dict(re.findall(r"^(\d+) begins: (.*)$", finished.stdout, re.MULTILINE))
    came = dict(re.findall(r"^(\d+) ends after [\d.]+ s: (.*)$", finished.stdout, re.MULTILINE))
    assert len(came) == EACH
    wrong = [
        f"{number} ({begun[number]}): {what}" for number, what in came.items() if what not in ("refused", "answered")
    ]
    assert not wrong, "\n".join(wrong)
    # Not everything is refused: some changes do no harm.
    assert sum(what == "answered" for what in came.values()) > EACH // 30
