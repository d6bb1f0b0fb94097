"""Batches, interruptions, and what a checkpoint brings back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training_deep_svdd import QUICK, images

from onlygood.architectures import ARCHITECTURES
from onlygood.errors import CheckpointError, TrainingError
from onlygood.training import loop
from onlygood.training.checkpoint import Checkpoint
from onlygood.training.deep_svdd import train_deep_svdd
from onlygood.training.loop import batch_bounds

MNIST = ARCHITECTURES["lenet-mnist"]


@pytest.mark.parametrize(("count", "size", "sizes"), [(10, 5, [5, 5]), (11, 5, [3, 4, 4]), (4, 100, [4]), (5, 2, [])])
def test_batches_are_of_nearly_equal_size_and_none_of_one(count: int, size: int, sizes: list[int]) -> None:
    if not sizes:
        message = r"every mini-batch must hold at least 2 images.*got 5 to train on.*: raise batch_size to at least 3"
        with pytest.raises(TrainingError, match=message):
            batch_bounds(count, size)
        assert len(batch_bounds(count, 3)) == 2, "as advised"
        return
    bounds = batch_bounds(count, size)
    assert [end - begin for begin, end in bounds] == sizes
    assert bounds[0][0] == 0 and bounds[-1][1] == count


def test_one_image_is_no_batch() -> None:
    with pytest.raises(TrainingError, match="got 1 to train on in batches of 200: add images"):
        batch_bounds(1, 200)


@pytest.mark.parametrize(
    ("accelerator", "gpus", "batch", "devices", "strategy"),
    [
        ("cpu", 4, 64, 1, "auto"),
        ("auto", 0, 64, 1, "auto"),
        ("auto", 1, 64, 1, "auto"),
        ("gpu", 4, 64, 4, "dp"),
        ("auto", 4, 7, 2, "dp"),  # to three it would deal 3, 3 and 1
        ("auto", 8, 57, 7, "dp"),  # to eight 7 times 8 and 1
        ("auto", 4, 3, 1, "auto"),
    ],
)
def test_all_gpus_train_as_far_as_each_has_two_images_of_a_batch(
    accelerator: str, gpus: int, batch: int, devices: int, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(loop, "Fabric", lambda **arguments: asked.update(arguments))
    loop._fabric(accelerator, sizes={batch})
    assert asked == {"accelerator": accelerator, "devices": devices, "strategy": strategy}


class Interrupting:
    """Takes lines on the progress, and presses Ctrl-C after some."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, line: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 2, 4, 5])
def test_a_resumed_training_ends_where_one_without_interruption_does(after: int, tmp_path: Path) -> None:
    settings = replace(QUICK, objective="soft-boundary")
    expected = train_deep_svdd(MNIST, settings, images())
    place = tmp_path / "part.onnx.training"
    with pytest.raises(KeyboardInterrupt):
        checkpoint = Checkpoint(place, {"fit": 1}, resume=False)
        train_deep_svdd(MNIST, settings, images(), checkpoint=checkpoint, show=Interrupting(after))
    lines: list[str] = []
    checkpoint = Checkpoint(place, {"fit": 1}, resume=True)
    resumed = train_deep_svdd(MNIST, settings, images(), checkpoint=checkpoint, show=lines.append)
    assert len(lines) == settings.pretrain_epochs + settings.epochs - after
    assert resumed.losses == expected.losses
    assert resumed.radius == expected.radius
    assert torch.equal(resumed.center, expected.center)
    for name, value in expected.encoder.state_dict().items():
        assert torch.equal(value, resumed.encoder.state_dict()[name]), name


def _missing(place: Path) -> None:
    place.unlink()


def _cut(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:100])


def _newer(place: Path) -> None:
    torch.save({**torch.load(place, weights_only=True), "format": 99}, place)


def _code(place: Path) -> None:
    torch.save({"format": 2, "fingerprint": Interrupting(1), "stages": {}}, place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_missing, "does not exist: leave --resume out to begin"),
        (_cut, "cannot be read"),
        (_newer, "must have format 2, got 99"),
        (_code, "cannot be read"),
    ],
)
def test_a_checkpoint_that_cannot_be_resumed_from_is_refused(
    change: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    place = tmp_path / "part.onnx.training"
    Checkpoint(place, {"method": "deep-svdd"}, resume=False).write()
    change(place)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(place, {"method": "deep-svdd"}, resume=True)
    assert message in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("method", "doc"), ("nu", 0.5), ("images", "other")])
def test_the_checkpoint_of_another_fit_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    fingerprint = {"method": "deep-svdd", "nu": 0.1, "images": "these"}
    Checkpoint(tmp_path / "kept", {**fingerprint, key: value}, resume=False).write()
    with pytest.raises(CheckpointError, match=f"must be of a fit with {key} .*, got {value!r}"):
        Checkpoint(tmp_path / "kept", fingerprint, resume=True)


def test_shuffled_orders_differ_between_epochs() -> None:
    first, second = (np.random.default_rng([0, epoch]).permutation(20).tolist() for epoch in (0, 1))
    assert first != second
