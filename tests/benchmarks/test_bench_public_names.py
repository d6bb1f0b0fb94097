"""Benchmarks see what users see: names that onlygood exports, and fits through one function."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import onlygood

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "benchmarks").rglob("*.py"))


def used_names(tree: ast.Module) -> Iterator[str]:
    """Every name of onlygood that a module imports or reads, with dots: `onlygood.fit`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "onlygood")
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "onlygood":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "onlygood":
            yield f"onlygood.{node.attr}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_uses_public_names_alone(path: Path) -> None:
    public = {"onlygood", *(f"onlygood.{name}" for name in onlygood.__all__)}
    assert set(used_names(ast.parse(path.read_text(encoding="utf-8")))) <= public


def test_one_module_fits() -> None:
    calling = [
        path.name for path in MODULES if "onlygood.fit" in used_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert calling == ["fitting.py"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import onlygood._parallel", ["onlygood._parallel"]),
        ("from onlygood.images.reading import read_image", ["onlygood.images.reading.read_image"]),
        ("from onlygood import images", ["onlygood.images"]),
        ("import onlygood\nonlygood.fitting.fit", ["onlygood", "onlygood.fitting"]),
        ("def f():\n    from onlygood import _machine", ["onlygood._machine"]),
        ("import onlygoodness, numpy", []),
    ],
)
def test_each_way_to_use_a_name_is_seen(source: str, expected: list[str]) -> None:
    assert list(used_names(ast.parse(source))) == expected
