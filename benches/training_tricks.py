"""What it is worth to a training on the CPU that freed memory stays with the process.

    OMP_NUM_THREADS=1 python benches/training_tricks.py --output benches/results/training_tricks.json

`training/memory.py` tells glibc to keep what is freed. Here each network of Deep SVDD is trained with and without that,
on generated images: their levels do not change the time. Each training has a process of its own, since it changes how
a process keeps memory. They alternate, and what counts is the ratio within a round, of the processor's time: other
work on the machine changes it less than the time on the clock, which is kept, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from onlygood._machine import machine_facts, versions_of
from onlygood.architectures import ARCHITECTURES
from onlygood.training.loop import Plan, Stage, train
from onlygood.training.networks import build_autoencoder

# How many images, and how many channels: a few batches each.
WORKLOADS = {"conv-128": (80, 1), "lenet-mnist": (1000, 1), "lenet-cifar10": (400, 3)}
STAGES = ("autoencoder", "hypersphere")
CONTESTANTS = ("kept", "given_back")
EPOCHS = 4


def reconstruction(module: nn.Module, batch: Tensor) -> Tensor:
    return (module(batch) - batch).square().sum(dim=(1, 2, 3)).mean()


def distance(module: nn.Module, batch: Tensor) -> Tensor:
    return (module(batch) - 0.1).square().sum(dim=1).mean()


def measure(workload: str, stage: str, contestant: str) -> dict[str, float]:
    """Seconds an epoch, by the clock and by the processor, and how many of the latter the system took."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES[workload]
    count, channels = WORKLOADS[workload]
    images = torch.rand(count, channels, architecture.input_size, architecture.input_size)
    networks = build_autoencoder(architecture, channels=channels)
    is_first = stage == "autoencoder"
    module = nn.Sequential(networks.encoder, networks.decoder) if is_first else networks.encoder
    plan = Plan(
        stage="bench",
        epochs=EPOCHS,
        milestone=1.0,
        batch_size=architecture.batch_size,
        learning_rate=architecture.learning_rate,
        weight_decay=architecture.pretrain_weight_decay,
        seed=0,
    )
    wrapped = Stage(module, reconstruction if is_first else distance)
    training = train if contestant == "kept" else train.__wrapped__  # type: ignore[attr-defined]
    started, before = time.perf_counter(), os.times()
    training(plan, wrapped, images, accelerator="cpu", checkpoint=None, show=None)
    clock, after = time.perf_counter() - started, os.times()
    user, system = after.user - before.user, after.system - before.system
    return {"clock_s": clock / EPOCHS, "cpu_s": (user + system) / EPOCHS, "system_s": system / EPOCHS}


def quartiles(values: list[float]) -> list[float]:
    return [round(value, 3) for value in statistics.quantiles(values, n=4, method="inclusive")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", nargs=3, metavar=("WORKLOAD", "STAGE", "CONTESTANT"), help="measure one, and print it")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    if options.output is None:
        parser.error("--output must be given")
    result: dict[str, object] = {
        "machine": {**machine_facts(), **versions_of("onlygood", "torch", "lightning-fabric")},
        "threads": torch.get_num_threads(),
    }
    for workload in WORKLOADS:
        for stage in STAGES:
            measured: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in CONTESTANTS}
            for number in range(options.rounds):
                # Each goes first as often as the other: neighbours come and go.
                for contestant in CONTESTANTS[:: 1 if number % 2 else -1]:
                    line = [sys.executable, __file__, "--one", workload, stage, contestant]
                    done = subprocess.run(line, check=True, capture_output=True, text=True)
                    measured[contestant].append(json.loads(done.stdout))
            rounds = list(zip(measured["kept"], measured["given_back"], strict=True))
            times = {
                f"{name}_given_back_by_kept": quartiles([b[f"{name}_s"] / a[f"{name}_s"] for a, b in rounds])
                for name in ("cpu", "clock")
            }
            for contestant, runs in measured.items():
                times |= {f"{contestant}_{name}": [round(each[name], 4) for each in runs] for name in runs[0]}
            result[f"{workload} {stage}"] = times
            print(workload, stage, times["cpu_given_back_by_kept"], times["clock_given_back_by_kept"], flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
