"""Fits whose settings stand side by side, those of every method and those of one, as on a command line."""

from typing import Any

import onlygood
from onlygood.settings import FitSettings, MethodSettings

# Of onlygood itself, whatever other packages are installed.
METHODS = ("patch", "knn", "lof", "mahalanobis", "doc", "deep-svdd", "discriminator")
POOLED_METHODS = ("knn", "lof", "mahalanobis")
TRAINED_METHODS = ("doc", "deep-svdd", "discriminator")
AUGMENT = "augment_"


def kind_of(method: str) -> type[MethodSettings]:
    return next(kind for kind in onlygood.methods() if kind.name == method)


def split(method: str, settings: dict[str, Any]) -> tuple[MethodSettings, dict[str, Any]]:
    """The method's settings, and the keywords of `onlygood.fit`; ranges of augmentations begin with AUGMENT."""
    own = {name: value for name, value in settings.items() if name in kind_of(method).model_fields}
    ranges = {name.removeprefix(AUGMENT): value for name, value in settings.items() if name.startswith(AUGMENT)}
    others = {name: value for name, value in settings.items() if name not in own and not name.startswith(AUGMENT)}
    if ranges:
        others["augmentation"] = onlygood.AugmentationSettings(**ranges)
    return kind_of(method)(**own), others


def fit(images: Any, *, method: str = "patch", **settings: Any) -> onlygood.Model:
    chosen, others = split(method, settings)
    return onlygood.fit(images, method=chosen, **others)


def settings_of(method: str = "patch", **settings: Any) -> FitSettings:
    """The settings of every method, resolved."""
    chosen, others = split(method, settings)
    return FitSettings(**others).resolved(chosen)
