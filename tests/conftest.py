"""Models that many tests share, each fitted once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The tests' matrices are so small that several threads only wait for one another. Before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


import onlygood
from command_line import Ran
from flat import METHODS, POOLED_METHODS, TRAINED_METHODS, fit
from learned import Learned
from onlygood.cli import main
from onlygood.detectors import pooled_detector
from onlygood.detectors.base import Detector, FitTask, Split
from onlygood.features.extraction import Features
from onlygood.settings import MethodSettings
from textures import (
    FAST,
    FAST_DISCRIMINATOR,
    FAST_DOC,
    FAST_POOLED,
    FAST_TRAINING,
    GOOD,
    Array,
    numbered,
    reference_images,
    save,
    texture,
    textures,
    twelve_bit,
    with_defect,
)


@pytest.fixture(scope="session", params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    """Every method in turn, for what holds of all of them."""
    name: str = request.param
    return name


@pytest.fixture
def fast(method: str) -> dict[str, Any]:
    """Settings with which a fit of each method is quick."""
    if method == "doc":
        return {**FAST_DOC, "reference": reference_images()}
    if method == "discriminator":
        return FAST_DISCRIMINATOR
    if method in TRAINED_METHODS:
        return FAST_TRAINING
    return FAST_POOLED if method in POOLED_METHODS else FAST


@pytest.fixture(scope="session")
def good_images() -> list[Array]:
    return textures(GOOD)


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory, good_images: list[Array]) -> Path:
    return save(tmp_path_factory.mktemp("good"), numbered(good_images))


@pytest.fixture(scope="session")
def inspectors() -> dict[str, onlygood.Inspector]:
    """Inspectors of each method that was fitted so far."""
    return {}


@pytest.fixture(scope="session")
def models() -> dict[str, onlygood.Model]:
    """Models of each method that was fitted so far.

    By name, since a fixture of the session is not made again where a test brings another `method` of its own.
    """
    return {}


@pytest.fixture
def fitted(models: dict[str, onlygood.Model], good_folder: Path, method: str, fast: dict[str, Any]) -> onlygood.Model:
    """A model of each method."""
    if method not in models:
        models[method] = fit(good_folder, method=method, **fast)
    return models[method]


@pytest.fixture
def inspect(inspectors: dict[str, onlygood.Inspector], method: str, fitted: onlygood.Model) -> onlygood.Inspector:
    """An inspector of each method."""
    if method not in inspectors:
        inspectors[method] = onlygood.Inspector(fitted)
    return inspectors[method]


@pytest.fixture(scope="session")
def model(good_folder: Path) -> onlygood.Model:
    """A model of the default method, where the method does not matter."""
    return fit(good_folder, **FAST)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory, model: onlygood.Model) -> Path:
    path = tmp_path_factory.mktemp("model") / "part.onnx"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def sixteen_bit_model() -> onlygood.Model:
    return fit([twelve_bit(seed) for seed in range(GOOD)], **FAST)


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images to inspect: two good ones, one of them in a sub-folder, and one with a defect."""
    images = {"a.png": texture(100), "b.png": with_defect(texture(101)), "lot/c.png": texture(102)}
    return save(tmp_path_factory.mktemp("new"), images)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process."""

    def run_main(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's own exits
            assert isinstance(stop.code, int)
            code = stop.code
        return Ran(code, *capsys.readouterr())

    return run_main


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> Learned:
    found = Learned()

    def spy_on(kind: type[MethodSettings]) -> None:
        make = kind.make_detector

        def spied(self: MethodSettings, task: FitTask) -> Detector:
            detector = make(self, task)
            learn = detector.learn

            def spy(features: Features, split: Split) -> Any:
                found.seen, found.groups, found.held_out = features, split.groups, split.held_out
                return learn(features, split)

            monkeypatch.setattr(detector, "learn", spy)
            return detector

        monkeypatch.setattr(kind, "make_detector", spied)

    for kind in onlygood.methods():
        spy_on(kind)
    return found


@pytest.fixture
def left_out(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Positions of the images that a method on pooled vectors leaves out in turn, filled as it calibrates."""
    found: list[Array] = []
    keep = pooled_detector._LeaveOut.__iter__

    def spy(self: Any) -> Iterator[Any]:
        for unseen, head in keep(self):
            found.append(unseen)
            yield unseen, head

    monkeypatch.setattr(pooled_detector._LeaveOut, "__iter__", spy)
    return found
