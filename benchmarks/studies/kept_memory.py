"""What it is worth to a training on the CPU that freed memory stays with the process.

    OMP_NUM_THREADS=1 python -m benchmarks.studies.kept_memory --output benchmarks/results/kept_memory.json

While onlygood trains, it tells glibc to keep what is freed. Here each network of Deep SVDD is trained with and without
that, which a process that does not know its C library goes without, on generated images: their levels do not change the
time. An epoch of both stages is the difference of two fits that differ in their number of epochs. Each contestant has a
process of its own, since it changes how a process keeps memory. They alternate, and what counts is the ratio within a
round, of the processor's time: other work on the machine changes it less than the time on the clock.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fitting import fit_method
from benchmarks.machine import answer_of, machine_facts, versions_of
from benchmarks.progress import running
from benchmarks.records import write_result

# How many images of how many pixels a side, and how many channels: a few batches each.
WORKLOADS = {"conv-128": (100, 128, 1), "lenet-mnist": (1000, 28, 1), "lenet-cifar10": (400, 32, 3)}
CONTESTANTS = ("kept", "given_back")
MORE_EPOCHS = 12  # of the longer fit


def measure(workload: str, contestant: str) -> float:
    """Seconds of the processor that an epoch of both stages takes."""
    if contestant == "given_back":
        platform.libc_ver = lambda *_arguments, **_names: ("", "")
    count, side, channels = WORKLOADS[workload]
    images = list(np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8))

    def fit(epochs: int) -> float:
        settings = {"network": workload, "pretrain_epochs": epochs, "epochs": epochs, "accelerator": "cpu"}
        started = time.process_time()
        fit_method(images, "deep-svdd", settings)
        return time.process_time() - started

    fit(1)  # everything is loaded
    less, more = fit(1), fit(1 + MORE_EPOCHS)
    return (more - less) / MORE_EPOCHS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("WORKLOAD", "CONTESTANT"), help="measure one of them, and print it")
    options = parser.parse_args()
    if options.one:
        print(measure(*options.one))
        return
    if options.output is None:
        parser.error("--output must be given")
    result: dict[str, Any] = {
        "machine": {**machine_facts(), **versions_of("onlygood", "torch", "lightning-fabric")},
        "threads": torch.get_num_threads(),
    }
    for workload in WORKLOADS:
        times: dict[str, list[float]] = {contestant: [] for contestant in CONTESTANTS}
        for number in range(1, options.rounds + 1):
            with running(workload, number=number, total=options.rounds):
                for contestant, measured in times.items():
                    measured.append(answer_of("benchmarks.studies.kept_memory", "--one", workload, contestant))
        ratios = [back / kept for back, kept in zip(times["given_back"], times["kept"], strict=True)]
        result[workload] = {
            **{f"{contestant}_cpu_s": measured for contestant, measured in times.items()},
            "ratios": ratios,
            "given_back_by_kept": statistics.median(ratios),
        }
        print(workload, [round(ratio, 3) for ratio in ratios], flush=True)
    write_result(options.output, result)


if __name__ == "__main__":
    main()
