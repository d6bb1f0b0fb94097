"""Which methods there are, and what is said of a package whose method cannot be used."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import onlygood
from flat import METHODS
from onlygood.detectors import registry
from onlygood.errors import SettingError
from onlygood.settings import MethodSettings

MODULE = """
from typing import ClassVar

from onlygood.settings import MethodSettings


class Good(MethodSettings):
    name: ClassVar[str] = "good"
    summary: ClassVar[str] = "a method"
    depth: int = 3

    def make_detector(self, task):
        raise NotImplementedError


class Common(Good):
    name: ClassVar[str] = "common"
    seed: int = 0


NOTHING = 3
"""


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Entry points of an outside package: a method that can be used, and four that cannot."""
    (tmp_path / "outside_methods.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    values = {
        "good": "outside_methods:Good",
        "common": "outside_methods:Common",
        "renamed": "outside_methods:Good",
        "nothing": "outside_methods:NOTHING",
        "nowhere": "no_such_module:Method",
        "patch": "outside_methods:Good",
    }
    entries = {name: EntryPoint(name, value, registry.GROUP) for name, value in values.items()}
    monkeypatch.setattr(registry, "_theirs", lambda: entries)


def test_ours_are_listed_first_and_in_order() -> None:
    assert registry.method_names()[: len(METHODS)] == METHODS
    assert [kind.name for kind in onlygood.methods()][: len(METHODS)] == list(METHODS)


def test_every_method_of_ours_is_public_and_says_what_it_is_for() -> None:
    for name in METHODS:
        kind = registry.method_class(name)
        assert getattr(onlygood, kind.__name__) is kind
        assert issubclass(kind, MethodSettings)
        assert kind.summary
        assert kind.trains == (kind.extra == "train")


@pytest.mark.usefixtures("packages")
def test_a_method_of_another_package_is_made_by_its_name_and_checked() -> None:
    assert "good" in registry.method_names()
    assert onlygood.make_method("good", depth=5).to_dict() == {"depth": 5}
    with pytest.raises(SettingError, match="settings of method good must be among depth, got dept: did you mean"):
        onlygood.make_method("good", dept=5)


@pytest.mark.usefixtures("packages")
def test_no_package_takes_the_place_of_a_method_of_ours() -> None:
    assert registry.method_names().count("patch") == 1
    assert registry.method_class("patch") is onlygood.Patch


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere",
            "method nowhere of an unknown package must be importable as no_such_module:Method, got Module",
        ),
        ("nothing", "method nothing of an unknown package must be a subclass of onlygood.settings.MethodSettings with"),
        ("renamed", "method renamed of an unknown package must be a subclass of onlygood.settings.MethodSettings with"),
        ("common", "method common of an unknown package must have settings of its own names, got seed, which every"),
        ("godo", "method must be one of patch, .*, got 'godo': did you mean 'good'"),
    ],
)
def test_a_method_that_cannot_be_used_is_named_with_what_to_do(name: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        registry.method_class(name)
