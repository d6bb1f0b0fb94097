"""Record what a fixed set of small fits gives, or compare with what was recorded.

    python scripts/record_fits.py record fits.json
    ... change the code ...
    python scripts/record_fits.py compare fits.json

A change of structure must change nothing. Of each fit: the SHA-256 of its graph (the model file without its metadata),
and the scores of a few new images. Both depend on the processor and on the versions of libraries, so what is compared
must have been recorded on the same machine; nothing of it is kept in the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import onlygood

Array = NDArray[Any]
SIDE = 96
SHARED: dict[str, Any] = {"input_size": 64, "false_alarm_rate": 0.2, "seed": 3}
TRAINED: dict[str, Any] = {"epochs": 4, "batch_size": 4}
POOLED: dict[str, Any] = {"taps": ("stage4",)}
METHODS: dict[str, dict[str, Any]] = {
    "patch": {"bank_size": 100},
    "knn": POOLED,
    "lof": POOLED,
    "mahalanobis": POOLED,
    "discriminator": {"epochs": 20},
    "doc": TRAINED,
    "deep-svdd": {**TRAINED, "pretrain_epochs": 2, "input_size": None},
}


def image(seed: int, kind: str) -> Array:
    """Blurred noise: "grey" and "colour" uint8, "deep" uint16."""
    noise = np.random.default_rng([seed, len(kind)]).random((SIDE, SIDE, 3 if kind == "colour" else 1))
    for axis in (0, 1):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, 2, axis)) / 3
    levels = (40000 + 20000 * noise) if kind == "deep" else 255 * noise
    return levels.astype(np.uint16 if kind == "deep" else np.uint8)


def images(count: int, kind: str, first: int = 0) -> list[Array]:
    return [image(first + number, kind) for number in range(count)]


def fits() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Name, kind of images, keywords beside the images, and settings of each fit."""
    for method, own in METHODS.items():
        settings = {**SHARED, **own, "method": method}
        settings = {name: value for name, value in settings.items() if value is not None}
        beside: dict[str, Any] = {}
        if method == "doc":
            beside = {"reference": {"one": images(6, "colour", 900), "other": images(6, "grey", 950)}}
        for kind in ("grey", "colour", "deep"):
            yield f"{method} {kind}", kind, beside, settings
        groups = [str(number // 2) for number in range(16)]
        yield f"{method} groups", "grey", {**beside, "groups": groups}, settings
        yield f"{method} split", "grey", beside, {**settings, "calibration": "split"}
        yield f"{method} near-duplicates ignored", "grey", beside, {**settings, "near_duplicates": "ignore"}
        yield f"{method} rotations", "grey", beside, {**settings, "rotations": 4}
        yield f"{method} augment", "grey", beside, {**settings, "augment": 24}
        yield f"{method} golden", "grey", beside, {**settings, "golden": True, "augment": 24}
    settings = {**SHARED, "method": "discriminator", "epochs": 20, "calibration": "cross-fit"}
    yield "discriminator cross-fit", "grey", {}, settings
    svdd = {**SHARED, **TRAINED, "method": "deep-svdd"}
    yield "deep-svdd pretrained", "grey", {}, {**svdd, "network": "pretrained"}
    del svdd["input_size"]
    for objective in ("one-class", "soft-boundary"):
        settings = {**svdd, "network": "lenet-mnist", "objective": objective, "epochs": 12}
        yield f"deep-svdd lenet-mnist {objective}", "grey", {}, settings
    reference = {"one": images(6, "colour", 900), "other": images(6, "grey", 950)}
    yield "doc lof", "grey", {"reference": reference}, {**SHARED, **TRAINED, "method": "doc", "head": "lof"}


def fit(good: list[Array], *, method: str, **settings: Any) -> onlygood.Model:
    """A fit with the settings of the method and those of every method side by side."""
    kinds = {kind.name: kind for kind in onlygood.methods()}
    own = {name: settings.pop(name) for name in list(settings) if name in kinds[method].model_fields}
    return onlygood.fit(good, method=kinds[method](**own), **settings)


def graph_digest(content: bytes) -> str:
    model = onnx.load_model_from_string(content)
    del model.metadata_props[:]
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def outcome(kind: str, beside: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Digest and scores, or the error."""
    good = images(1 if settings.get("golden") else 16, kind)
    try:
        model = fit(good, **beside, **settings)
    except onlygood.OnlygoodError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    inspect = onlygood.Inspector(model)
    scores = [inspect(each).score for each in [*images(4, kind, 500), np.flip(image(600, kind) // 2, 0)]]
    return {
        "graph": graph_digest(model.file.content),
        "threshold": model.calibration.threshold,
        "calibration_scores": [float(score) for score in model.calibration.scores],
        "scores": scores,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", help="fits whose name contains this")
    options = parser.parse_args()
    recorded = json.loads(options.file.read_text()) if options.action == "compare" else {}
    found, different = {}, 0
    for name, kind, beside, settings in fits():
        if options.only not in name:
            continue
        found[name] = outcome(kind, beside, settings)
        says = found[name].get("error", "ok")
        if options.action == "compare" and found[name] != recorded.get(name):
            different += 1
            says = f"DIFFERENT: {found[name]} instead of {recorded.get(name)}"
        print(f"{name}: {says}", flush=True)
    if options.action == "record":
        options.file.write_text(json.dumps(found, indent=1) + "\n")
    else:
        print(f"{len(found) - different} of {len(found)} as recorded")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
