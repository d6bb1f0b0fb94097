"""The examples in the docstrings of the public names are run as they stand there."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood


def is_error(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


# What a person calls or is given: all public names but the version and the errors; and the package itself.
DOCUMENTED: dict[str, Any] = {
    name: getattr(onlygood, name)
    for name in onlygood.__all__
    if name != "__version__" and not is_error(getattr(onlygood, name))
}
DOCUMENTED["onlygood"] = onlygood


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """good/ with 12 images; new/ with 4 of these again, the last with a blot; test/ and parts/ with those; a
    model; a line/ of two products, and models/ of these."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    (folder / "good").mkdir()
    (folder / "new").mkdir()
    for number in range(12):
        part = rng.normal(120, 12, (96, 112, 3))
        again = part + rng.normal(0, 2, part.shape)
        again[30:60, 40:70] = 250 if number == 3 else again[30:60, 40:70]
        for kind, levels in (("good", part), ("new", again)):
            if kind == "good" or number < 4:
                image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
                image.save(folder / kind / f"{number}.{'jpg' if number % 2 else 'png'}", quality=95)
    for kind in ("good", "blot"):
        (folder / "test" / kind).mkdir(parents=True)
    (folder / "parts" / "blot").mkdir(parents=True)
    (folder / "parts" / "good").mkdir()
    for path in (folder / "good").iterdir():
        (folder / "parts" / "good" / path.name).write_bytes(path.read_bytes())
    (folder / "parts" / "blot" / "3.jpg").write_bytes((folder / "new" / "3.jpg").read_bytes())
    for path in (folder / "new").iterdir():
        (folder / "test" / ("blot" if path.stem == "3" else "good") / path.name).write_bytes(path.read_bytes())
    method = onlygood.Patch(bank_size=200)
    onlygood.fit(folder / "good", method=method, false_alarm_rate=0.1).save(folder / "part.onnx")
    shutil.copytree(folder / "good", folder / "line" / "bolt")
    (folder / "line" / "nut").mkdir()
    for number in range(12):
        Image.fromarray(rng.normal(60, 20, (96, 112, 3)).clip(0, 255).astype(np.uint8)).save(
            folder / "line" / "nut" / f"{number}.png"
        )
    onlygood.fit_products(folder / "line", folder / "models", method=method, false_alarm_rate=0.1)
    return folder


def examples_of(name: str) -> doctest.DocTest:
    text = inspect.cleandoc(DOCUMENTED[name].__doc__)
    return doctest.DocTestParser().get_doctest(text, {}, name, None, 0)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_public_name_has_an_example(name: str) -> None:
    assert "\nExample:\n" in inspect.cleandoc(DOCUMENTED[name].__doc__)
    assert examples_of(name).examples


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_its_example_gives_what_it_says(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = examples_of(name)
    monkeypatch.chdir(folder)
    told: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    result = runner.run(test, out=told.append)
    assert result.attempted == len(test.examples)
    assert result.failed == 0, "".join(told)
