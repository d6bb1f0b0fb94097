"""What an epoch of Deep SVDD costs, beside a loop that reads images as most research code does.

    python -m benchmarks.studies.deep_svdd_epoch --data PATH/mnist --output benchmarks/results/deep_svdd_epoch.json

The first other loop is written after the description of the authors' PyTorch code, and is not that code: a data set
that makes each image a PIL image, a tensor and a contrast-normalised one whenever it is asked for, PyTorch's own loader
in the same process, batches of 200, and the network for MNIST in PyTorch's default layout. The second goes over batches
of a tensor in memory, with all else as in the first. Ours is two fits that differ in their number of epochs: the
difference of their times is what those epochs cost, which is then scaled to all images, since a fit holds some of them
out to calibrate. All alternate, on digit 3 of MNIST (6,131 images); what counts is the ratio within a round. Each has a
process of its own, since ours changes how the process keeps memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.datasets.opening import open_dataset
from benchmarks.fitting import fit_method
from benchmarks.machine import answer_of, machine_facts, versions_of
from benchmarks.progress import running
from benchmarks.records import write_result
from benchmarks.studies.timing import seconds

STAGES = ("autoencoder", "hypersphere")
OTHERS = ("reading_each", "in_memory")
BATCH = 200
EPOCHS = 3  # a round, so that what is paid once a training does not count as an epoch's
MORE_EPOCHS = 10  # of the longer of our two fits, whose other costs vary by some tenths of a second
RATE = 1e-4
DECAY = {"autoencoder": 5e-4, "hypersphere": 5e-7}


class ReadEach(Dataset[Tensor]):
    """Images that are decoded and normalised whenever they are asked for."""

    def __init__(self, images: list[NDArray[np.uint8]], low: float, high: float) -> None:
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


def encoder() -> nn.Sequential:
    """The paper's network for MNIST, section 4.1: no bias terms, batch normalisation without an offset."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2, bias=False),
        nn.BatchNorm2d(8, eps=1e-4, affine=False),
        nn.LeakyReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 4, 5, padding=2, bias=False),
        nn.BatchNorm2d(4, eps=1e-4, affine=False),
        nn.LeakyReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 32, bias=False),
    )


def decoder() -> nn.Sequential:
    """From the latent space back to images in [0, 1], as the authors have it."""
    return nn.Sequential(
        nn.Unflatten(1, (2, 4, 4)),
        nn.LeakyReLU(),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(2, 4, 5, padding=2, bias=False),
        nn.BatchNorm2d(4, eps=1e-4, affine=False),
        nn.LeakyReLU(),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(4, 8, 5, padding=3, bias=False),
        nn.BatchNorm2d(8, eps=1e-4, affine=False),
        nn.LeakyReLU(),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(8, 1, 5, padding=2, bias=False),
        nn.Sigmoid(),
    )


def reconstruction(module: nn.Module, batch: Tensor) -> Tensor:
    rebuilt: Tensor = module(batch)
    return (rebuilt - batch).square().sum(dim=(1, 2, 3)).mean()


def distance(module: nn.Module, batch: Tensor) -> Tensor:
    latent: Tensor = module(batch)
    return (latent - 0.1).square().sum(dim=1).mean()


def train(stage: str, batches: Callable[[], Iterable[Tensor]]) -> None:
    """EPOCHS of a stage."""
    module = nn.Sequential(encoder(), decoder()) if stage == "autoencoder" else encoder()
    loss_of = reconstruction if stage == "autoencoder" else distance
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, weight_decay=DECAY[stage])
    module.train()
    total = 0.0
    for _ in range(EPOCHS):
        for batch in batches():
            optimizer.zero_grad()
            loss = loss_of(module, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()


def our_epoch(stage: str, images: list[NDArray[np.uint8]]) -> float:
    """Seconds an epoch of a stage takes in a fit."""
    models = []

    def fit(more: int) -> None:
        epochs = {"autoencoder": 1, "hypersphere": 1}
        epochs[stage] += more
        settings = {
            "network": "lenet-mnist",
            "pretrain_epochs": epochs["autoencoder"],
            "epochs": epochs["hypersphere"],
            "calibration_fraction": 0.02,
            "accelerator": "cpu",
        }
        models.append(fit_method(images, "deep-svdd", settings))

    fit(0)  # everything is loaded
    less, more = seconds(lambda: fit(0)), seconds(lambda: fit(MORE_EPOCHS))
    learned = sum(not image.calibrates for image in models[-1].good_images)
    return (more - less) / MORE_EPOCHS * len(images) / learned


def measure(stage: str, contestant: str, folder: Path) -> float:
    """Seconds an epoch of a stage takes one of them."""
    images = digits(folder)
    if contestant == "ours":
        return our_epoch(stage, images)
    levels = torch.from_numpy(np.stack(images)[:, None]).float().div(255)
    normalised = torch.stack([contrast_normalised(image) for image in levels])
    low, high = float(normalised.min()), float(normalised.max())
    shown, data = (normalised - low) / (high - low), ReadEach(images, low, high)

    def in_memory() -> Iterable[Tensor]:
        return (shown[chosen] for chosen in torch.split(torch.randperm(len(shown)), BATCH))

    def reading_each() -> Iterable[Tensor]:
        return DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=0)

    batches = in_memory if contestant == "in_memory" else reading_each
    return seconds(lambda: train(stage, batches)) / EPOCHS


def digits(folder: Path) -> list[NDArray[np.uint8]]:
    good = open_dataset("mnist", folder).task("3", seed=0).good
    return [np.asarray(digit.source, dtype=np.uint8).squeeze() for digit in good]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of MNIST's four idx files")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("STAGE", "CONTESTANT"), help="measure one of them, and print it")
    options = parser.parse_args()
    if options.one:
        stage, contestant = options.one
        print(measure(stage, contestant, options.data))
        return
    if options.output is None:
        parser.error("--output must be given")
    result: dict[str, Any] = {
        "machine": {**machine_facts(), **versions_of("onlygood", "torch", "lightning-fabric")},
        "images": len(digits(options.data)),
    }
    for stage in STAGES:
        times: dict[str, list[float]] = {name: [] for name in (*OTHERS, "ours")}
        for number in range(1, options.rounds + 1):
            with running(stage, number=number, total=options.rounds):
                for contestant, measured in times.items():
                    given = ("--data", options.data, "--one", stage, contestant)
                    measured.append(answer_of("benchmarks.studies.deep_svdd_epoch", *given))
        faster = {
            name: statistics.median(other / ours for other, ours in zip(times[name], times["ours"], strict=True))
            for name in OTHERS
        }
        result[stage] = {
            **{f"{name}_s": measured for name, measured in times.items()},
            "times_faster": faster["reading_each"],
            "times_faster_than_in_memory": faster["in_memory"],
        }
        print(stage, json.dumps(result[stage]), flush=True)
    write_result(options.output, result)


if __name__ == "__main__":
    main()
