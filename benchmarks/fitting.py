"""The one place that calls `onlygood.fit` and reads what a model says of itself; methods on a command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import onlygood

DEFAULT_METHOD = "patch"
# Settings of several values, between slashes: commas already separate methods.
_SEVERAL = ("taps", "window")
_WORDS = {"true": True, "false": False, "none": None}


def fit_method(
    images: Any,
    method: str = DEFAULT_METHOD,
    settings: Mapping[str, Any] | None = None,
    *,
    reference: Any = None,
    **common: Any,
) -> onlygood.Model:
    """What `onlygood.fit` returns.

    Args:
        images: good ones, as `onlygood.fit` takes them.
        method: its name.
        settings: as `split_method` gives them: the method's own and others, by name.
        reference: images of other things by class, for the method doc.
        **common: settings of every method: `false_alarm_rate`, `seed`, `threads`, `calibration`, ...
    """
    own, shared = _parted(settings or {})
    if reference is not None:
        own["reference"] = reference
    return onlygood.fit(images, method=onlygood.make_method(method, **own), **shared, **common)


def check_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Refuse a method that does not exist, or settings that it cannot use, before anything runs.

    Raises:
        SettingError: as said.
    """
    own, _ = _parted(settings)
    if method == "doc":
        own["reference"] = "."  # each run brings its own, later
    onlygood.make_method(method, **own)


def _parted(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The method's own settings, and those that every method takes."""
    shared = inspect.signature(onlygood.fit).parameters
    own = {name: value for name, value in settings.items() if name not in shared}
    return own, {name: value for name, value in settings.items() if name in shared}


def describe(model: onlygood.CalibratedModel) -> dict[str, Any]:
    """What a model says of itself, as plain JSON values; what the method `patch` learned is under `detector`."""
    return model.metadata.to_dict()


def split_method(text: str) -> tuple[str, dict[str, Any]]:
    """A method's name and its settings: `patch@bank_size=500+taps=stage2/stage4`.

    Raises:
        SettingError: a setting without a value.
    """
    name, _, rest = text.partition("@")
    settings: dict[str, Any] = {}
    for part in rest.split("+") if rest else ():
        key, equals, value = part.partition("=")
        if not (equals and key and value):
            raise onlygood.SettingError(
                f"a method's settings must be like patch@bank_size=500+input_size=96, got {text!r}: give each a value"
            )
        settings[key] = tuple(map(_value, value.split("/"))) if key in _SEVERAL else _value(value)
    return name, settings


def _value(text: str) -> Any:
    """The value that a text stands for: a whole number, a number, true, false, none, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return _WORDS.get(text.lower(), text)
