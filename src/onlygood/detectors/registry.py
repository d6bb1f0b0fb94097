"""Which methods there are: those of onlygood, and those that other packages bring through the entry-point group.

Another package brings a method by naming its settings class under `onlygood.methods` in its `pyproject.toml`::

    [project.entry-points."onlygood.methods"]
    my-method = "my_package.settings:MyMethod"

Nothing is imported but the settings classes that are asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from onlygood.errors import SettingError
from onlygood.settings import FitSettings, MethodSettings
from onlygood.validation import nearest

GROUP = "onlygood.methods"
MethodName = Literal["patch", "knn", "lof", "mahalanobis", "doc", "deep-svdd", "discriminator"]
# In the order in which they are listed.
_OURS = {
    "patch": "patch.settings:Patch",
    "knn": "knn.settings:Knn",
    "lof": "lof.settings:Lof",
    "mahalanobis": "mahalanobis.settings:Mahalanobis",
    "doc": "doc.settings:Doc",
    "deep-svdd": "deep_svdd.settings:DeepSvdd",
    "discriminator": "discriminator.settings:Discriminator",
}


def method_names() -> tuple[str, ...]:
    """The names of all methods, ours first."""
    return (*_OURS, *sorted(set(_theirs()) - set(_OURS)))


def method_class(name: str) -> type[MethodSettings]:
    """The settings class of a method.

    Raises:
        SettingError: there is none of that name, or another package's cannot be used.
    """
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        found: type[MethodSettings] = getattr(import_module(f"onlygood.detectors.{module}"), attribute)
        return found
    if name not in _theirs():
        known = method_names()
        raise SettingError(f"method must be one of {', '.join(known)}, got {name!r}{nearest(str(name), known)}")
    return _load(_theirs()[name])


def make_method(name: str, **settings: Any) -> MethodSettings:
    """The settings of a method by its name: `make_method("knn", num_neighbors=3)` is `onlygood.Knn(num_neighbors=3)`.

    Args:
        name: one of `onlygood.methods()`.
        **settings: of that method.

    Raises:
        SettingError: there is no such method or setting, or a value cannot be used.

    Example:
        >>> import onlygood
        >>> onlygood.make_method("knn", num_neighbors=3).num_neighbors
        3
    """
    return method_class(name)(**settings)


def methods() -> tuple[type[MethodSettings], ...]:
    """The settings classes of all methods, ours first; each says its name, what it is for, and what it needs.

    Raises:
        SettingError: one of another package cannot be used.

    Example:
        >>> import onlygood
        >>> [method.name for method in onlygood.methods() if method.trains]
        ['doc', 'deep-svdd', 'discriminator']
    """
    return tuple(method_class(name) for name in method_names())


@cache
def _theirs() -> dict[str, EntryPoint]:
    """The entry points of other packages, by the name of the method."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> type[MethodSettings]:
    """The settings class that another package names.

    Raises:
        SettingError: it cannot be imported, is no settings class, or has settings that every method has.
    """
    whose = f"method {entry.name} of {entry.dist.name if entry.dist else 'an unknown package'}"
    try:
        found = entry.load()
    except Exception as error:
        raise SettingError(
            f"{whose} must be importable as {entry.value}, got {type(error).__name__}: {error}: install that package "
            "again, or a version that goes with this onlygood"
        ) from error
    if not (isinstance(found, type) and issubclass(found, MethodSettings) and getattr(found, "name", "") == entry.name):
        raise SettingError(
            f"{whose} must be a subclass of onlygood.settings.MethodSettings with that name, got {entry.value}: report "
            "this to the makers of the package"
        )
    common = sorted(set(found.model_fields) & set(FitSettings.model_fields))
    if common:
        raise SettingError(
            f"{whose} must have settings of its own names, got {', '.join(common)}, which every method has: report "
            "this to the makers of the package"
        )
    return found
