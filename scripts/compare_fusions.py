"""Compare ways to fuse what a network says of several groups of channels, on rendered surfaces.

    python scripts/compare_fusions.py [SETUP ...] [--seeds 1,2,3] [--groups threes|singles]

Setups: rgb4 (four RGB lightings), grey4 (four grey ones), rgbd (RGB and depth). Three kinds of defects: a ridge, a spot
in the last lighting alone, and a place where the last lighting is that of another surface. A line for each way: the
AUROC of each kind, and their mean. docs/guides/channels.md has what was found.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from sklearn.metrics import roc_auc_score

from onlygood.backbones.backbone import load_backbone
from onlygood.detectors.whitening import PATCH_SHRINKAGE, learn_whitening
from onlygood.graph.runtime import open_session
from onlygood.graph.trunk import cut_trunk
from onlygood.images.channels import channel_groups

Array = NDArray[Any]
SIDE = 192
PLACE = (slice(64, 128), slice(64, 128))
SPOT = (slice(84, 108), slice(84, 108))
KINDS = ("ridge", "spot", "relation")
GOOD, TESTED, ROWS = 30, 20, 2000
TAPS = ("stage2", "stage4", "head")
WAYS = ("side by side", "unit length", "mean", "projection", "a memory a group")


def shaded(height: Array, albedo: Array, azimuth: float) -> Array:
    """The surface under light from one side."""
    down, across = np.gradient(height)
    normal = np.stack([-across, -down, np.ones_like(across)])
    normal /= np.linalg.norm(normal, axis=0)
    light = np.array([np.cos(azimuth), np.sin(azimuth), 0.8])
    return np.asarray(albedo * np.clip(np.tensordot(light / np.linalg.norm(light), normal, 1), 0, None))


def rendered(random: np.random.Generator, setup: str, defect: str | None = None) -> Array:
    """An image, uint8 [H, W, C], of a surface of its own."""
    height = 3 * gaussian_filter(random.standard_normal((SIDE, SIDE)), 2.0)
    albedo = 1 + 0.2 * gaussian_filter(random.standard_normal((SIDE, SIDE)), 1.0)
    if defect == "ridge":
        rows, columns = np.mgrid[:SIDE, :SIDE]
        height = height + 2 * np.exp(-(((columns - 43) / 1.5) ** 2) / 2) * (np.abs(rows - 49) < 10)
    lit = [shaded(height, albedo, 0.3 + number * np.pi / 2) for number in range(1 if setup == "rgbd" else 4)]
    colours = lit if setup == "grey4" else [plane * tint for plane in lit for tint in (1.0, 0.9, 0.75)]
    image = np.stack([*colours, 0.5 + height / 16] if setup == "rgbd" else colours, axis=2)
    last = slice(-3, None) if setup == "rgb4" else slice(-1, None)
    if defect == "spot":
        image[(*SPOT, last)] *= 0.45
    if defect == "relation":
        image[(*PLACE, last)] = rendered(random, setup)[(*PLACE, last)] / 165.0
    image = image + 0.01 * random.standard_normal(image.shape)
    return np.clip(165 * image, 0, 255).astype(np.uint8)


class Network:
    """Two taps of the network on one grid, [h, w, g, c] each, and the pooled output [g, c], of an image's groups."""

    def __init__(self) -> None:
        backbone = load_backbone("lite0")
        trunk = cut_trunk(backbone, [tap for tap in backbone.card.taps if tap.name in TAPS])
        self.card, self.input = backbone.card, trunk.graph.input[0].name
        self.session: Any = open_session(trunk.SerializeToString(), threads=1)

    def __call__(self, image: Array, groups: Sequence[Sequence[int]]) -> list[Array]:
        """What it gives for the groups of channels of an image."""
        levels = (np.stack([image[:, :, list(group)] for group in groups]) - self.card.mean) / self.card.std
        fine, coarse, last = self.session.run(None, {self.input: levels.transpose(0, 3, 1, 2).astype(np.float32)})
        fine, coarse = (uniform_filter(maps, (0, 0, 3, 3), mode="constant") for maps in (fine, coarse))
        count, channels, height, width = fine.shape
        fine = fine.reshape(count, channels, height // 2, 2, width // 2, 2).mean((3, 5))
        return [fine.transpose(2, 3, 0, 1), coarse.transpose(2, 3, 0, 1), last.mean((2, 3))]


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6))


def fused(values: Array, way: str) -> Array:
    """One vector of unit length a place, from values [..., g, c]."""
    groups, channels = values.shape[-2:]
    joined = values.reshape(*values.shape[:-2], groups * channels)
    if way == "mean":
        joined = values.mean(-2)
    elif way == "unit length":
        joined = unit(values).reshape(joined.shape)
    elif way == "projection" and groups > 2:
        joined = joined @ np.random.default_rng(16).standard_normal((groups * channels, 2 * channels))
    return unit(joined)


def patch_scores(good: Sequence[list[Array]], tested: Sequence[list[Array]], way: str) -> Array:
    """The mean distance of the 2 % most anomalous patches of each image from a memory of good ones."""

    def embedded(taps: list[Array]) -> Array:
        embedding = np.concatenate([fused(values, way) for values in taps[:2]], axis=-1)
        return embedding.reshape(-1, embedding.shape[-1]).astype(np.float32)

    rows = np.concatenate([embedded(taps) for taps in good])
    mean, whitening = learn_whitening(rows, shrinkage=PATCH_SHRINKAGE)
    bank = (rows[np.random.default_rng(0).permutation(len(rows))[:ROWS]] - mean) @ whitening
    scores = []
    for taps in tested:
        points = (embedded(taps) - mean) @ whitening
        squared = (points**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * points @ bank.T
        distances = np.sort(np.sqrt(np.maximum(squared.min(axis=1), 0)))
        scores.append(distances[-max(1, len(distances) // 50) :].mean())
    return np.array(scores)


def pooled_scores(good: Sequence[list[Array]], tested: Sequence[list[Array]], way: str) -> Array:
    """The mean distance of each image's vector from its three nearest good ones."""
    known = np.stack([fused(taps[2], way) for taps in good])
    return np.array([np.sort(np.linalg.norm(known - fused(taps[2], way), axis=1))[:3].mean() for taps in tested])


def highest_of_groups(score: Any, good: Sequence[list[Array]], tested: Sequence[list[Array]]) -> Array:
    """Scores by a memory a group: the highest, in units of how those of good images vary."""
    found = []
    for group in range(good[0][2].shape[0]):
        ours, theirs = (
            [[taps[0][:, :, [group]], taps[1][:, :, [group]], taps[2][[group]]] for taps in images]
            for images in (good, tested)
        )
        usual = score(ours[::2], ours[1::2], "side by side")
        found.append((score(ours, theirs, "side by side") - usual.mean()) / usual.std())
    return np.asarray(np.max(found, axis=0))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("setups", nargs="*", default=["rgb4", "grey4", "rgbd"])
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--groups", choices=["threes", "singles"], default="threes")
    options = parser.parse_args()
    network = Network()
    for setup in options.setups:
        channels = rendered(np.random.default_rng(0), setup).shape[2]
        groups = channel_groups(channels) if options.groups == "threes" else [(each,) * 3 for each in range(channels)]
        for seed in map(int, options.seeds.split(",")):

            def embedded(
                kind: int, count: int, setup: str = setup, groups: Any = groups, seed: int = seed
            ) -> list[list[Array]]:
                defect = KINDS[kind - 2] if kind > 1 else None
                generators = [np.random.default_rng([seed, kind, number]) for number in range(count)]
                return [network(rendered(random, setup, defect), groups) for random in generators]

            good = embedded(0, GOOD)
            tested = [taps for kind in range(1, 5) for taps in embedded(kind, TESTED)]
            for what, score in (("patches", patch_scores), ("pooled", pooled_scores)):
                for way in WAYS:
                    scores = highest_of_groups(score, good, tested) if way == WAYS[-1] else score(good, tested, way)
                    normal, *others = np.split(scores, 4)
                    labels = np.repeat([0, 1], TESTED)
                    found = [roc_auc_score(labels, np.concatenate([normal, each])) for each in others]
                    shown = "  ".join(f"{kind} {auroc:.3f}" for kind, auroc in zip(KINDS, found, strict=True))
                    print(f"{setup} seed {seed} {what:8}{way:18}{shown}  mean {np.mean(found):.3f}", flush=True)


if __name__ == "__main__":
    main()
