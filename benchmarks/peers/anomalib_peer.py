"""PatchCore or PaDiM of anomalib, fitted and timed: a script of its own, for a Python that has anomalib.

    python -I anomalib_peer.py --model patchcore --images FOLDER --out FOLDER --seed 0 [--weights FILE]

`benchmarks.peers.anomalib` runs it. It imports nothing of onlygood, which that Python need not have, and torch only
inside functions, so that the rest of it can be tested without. What it reads and writes:

    IMAGES/train/good/*.png   images to learn from, 8 bits a channel
    IMAGES/test/*.png         images to judge, in the order of their names; nothing says which are anomalous
    OUT/scores.npy              float64 [n], higher is more anomalous
    OUT/maps.npy                float32 [n, size, size], anomaly maps at the size that the network sees
    OUT/result.json             times, sizes, settings, versions

Everything goes through anomalib's own interface (`Folder`, `Engine.fit`, its pre-processor and its torch model), with
these choices:

- Scores and maps are the torch model's own. Its post-processor would scale them by labelled images, and clip.
- There is no validation: the time to fit holds no test images, and nothing is decided by them.
- The pre-processor resizes as anomalib's default does (bilinear, antialiased), to the size given, and normalises by the
  mean and standard deviation that timm states for the network. anomalib's default is ImageNet's whatever the network.
- A weights file is copied into timm's network in the order of its entries, each shape checked.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("anomalib", "torch", "torchvision", "timm", "lightning", "numpy")
CORESET_SHARE = 0.01
# What anomalib keeps of ResNet-18's channels; for other networks it has no default.
PADIM_FEATURES = 100
WARM_UP = 3


def main(arguments: Sequence[str]) -> None:
    """Fit, judge, write."""
    options = parse(arguments)
    if options.exit_with_stdin:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    model, settings = build(options)
    fit_s = fit(model, options.images, batch_size=options.batch_size)
    paths = sorted((options.images / "test").glob("*.png"))
    scores, inspect_ms = judge(model, paths, options.out / "maps.npy", size=options.input_size)
    np.save(options.out / "scores.npy", scores)
    result = {
        "fit_s": fit_s,
        "inspect_ms": inspect_ms,
        "model_bytes": state_bytes(model),
        "peak_memory_mb": peak_memory_mb(),
        "settings": settings,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    }
    (options.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True, choices=("patchcore", "padim"))
    parser.add_argument("--images", required=True, type=Path, help="folder of train/good and test")
    parser.add_argument("--out", required=True, type=Path, help="folder that is there and empty")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--weights", type=Path, help="torch state dict of the network; timm fetches its own otherwise")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="timm's name of the network")
    parser.add_argument("--layers", default="blocks.2,blocks.4", help="the finest first")
    parser.add_argument("--input-size", default=224, type=int, help="pixels a side that the network sees")
    parser.add_argument("--batch-size", default=32, type=int, help="of fitting; images are judged one by one")
    parser.add_argument("--threads", default=0, type=int, help="0 for one a core")
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input does")
    return parser.parse_args(arguments)


def build(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model before it has learned, and all that decides the result."""
    import timm
    import torch
    from anomalib.models import Padim, Patchcore
    from anomalib.pre_processing import PreProcessor
    from lightning import seed_everything
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    if options.threads:
        torch.set_num_threads(options.threads)
    seed_everything(options.seed, workers=True, verbose=False)
    stated = timm.get_pretrained_cfg(options.backbone)
    size = (options.input_size, options.input_size)
    common: dict[str, Any] = {
        "backbone": options.backbone,
        "layers": options.layers.split(","),
        "pre_trained": options.weights is None,
        "pre_processor": PreProcessor(Compose([Resize(size, antialias=True), Normalize(stated.mean, stated.std)])),
        "post_processor": False,
        "evaluator": False,
        "visualizer": False,
    }
    settings = {
        "model": options.model,
        "backbone": options.backbone,
        "layers": common["layers"],
        "weights": "timm's own" if options.weights is None else f"sha256 {sha256(options.weights)}",
        "input_size": options.input_size,
        "resize": "bilinear, antialiased, to a square",
        "mean": list(stated.mean),
        "std": list(stated.std),
        "batch_size": options.batch_size,
        "seed": options.seed,
        "threads": torch.get_num_threads(),
        "scores": "pred_score of the torch model, before any post-processing",
        "inspection": "resizing, normalising and the torch model, eager, one image at a time",
    }
    if options.model == "patchcore":
        model = Patchcore(**common, coreset_sampling_ratio=CORESET_SHARE)
        settings |= {"coreset_sampling_ratio": CORESET_SHARE, "num_neighbors": model.model.num_neighbors}
    else:
        model = Padim(**common, n_features=PADIM_FEATURES)
        settings |= {"n_features": PADIM_FEATURES}
    if options.weights is not None:
        network = model.model.feature_extractor.feature_extractor
        given = torch.load(options.weights, map_location="cpu", weights_only=True)
        network.load_state_dict(in_order(network.state_dict(), given, str(options.weights)))
    return model, settings


def in_order(own: Mapping[str, Any], given: Mapping[str, Any], shown: str) -> dict[str, Any]:
    """The given entries under the network's own names, the first to the first and so on.

    What is left over at the end is of the classifier, which the network here does not have.

    Raises:
        SystemExit: fewer entries than the network has, or one of another shape.
    """
    if len(given) < len(own):
        raise SystemExit(
            f"{shown} must have the weights of the whole network, got {len(given)} of {len(own)} entries: give the "
            "state dict of that network"
        )
    for (name, mine), (other, theirs) in zip(own.items(), given.items(), strict=False):
        if tuple(mine.shape) != tuple(theirs.shape):
            raise SystemExit(
                f"{shown} must have the shapes of the network's weights, in their order, got {other} "
                f"{list(theirs.shape)} for {name} {list(mine.shape)}: give the state dict of that network"
            )
    return dict(zip(own, given.values(), strict=False))


def fit(model: Any, images: Path, *, batch_size: int) -> float:
    """Wall time of `Engine.fit`, in seconds."""
    from anomalib.data import Folder
    from anomalib.engine import Engine

    data = Folder(
        name="images",
        root=images,
        normal_dir="train/good",
        test_split_mode="none",
        val_split_mode="none",
        train_batch_size=batch_size,
        # Decoding is little work beside the network's, and all memory is then this process's.
        num_workers=0,
    )
    with tempfile.TemporaryDirectory(prefix="anomalib-") as folder:
        # Without checkpoints, logs and progress bars: as little as may be beside learning is timed.
        engine = Engine(accelerator="cpu", barebones=True, limit_val_batches=0, default_root_dir=folder)
        started = time.perf_counter()
        engine.fit(model=model, datamodule=data)
        return time.perf_counter() - started


def judge(model: Any, paths: Sequence[Path], maps_path: Path, *, size: int) -> tuple[Any, list[float]]:
    """Scores, float64 [n], and milliseconds an image from decoded pixels on; maps are written as they are made."""
    import torch
    from PIL import Image
    from torchvision.transforms.v2.functional import to_dtype, to_image

    model.eval()
    # Not the model's own `forward`: it resizes without antialiasing, which is not how the model was fitted.
    transform, network = model.pre_processor.transform, model.model
    maps = np.lib.format.open_memmap(maps_path, mode="w+", dtype=np.float32, shape=(len(paths), size, size))
    scores = np.empty(len(paths), dtype=np.float64)
    inspect_ms: list[float] = []

    def look(image: Any) -> Any:
        return network(transform(to_dtype(to_image(image), torch.float32, scale=True)[None]))

    with torch.inference_mode():
        for position, path in enumerate(paths):
            with Image.open(path) as file:
                image = file.convert("RGB")
            if position == 0:
                for _ in range(WARM_UP):
                    look(image)
            started = time.perf_counter()
            found = look(image)
            inspect_ms.append(1000 * (time.perf_counter() - started))
            scores[position] = float(found.pred_score.reshape(()))
            maps[position] = found.anomaly_map.reshape(size, size).numpy()
    maps.flush()
    return scores, inspect_ms


def state_bytes(model: Any) -> int:
    """Bytes of the torch model's saved state: the network's weights and what was learned."""
    import torch

    saved = io.BytesIO()
    torch.save(model.model.state_dict(), saved)
    return saved.tell()


def peak_memory_mb() -> float | None:
    """The most memory that this process has had resident, in 10^6 bytes; None where no one counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1.0 if sys.platform == "darwin" else 1024.0) / 1e6  # macOS counts bytes, Linux KiB


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _exit_with_stdin() -> None:
    """Whoever started this may be killed; the other end of its pipe is then closed, and this need not go on."""
    # Not through `sys.stdin`: Python cannot end in good order while a thread waits inside that.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
