"""Keywords that `onlygood.fit` does not have: where each belongs."""

from __future__ import annotations

from onlygood.augmentation_settings import AugmentationSettings
from onlygood.detectors.registry import methods
from onlygood.settings import FitSettings, MethodSettings
from onlygood.validation import nearest, one_of


def unknown_keyword(name: str, method: MethodSettings) -> str:
    """What is said of a keyword that `fit` does not have: where it belongs, or which one is nearest.

    Args:
        name: of the keyword.
        method: that was chosen.
    """
    if name in type(method).model_fields:
        whose = type(method).__name__
        return (
            f"{name} is a setting of method {method.name} and goes into its settings, got it as a keyword of fit: give "
            f"method={whose}({name}=...)"
        )
    if name.removeprefix("augment_") in AugmentationSettings.model_fields and name.startswith("augment_"):
        return (
            f"{name} is a range of augmentations and goes into their settings, got it as a keyword of fit: give "
            f"augmentation=AugmentationSettings({name.removeprefix('augment_')}=...)"
        )
    others = [kind.name for kind in methods() if name in kind.model_fields]
    if others:
        return (
            f"{name} is a setting of method {one_of(others)}, got it with {method.name}: leave {name} out, or choose "
            "such a method"
        )
    known = [*FitSettings.model_fields, "method", "groups", "channel_order", "roi", "align_to", "checkpoint"]
    known += ["resume", "progress"]
    near = nearest(name, [*known, *type(method).model_fields])
    return f"a keyword of fit must be one of {', '.join(known)}, got {name}{near}"
