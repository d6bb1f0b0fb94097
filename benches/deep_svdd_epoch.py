"""What an epoch of Deep SVDD costs, beside a loop that reads images as most research code does.

    python benches/deep_svdd_epoch.py --data PATH/mnist --output benches/results/deep_svdd_epoch.json

The first other loop is written after the description of the authors' PyTorch code, and is not that code: a data set
that makes each image a PIL image, a tensor and a contrast-normalised one anew whenever it is asked for, PyTorch's own
loader in the same process, batches of 200, and the same network in PyTorch's default layout with its own batch
normalisation, activated before it is pooled, as the authors have it. The second goes over batches of a tensor in
memory, with all else as in the first. All alternate, on digit 3 of MNIST (6,131 images); what counts is the ratio
within a round. Each has a process of its own, since ours changes how the process keeps memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from onlygood._machine import machine_facts, versions_of
from onlygood.architectures import ARCHITECTURES
from onlygood.bench.datasets import open_dataset
from onlygood.training.loop import Plan, Stage, train
from onlygood.training.networks import build_autoencoder

BATCH = 200
EPOCHS = 3  # a round, so that what is paid once a training does not count as an epoch's
RATE = 1e-4


class Anew(Dataset[Tensor]):
    """Images that are decoded and normalised whenever they are asked for."""

    def __init__(self, images: list[np.ndarray], low: float, high: float) -> None:
        self.images, self.low, self.high = images, low, high

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Tensor:
        decoded = Image.fromarray(self.images[place])
        image = torch.from_numpy(np.array(decoded, dtype=np.uint8, copy=True))[None].float().div(255)
        return (contrast_normalised(image) - self.low) / (self.high - self.low)


def contrast_normalised(image: Tensor) -> Tensor:
    centred = image - image.mean()
    return centred / centred.abs().mean()


def read_anew(data: Anew) -> Iterable[Tensor]:
    return DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=0)


def in_memory(shown: Tensor) -> Iterable[Tensor]:
    return (shown[chosen] for chosen in torch.randperm(len(shown)).split(BATCH))


def plain_epochs(
    module: nn.Module,
    loss_of: Callable[[nn.Module, Tensor], Tensor],
    batches: Callable[[], Iterable[Tensor]],
    decay: float,
) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, weight_decay=decay)
    module.train()
    total = 0.0
    for _ in range(EPOCHS):
        for batch in batches():
            optimizer.zero_grad()
            loss = loss_of(module, batch)
            loss.backward()
            optimizer.step()
            total += loss.item()


def our_epochs(module: nn.Module, loss_of: Callable[[nn.Module, Tensor], Tensor], shown: Tensor, decay: float) -> None:
    plan = Plan(
        stage="bench", epochs=EPOCHS, milestone=1.0, batch_size=BATCH, learning_rate=RATE, weight_decay=decay, seed=0
    )
    train(plan, Stage(module, loss_of), shown, accelerator="cpu", checkpoint=None, show=None)


def plain(network: nn.Sequential) -> nn.Sequential:
    """The network with PyTorch's own batch normalisation, activated before it is pooled."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            layers.append(nn.BatchNorm2d(layer.num_features, eps=layer.eps, affine=layer.affine))
        elif isinstance(layer, nn.LeakyReLU):
            place = len(layers) - isinstance(layers[-1], nn.MaxPool2d) if layers else 0
            layers.insert(place, nn.LeakyReLU(layer.negative_slope))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def reconstruction(module: nn.Module, batch: Tensor) -> Tensor:
    return (module(batch) - batch).square().sum(dim=(1, 2, 3)).mean()


def distance(module: nn.Module, batch: Tensor) -> Tensor:
    return (module(batch) - 0.1).square().sum(dim=1).mean()


def seconds_an_epoch(work: Callable[..., None], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - started) / EPOCHS


def measure(stage: str, contestant: str, folder: Path) -> float:
    """Seconds an epoch of a stage takes one of them."""
    digits = open_dataset("mnist", folder).task("3", seed=0).good
    images = [np.asarray(digit.source).squeeze() for digit in digits]
    levels = torch.from_numpy(np.stack(images)[:, None]).float().div(255)
    normalised = torch.stack([contrast_normalised(image) for image in levels])
    low, high = float(normalised.min()), float(normalised.max())
    data, shown = Anew(images, low, high), (normalised - low) / (high - low)
    architecture = ARCHITECTURES["lenet-mnist"]
    networks = build_autoencoder(architecture, channels=1)
    encoder, decoder = networks.encoder, networks.decoder
    if contestant != "ours":
        encoder, decoder = plain(encoder), plain(decoder)
    is_first = stage == "autoencoder"
    module = nn.Sequential(encoder, decoder) if is_first else encoder
    loss_of = reconstruction if is_first else distance
    decay = architecture.pretrain_weight_decay if is_first else 5e-7
    if contestant == "ours":
        return seconds_an_epoch(our_epochs, module, loss_of, shown, decay)
    batches = (lambda: read_anew(data)) if contestant == "reading_anew" else (lambda: in_memory(shown))
    return seconds_an_epoch(plain_epochs, module, loss_of, batches, decay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of MNIST's four idx files")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("STAGE", "CONTESTANT"), help="measure one of them, and print it")
    options = parser.parse_args()
    if options.one:
        print(measure(*options.one, options.data))
        return
    if options.output is None:
        parser.error("--output must be given")
    result: dict[str, object] = {
        "machine": {**machine_facts(), **versions_of("onlygood", "torch", "lightning-fabric")},
        "images": len(open_dataset("mnist", options.data).task("3", seed=0).good),
    }
    for stage in ("autoencoder", "hypersphere"):
        times: dict[str, list[float]] = {"reading_anew": [], "in_memory": [], "ours": []}
        for _ in range(options.rounds):
            for contestant, measured in times.items():
                line = [sys.executable, __file__, "--data", str(options.data), "--one", stage, contestant]
                measured.append(float(subprocess.run(line, check=True, capture_output=True, text=True).stdout))
        faster = {
            name: statistics.median(other / ours for other, ours in zip(times[name], times["ours"], strict=True))
            for name in ("reading_anew", "in_memory")
        }
        result[stage] = {
            **{f"{name}_s": measured for name, measured in times.items()},
            "times_faster": faster["reading_anew"],
            "times_faster_than_in_memory": faster["in_memory"],
        }
        print(stage, json.dumps(result[stage]), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
