"""What `onlygood fit golden.png --golden --method deep-svdd` takes: the whole command, from one image to the file.

    python benches/golden_fit.py --output benches/results/golden_fit.json

The image is the one of the demo, a solar cell of 300 pixels a side; the network's input is 128 pixels a side. Seconds
count here, not ratios: they are what a person waits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from onlygood._machine import machine_facts, versions_of

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from golden_demo import images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        golden, model = Path(folder) / "golden.png", Path(folder) / "part.onnx"
        images()["golden sample"][0].save(golden)
        line = ["-m", "onlygood", "fit", str(golden), "-o", str(model), "--method", "deep-svdd", "--golden"]
        started = time.perf_counter()
        subprocess.run([sys.executable, *line], check=True)
        seconds = time.perf_counter() - started
    facts = {**machine_facts(), **versions_of("onlygood", "torch", "onnxruntime")}
    result = {"machine": facts, "fit_s": round(seconds, 1)}
    print(json.dumps(result))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
