"""Write a small model file of each method to tests/models, as this version writes it; once for each format.

    python scripts/write_model_files.py [NAME ...]      # those of these names alone, such as patch-in-tiles

Never run it again for a file that is out: the files are what users have.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import onlygood  # noqa: E402
from flat import fit  # noqa: E402
from onlygood.graph.model_file import FORMAT  # noqa: E402
from textures import SIZE, Array, texture, textures  # noqa: E402
from tiny_backbone import tiny_card, tiny_model, write_backbone  # noqa: E402

SHARED: dict[str, Any] = {"false_alarm_rate": 0.1, "threshold_rule": "conformal"}
TRAINED: dict[str, Any] = {"epochs": 4, "batch_size": 4}


def plain_model() -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Three convolutions, and their card: a network of which the end can be trained."""
    random = np.random.default_rng(0)
    nodes, weights, channels = [], [], [3, 4, 6, 8]
    for number in (1, 2, 3):
        weight = random.normal(size=(channels[number], channels[number - 1], 3, 3)).astype(np.float32) / 3
        weights.append(numpy_helper.from_array(weight, f"w{number}"))
        before = "pixels" if number == 1 else f"stage{number - 1}"
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
        nodes.append(helper.make_node("Conv", [before, f"w{number}"], [f"c{number}"], **attributes))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"stage{number}"]))
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [
            helper.make_tensor_value_info(f"stage{n}", TensorProto.FLOAT, ["N", channels[n], f"h{n}", f"w{n}"])
            for n in (1, 2, 3)
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    taps = [{"name": f"stage{n}", "channels": channels[n], "reduction": 2**n} for n in (1, 2, 3)]
    return model, {**tiny_card(), "name": "plain", "taps": taps, "patch_taps": ["stage3"]}


def ellipse() -> Array:
    """A region of interest that has the corner tiles, but not all of them."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside: Array = ((rows / SIZE - 0.5) / 0.45) ** 2 + ((columns / SIZE - 0.5) / 0.45) ** 2 < 1
    return inside


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tiny = {"backbone": str(write_backbone(Path(folder), tiny_model(), tiny_card())), "input_size": 64}
        (Path(folder) / "plain").mkdir()
        plain = {"backbone": str(write_backbone(Path(folder) / "plain", *plain_model())), "input_size": 64}
        methods: dict[str, dict[str, Any]] = {
            "patch": {**tiny, "bank_size": 100},
            # With a region of interest that is no box.
            "patch-in-tiles": {**tiny, "bank_size": 100, "tiles": "48,16", "roi": ellipse()},
            "knn": {**tiny, "taps": ("deep",)},
            "lof": {**tiny, "taps": ("deep",)},
            "mahalanobis": {**tiny, "taps": ("deep",)},
            "discriminator": {**tiny, "epochs": 20},
            "doc": {**plain, **TRAINED, "taps": ("stage3",), "trained_layers": 1},
            "deep-svdd": {**TRAINED, "pretrain_epochs": 2, "network": "lenet-mnist"},
        }
        for name, settings in methods.items():
            if len(sys.argv) > 1 and name not in sys.argv[1:]:
                continue
            method = name.removesuffix("-in-tiles")
            beside: dict[str, Any] = {}
            if method == "doc":
                others = {kind: [255 - texture(80 + 8 * kind + n) for n in range(6)] for kind in (0, 1)}
                beside = {"reference": {str(kind): images for kind, images in others.items()}}
            model = fit(textures(16), **beside, method=method, **SHARED, **settings)
            path = TESTS / "models" / f"format-{FORMAT}-{name}.onnx"
            model.save(path)
            inspect = onlygood.Inspector(path)
            scores = [round(inspect(texture(seed)).score, 6) for seed in (500, 501)]
            print(f'    "{path.name}": {scores},  # {path.stat().st_size} bytes')


if __name__ == "__main__":
    main()
