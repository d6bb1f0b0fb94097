"""From a trained encoder to its subgraph."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onlygood.graph.subgraph import OPSET, subgraph


def encoder_subgraph(
    encoder: nn.Sequential, *, source: str, result: str, rank: int, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from `source`, float32 [N, c, H, W], to `result`, as the encoder in evaluation mode gives it.

    Batch normalisation is folded into the convolution before it, in float64.

    Args:
        encoder: of the layers that `onlygood.training.networks` uses.
        source: name of the images.
        result: name of the latents.
        rank: of the latents: 2 for [N, d], 4 for [N, c, h, w].
        opset: of the standard operators.
    """
    lines: list[str] = []
    arrays: dict[str, NDArray[np.generic]] = {}
    value = source
    layers = list(encoder)
    for number, layer in enumerate(layers):
        following = layers[number + 1] if number + 1 < len(layers) else None
        name = f"{result}_{number}"
        if isinstance(layer, nn.Conv2d):
            weight, bias = _folded(layer, following)
            arrays[f"{name}_weight"], arrays[f"{name}_bias"] = weight, bias
            pad, size = int(layer.padding[0]), layer.kernel_size[0]
            call = f"Conv <kernel_shape = [{size}, {size}], pads = [{pad}, {pad}, {pad}, {pad}]>"
            call += f" ({value}, {name}_weight, {name}_bias)"
        elif isinstance(layer, nn.BatchNorm2d):
            continue  # folded
        elif isinstance(layer, nn.LeakyReLU):
            call = f"LeakyRelu <alpha = {layer.negative_slope}> ({value})"
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            kind = "MaxPool" if isinstance(layer, nn.MaxPool2d) else "AveragePool"
            side = layer.kernel_size
            call = f"{kind} <kernel_shape = [{side}, {side}], strides = [{side}, {side}]> ({value})"
        elif isinstance(layer, nn.Flatten):
            call = f"Flatten <axis = 1> ({value})"
        elif isinstance(layer, nn.Linear):
            arrays[f"{name}_weight"] = _numpy(layer.weight)
            inputs = f"{value}, {name}_weight"
            if layer.bias is not None:
                arrays[f"{name}_bias"] = _numpy(layer.bias)
                inputs += f", {name}_bias"
            call = f"Gemm <transB = 1> ({inputs})"
        else:
            raise TypeError(f"a layer of an encoder must be one that networks.py uses, got {type(layer).__name__}")
        lines.append(f"{name} = {call}")
        value = name
    shape = "N, d" if rank == 2 else "N, latent_c, latent_h, latent_w"
    body = "\n        ".join([*lines, f"{result} = Identity ({value})"])
    text = f"""
    encoder (float[N, c, H, W] {source}) => (float[{shape}] {result}) {{
        {body}
    }}
    """
    return subgraph(text, arrays, opset=opset)


def _folded(layer: nn.Conv2d, following: nn.Module | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution and the batch normalisation behind it, if there is one."""
    weight = layer.weight.detach().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if layer.bias is None else layer.bias.detach().double()
    if isinstance(following, nn.BatchNorm2d):
        assert following.running_mean is not None and following.running_var is not None  # it tracks them
        gain = 1.0 / (following.running_var.double() + following.eps).sqrt()
        offset = torch.zeros_like(gain)
        if following.affine:
            gain = gain * following.weight.detach().double()
            offset = following.bias.detach().double()
        bias = (bias - following.running_mean.double()) * gain + offset
        weight = weight * gain[:, None, None, None]
    return _numpy(weight), _numpy(bias)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return found
