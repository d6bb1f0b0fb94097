"""The methods that are compared: from names and settings to rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onlygood.detectors.registry import make_method, method_class, method_names
from onlygood.errors import SettingError
from onlygood.settings import MethodSettings


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the table to be.

    Attributes:
        label: the name, and the settings that are not the default's: `knn@num_neighbors=3`.
        method: its settings; None where they could not be made without more being given.
        reason: why they could not; None where they could.
    """

    label: str
    method: MethodSettings | None
    reason: str | None = None


def entries(methods: Sequence[str | MethodSettings]) -> list[Entry]:
    """A row for each method.

    Args:
        methods: names, for the defaults, or settings.

    Raises:
        SettingError: no methods, one that does not exist, or two rows that could not be told apart.
    """
    if isinstance(methods, str | MethodSettings) or not methods:
        raise SettingError(f"methods must be a sequence of at least one name or settings, got {methods!r}: give a list")
    found = [_entry(method) for method in methods]
    labels = [entry.label for entry in found]
    doubled = next((label for label in labels if labels.count(label) > 1), None)
    if doubled is not None:
        raise SettingError(f"methods must differ from one another, got {doubled} twice: leave one out")
    return found


def _entry(method: str | MethodSettings) -> Entry:
    if isinstance(method, MethodSettings):
        return Entry(label=method_label(method), method=method)
    if not isinstance(method, str):
        raise SettingError(
            f"a method must be one of {', '.join(method_names())}, or settings such as onlygood.Knn(num_neighbors=3), "
            f"got {method!r}"
        )
    method_class(method)  # refuses a name that does not exist
    try:
        return Entry(label=method, method=make_method(method))
    except SettingError as error:  # it has no default for everything
        return Entry(label=method, method=None, reason=str(error))


def method_label(method: MethodSettings) -> str:
    """The name of a method and those of its settings that are not the default's, as the command line takes them."""
    changed = [
        f"{name}={_written(getattr(method, name))}"
        for name, field in type(method).model_fields.items()
        if not field.exclude and getattr(method, name) != field.default
    ]
    return method.name + ("@" + "+".join(changed) if changed else "")


def _written(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)
