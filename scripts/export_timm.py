"""Export a network of the package timm as a backbone: an ONNX file and the card beside it.

    pip install timm onnx onnxscript
    python scripts/export_timm.py wide_resnet50_2 backbones --taps 1,2
    python scripts/export_timm.py vit_small_patch14_dinov2.lvd142m backbones --taps 3,9 --input-size 224
    onlygood fit good/ -o part.onnx --backbone backbones/wide_resnet50_2.onnx

Taps are pluralize from 0 in the order in which timm's `features_only` gives them. The file takes images of the one size
that it was exported for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import torch


def export_features(
    model: torch.nn.Module, folder: Path, *, name: str, input_size: int, taps: list[int], described: dict[str, Any]
) -> Path:
    """Write <name>.onnx and <name>.json, and return the path of the first.

    Args:
        model: gives a list of feature maps [N, c, h, w] and has timm's `feature_info`.
        folder: where to write; made if it is not there.
        name: of the files.
        input_size: pixels a side.
        taps: which of the feature maps to keep.
        described: the card's mean, std (in levels of 0 to 255), description, licence and source.
    """

    class Taps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            maps = self.model(pixels)
            return tuple(maps[tap] for tap in taps)

    channels, reductions = model.feature_info.channels(), model.feature_info.reduction()
    names = [f"tap{tap}" for tap in taps]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        Taps().eval(),
        (torch.zeros(2, 3, input_size, input_size),),
        path,
        input_names=["pixels"],
        output_names=names,
        dynamic_shapes={"pixels": {0: torch.export.Dim("N")}},
        opset_version=18,
        dynamo=True,
        external_data=False,
    )
    card = {
        "card": 1,
        "name": name,
        "input": "pixels",
        "input_size": input_size,
        "multiple": input_size,
        "taps": [
            {"name": given, "channels": channels[tap], "reduction": reductions[tap]}
            for given, tap in zip(names, taps, strict=True)
        ],
        "patch_taps": names,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **described,
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", help="a name that timm.create_model takes")
    parser.add_argument("folder", type=Path, help="where the file and its card are written")
    parser.add_argument("--taps", default="1,2", help="which feature maps, pluralize from 0 (default: 1,2)")
    parser.add_argument("--input-size", type=int, help="pixels a side; as the network was trained unless given")
    arguments = parser.parse_args()
    import timm

    taps = [int(tap) for tap in arguments.taps.split(",")]
    extra = {} if arguments.input_size is None or "vit" not in arguments.network else {"img_size": arguments.input_size}
    model = timm.create_model(arguments.network, pretrained=True, features_only=True, **extra).eval()
    trained = model.pretrained_cfg
    size = arguments.input_size or trained["input_size"][-1]
    path = export_features(
        model,
        arguments.folder,
        name=arguments.network,
        input_size=size,
        taps=taps,
        described={
            "description": f"{arguments.network}, from timm",
            "mean": [255 * value for value in trained["mean"]],
            "std": [255 * value for value in trained["std"]],
            "licence": trained.get("license") or "see the source",
            "source": trained.get("hf_hub_id") or trained.get("url") or "timm",
        },
    )
    print(f"{path} and its card: taps {', '.join(f'tap{tap}' for tap in taps)} at {size} x {size} pixels")


if __name__ == "__main__":
    main()
