"""Files of every format number that was ever written must still load and give their verdicts.

`models/format-1.onnx` is of the patch memory; of format 2 there is one of each method. All were fitted on the sixteen
`textures` (`scripts/write_model_files.py`).
"""

from pathlib import Path

import pytest

import onlygood
from flat import METHODS
from onlygood.cli import main
from onlygood.graph.model_file import FORMAT
from textures import texture, with_defect

MODELS = Path(__file__).parents[1] / "models"
# What these files gave for textures 500 and 501 when they were written. The graph is in the file, so no later version
# may give anything else.
SCORES = {
    "format-1.onnx": [-4.529555, -4.104013],
    "format-2-patch.onnx": [-1.535589, -1.405334],
    "format-2-patch-in-tiles.onnx": [-1.710515, -1.99891],
    "format-2-knn.onnx": [-0.007719, -0.025399],
    "format-2-lof.onnx": [-0.258901, -0.225436],
    "format-2-mahalanobis.onnx": [-7.353699, -8.684214],
    "format-2-discriminator.onnx": [-0.47919, -0.378882],
    "format-2-doc.onnx": [-0.009979, -0.026711],
    "format-2-deep-svdd.onnx": [-3.029144, -0.998958],
}


def test_there_is_a_file_of_every_format_and_of_every_method() -> None:
    assert sorted(path.name for path in MODELS.iterdir()) == sorted(SCORES)
    assert {f"format-{FORMAT}-{method}.onnx" for method in METHODS} <= set(SCORES)


@pytest.mark.parametrize("name", ["format-1.onnx", "format-2-patch.onnx"])
def test_a_file_of_every_format_loads_and_tells_a_blot_from_good(name: str) -> None:
    inspect = onlygood.Inspector(MODELS / name)
    assert inspect.metadata.format == int(name[7])
    blotted = inspect(with_defect(texture(501)))
    assert blotted.is_anomaly
    assert blotted.score > 2 * max(abs(inspect(texture(seed)).score) for seed in range(510, 514))


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_file_gives_the_scores_that_it_gave_when_it_was_written(name: str) -> None:
    inspect = onlygood.Inspector(MODELS / name)
    assert [inspect(texture(seed)).score for seed in (500, 501)] == pytest.approx(SCORES[name], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_file_is_described_and_its_guarantee_is_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(MODELS / name)]) == 0
    said = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    method = name[9:].removesuffix(".onnx").removesuffix("-in-tiles") if name.startswith("format-2") else "patch"
    assert said["method"].strip().startswith(method)
    guarantee = onlygood.Inspector(MODELS / name).metadata.guarantee
    assert guarantee.requested_rate == 0.1
    assert 3 <= guarantee.calibration_images <= 16


def test_what_format_1_had_one_of_is_described_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(MODELS / "format-1.onnx")]) == 0
    said = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    # Before there were several levels, the metadata gave one side of a square and one memory.
    assert said["method"].strip() == "patch: 100 x 10 memory bank, 8 x 8 patches of shallow, deep"
    assert "resized to 64 x 64" in said["takes"]


@pytest.mark.parametrize("name", ["format-1.onnx", "format-2-patch.onnx"])
def test_a_file_that_is_calibrated_again_has_the_newest_format(name: str, tmp_path: Path) -> None:
    onlygood.calibrate(MODELS / name, false_alarm_rate=0.2).save(tmp_path / "again.onnx")
    metadata = onlygood.Inspector(tmp_path / "again.onnx").metadata
    assert metadata.format == FORMAT
    assert metadata.guarantee.requested_rate == 0.2
    assert metadata.recalibrations[0].requested_rate_before == 0.1
