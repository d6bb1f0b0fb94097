"""The figures of the audit: exposures of one tile in one set, time against embedding, and memory.

    python -m benchmarks.studies.audit --data PATH/magnetic_tile --output benchmarks/results/audit.json

Which images are of one tile nobody wrote down. Tiles were photographed one after the other, each at rising exposures,
with rising numbers in the names (`exp2_num_37273`): a tile begins where the exposure does not rise, or where the number
rises by more than 300. Where two tiles were in view at once their numbers interleave, and this rule divides both. So
what is counted as wrong holds sets that are right.

Times are of one thread each, of the audit and of the bare backbone, cut at the taps that the default method uses and
doing nothing but embed the same images, decoded, resized and normalised beforehand. They alternate in one process, and
processor time is compared beside wall time, because machines are shared and noisy.

Memory is the peak of the whole command over generated images of 64 x 64 pixels, as many as are named.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

import onlygood
from benchmarks.fitting import describe, fit_method
from benchmarks.machine import machine_facts, onlygood_command, versions_of
from benchmarks.model_parts import backbone_of
from benchmarks.records import write_result
from benchmarks.studies.magnetic_tile import bare_backbone
from benchmarks.studies.timing import spread

MOST_STEP = 300
_NAME = re.compile(r"exp(\d+)_num_(\d+)")


def tiles_of(data: Path) -> dict[str, int]:
    """The tile of each image of the set, tested ones included, since they are links of the same chains."""

    def key(name: str) -> tuple[int, int]:
        exposure, number = map(int, _NAME.findall(name)[0])
        return number, exposure

    names = sorted({path.name for path in data.rglob("exp*.jpg")}, key=key)
    tiles: dict[str, int] = {}
    tile, before = 0, key(names[0])
    for name in names:
        number, exposure = key(name)
        if tiles and (exposure <= before[1] or number - before[0] > MOST_STEP):
            tile += 1
        tiles[name], before = tile, (number, exposure)
    return tiles


def measure_exposures(data: Path) -> dict[str, Any]:
    """How many pairs of one tile are in one set, and how many pairs in one set are of two tiles."""
    folder = data / "train" / "good"
    audit = onlygood.audit(folder, max_left_out=0)
    names = sorted(path.name for path in folder.glob("*.jpg"))
    place = {name: number for number, name in enumerate(names)}
    found: NDArray[np.int64] = np.arange(len(names))
    for each in audit.of_kind("near-duplicate"):
        together = [place[name] for name in each.images]
        found[together] = min(together)
    by_fit = {each.name: each.group for each in fit_method(folder, false_alarm_rate=0.05).good_images}
    tiles = tiles_of(data)
    truth = np.array([tiles[name] for name in names])
    upper = np.triu_indices(len(names), 1)
    in_one_set, of_one = _pairs(found)[upper], _pairs(truth)[upper]
    in_one_group = _pairs(np.array([by_fit[name] for name in names]))[upper]
    several = [members for tile in np.unique(truth) if len(members := np.flatnonzero(truth == tile)) > 1]
    return {
        "images": len(names),
        "tiles_of_several_images": len(several),
        "tiles_in_one_set": sum(len(set(found[members])) == 1 for members in several),
        "share_of_same_tile_pairs_in_one_set": float((in_one_set & of_one).sum() / of_one.sum()),
        "share_of_pairs_in_one_set_of_two_tiles": float((in_one_set & ~of_one).sum() / in_one_set.sum()),
        "share_of_same_tile_pairs_in_one_group_of_a_fit": float((in_one_group & of_one).sum() / of_one.sum()),
        "share_of_pairs_in_one_group_of_a_fit_of_two_tiles": float((in_one_group & ~of_one).sum() / in_one_group.sum()),
        "findings": {kind: len(audit.of_kind(kind)) for kind in dict.fromkeys(each.kind for each in audit.findings)},
    }


def _pairs(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(labels[:, None] == labels)


def measure_time(data: Path, runs: int) -> dict[str, Any]:
    """The audit against embedding its images with the bare backbone, in turns, one thread each."""
    folder = data / "train" / "good"
    paths = sorted(folder.glob("*.jpg"))
    model = fit_method(folder, false_alarm_rate=0.05)
    _, name, prepare = bare_backbone(model)
    levels = describe(model)["detector"]["levels"]
    trunk, _ = backbone_of(model, list(dict.fromkeys(tap for level in levels for tap in level["taps"])))
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(trunk.SerializeToString(), one_thread)
    prepared = [prepare(path) for path in paths]
    walls, processors = [], []
    for _ in range(runs):
        embed = _times(lambda: [session.run(None, {name: pixels}) for pixels in prepared])
        audit = _times(lambda: onlygood.audit(folder, threads=1))
        walls.append(audit[0] / embed[0])
        processors.append(audit[1] / embed[1])
        print(f"embedding {embed[0]:.1f} s ({embed[1]:.1f} of the processor), audit {audit[0]:.1f} s ({audit[1]:.1f})")
    return {"images": len(paths), "wall_ratio": spread(walls), "processor_ratio": spread(processors)}


def _times(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def measure_memory(counts: list[int]) -> dict[str, Any]:
    """Peak memory of the whole command over so many generated images."""
    peaks, walls = [], []
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "good"
        folder.mkdir()
        random, written = np.random.default_rng(0), 0
        for count in counts:
            for number in range(written, count):
                small = random.integers(60, 200, (16, 16), dtype=np.uint8)
                image = Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)
                image.save(folder / f"{number:06}.png", compress_level=1)
            written = count
            wall, peak = onlygood_command("audit", folder, "--json", "--quiet")
            walls.append(wall)
            peaks.append(peak)
            print(f"{count} images: {peak:.0f} MB, {wall:.0f} s", flush=True)
    return {"images": counts, "peak_memory_mb": peaks, "wall_s": walls}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder magnetic_tile, in MVTec layout")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--only", nargs="*", help="measure these parts alone")
    parser.add_argument("--runs", type=int, default=5, help="of the audit, for its time")
    parser.add_argument("--images", type=int, nargs="*", default=[2000, 5000, 20_000], help="for memory, ascending")
    options = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "exposures": lambda: measure_exposures(options.data),
        "time": lambda: measure_time(options.data, options.runs),
        "memory": lambda: measure_memory(options.images),
    }
    results: dict[str, Any] = json.loads(options.output.read_text()) if options.output.exists() else {}
    for part, measure in parts.items():
        if not options.only or part in options.only:
            facts = {
                **machine_facts(),
                **versions_of("onlygood", "onnxruntime", "numpy"),
                "date": time.strftime("%Y-%m-%d"),
            }
            results[part] = {"machine": facts, **measure()}
            print(part, json.dumps({name: value for name, value in results[part].items() if name != "machine"}))
            write_result(options.output, results)


if __name__ == "__main__":
    main()
