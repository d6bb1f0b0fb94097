"""Files of every format number that was ever written must still load and give their verdicts.

`models/format-1.onnx` was fitted on the sixteen `textures` with the network of `tiny_backbone.py`.
"""

from pathlib import Path

import pytest

import onlygood
from onlygood.cli import main
from onlygood.graph.model_file import FORMAT
from textures import texture, with_defect

MODELS = Path(__file__).parents[1] / "models"


def test_there_is_a_file_of_every_format() -> None:
    assert sorted(path.name for path in MODELS.iterdir()) == [
        f"format-{number}.onnx" for number in range(1, FORMAT + 1)
    ]


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_file_of_every_format_loads_and_tells_a_blot_from_good(number: int) -> None:
    inspect = onlygood.Inspector(MODELS / f"format-{number}.onnx")
    assert inspect.metadata["format"] == number
    blotted = inspect(with_defect(texture(501)))
    assert blotted.is_anomaly
    assert blotted.score > 2 * max(abs(inspect(texture(seed)).score) for seed in range(510, 514))


# What these files gave when they were written. The graph is in the file, so no later version may give anything else.
SCORES = {1: {500: -4.529555, 501: -4.104013, 502: -4.199630, 503: -4.192036}}


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_file_of_every_format_gives_the_scores_that_it_gave_when_it_was_written(number: int) -> None:
    inspect = onlygood.Inspector(MODELS / f"format-{number}.onnx")
    found = [inspect(texture(seed)).score for seed in SCORES[number]]
    assert found == pytest.approx(list(SCORES[number].values()), rel=1e-3)


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_file_of_every_format_is_described(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(MODELS / f"format-{number}.onnx")]) == 0
    said = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    # Before there were several levels, the metadata gave one side of a square and one memory.
    assert said["method"].strip() == "patch: 100 x 10 memory bank, 8 x 8 patches of shallow, deep"
    assert "(resized to 64 x 64)" in said["takes"]
