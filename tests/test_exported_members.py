"""What `import onlygood` offers, and the errors that it says there are."""

import importlib
import importlib.metadata
import inspect
import re
import typing

import pytest

import onlygood
from onlygood import errors


def error_classes() -> dict[str, type[Exception]]:
    return {
        name: member
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, Exception) and member.__module__ == errors.__name__
    }


def test_every_public_name_can_be_had_and_is_the_one_of_its_module() -> None:
    for name in onlygood.__all__:
        value = getattr(onlygood, name)
        if name != "__version__":
            assert value is getattr(importlib.import_module(value.__module__), name)
            assert value.__doc__


def test_all_lists_the_lazy_names_and_nothing_else() -> None:
    assert sorted(onlygood.__all__) == sorted([*onlygood._HOMES, "__version__"])
    assert len(set(onlygood.__all__)) == len(onlygood.__all__)
    assert dir(onlygood) == sorted(onlygood.__all__)


def test_type_checkers_see_the_same_names() -> None:
    source = inspect.getsource(onlygood)
    checked = source[source.index("if TYPE_CHECKING:") : source.index("_HOMES")]
    imported = re.findall(r"from onlygood\.([\w.]+) import (?:\(([^)]*)\)|(.*))", checked)
    names = {name.strip(): home for home, many, one in imported for name in (many or one).split(",") if name.strip()}
    assert names == onlygood._HOMES


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'onlygood' has no attribute 'predict'"):
        onlygood.predict  # noqa: B018 - the access is what is tested


def test_every_error_is_exported() -> None:
    assert set(error_classes()) == {name for name in onlygood._HOMES if onlygood._HOMES[name] == "errors"}


def test_the_tree_of_errors_is_the_one_drawn() -> None:
    """Each line of the drawing is an error below the nearest line above it that is indented less."""
    assert errors.__doc__ is not None
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([ |`-]*)(\w+Error) +\S", line)
        if found:
            indent, name = len(found[1]), found[2]
            above = [entry for entry in above if entry[0] < indent]
            drawn[name] = above[-1][1] if above else "Exception"
            above.append((indent, name))
    assert drawn == {name: error.__bases__[0].__name__ for name, error in error_classes().items()}


def test_every_error_can_be_caught_as_ours() -> None:
    assert all(issubclass(error, onlygood.OnlygoodError) for error in error_classes().values())


def test_the_version_is_the_installed_one() -> None:
    assert onlygood.__version__ == importlib.metadata.version("onlygood")


def test_fit_and_inspector_say_their_types() -> None:
    for function in (
        onlygood.fit,
        onlygood.calibrate,
        onlygood.compare,
        onlygood.fit_products,
        onlygood.Products.__init__,
        onlygood.Products.__call__,
        onlygood.Products.map,
        onlygood.Inspector.__init__,
        onlygood.Inspector.__call__,
        onlygood.Model.save,
    ):
        hints = typing.get_type_hints(function)
        assert set(inspect.signature(function).parameters) - {"self"} <= set(hints)
        assert "return" in hints
