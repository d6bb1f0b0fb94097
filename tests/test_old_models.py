"""Files of every format number that was ever written must still load and give their verdicts.

`models/format-1.onnx` was fitted on the sixteen `textures` with the network of `tiny_backbone.py`.
"""

from pathlib import Path

import pytest

import onlygood
from onlygood.graph.model_file import FORMAT
from textures import texture, with_defect

MODELS = Path(__file__).parent / "models"


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
