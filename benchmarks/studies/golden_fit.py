"""What `onlygood fit golden.png --golden --method deep-svdd` takes: the whole command, from one image to the file.

    python -m benchmarks.studies.golden_fit --output benchmarks/results/golden_fit.json

The image is the one of the demo, a solar cell of 300 pixels a side; the network's input is 128 pixels a side. Seconds
count here, not ratios: they are what a person waits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.datasets.elpv import open_elpv
from benchmarks.machine import machine_facts, onlygood_command, versions_of
from benchmarks.progress import running
from benchmarks.records import write_result

LEVEL = 235


def golden_image() -> Image.Image:
    """A good solar cell with a marking, 8, printed on it, as in scripts/golden_demo.py."""
    good = [cell for cell in open_elpv("elpv", None).cells["mono"] if not cell.is_anomalous]
    source = good[np.random.default_rng(0).permutation(len(good))[0]].source
    assert isinstance(source, Path), "a data set of files"
    image = Image.open(source).convert("L")
    ImageDraw.Draw(image).text(
        (150, 150), "8", fill=LEVEL, font_size=70, anchor="mm", stroke_width=2, stroke_fill=LEVEL
    )
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        golden, model = Path(folder) / "golden.png", Path(folder) / "part.onnx"
        golden_image().save(golden)
        with running("fitting", number=1, total=1):
            seconds, _ = onlygood_command("fit", golden, "-o", model, "--method", "deep-svdd", "--golden", codes=(0,))
    facts = {**machine_facts(), **versions_of("onlygood", "torch", "onnxruntime")}
    result = {"machine": facts, "fit_s": round(seconds, 1)}
    print(json.dumps(result))
    write_result(options.output, result)


if __name__ == "__main__":
    main()
