"""A line of two products, and the set of their models."""

import shutil
from pathlib import Path

import pytest

import onlygood
from product_line import OPTIONS, save_line


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sub-folder of good images for each product."""
    return save_line(tmp_path_factory.mktemp("lines") / "line")


@pytest.fixture(scope="session")
def fitted(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of both products; nobody changes it."""
    folder = tmp_path_factory.mktemp("sets") / "models"
    onlygood.fit_products(line, folder, **OPTIONS)
    return folder


@pytest.fixture
def models(fitted: Path, tmp_path: Path) -> Path:
    """A copy of the set."""
    return Path(shutil.copytree(fitted, tmp_path / "models"))
