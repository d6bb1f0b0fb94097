"""Visual inspection that learns from good images only.

Example:
    >>> import onlygood
    >>> model = onlygood.fit("good", false_alarm_rate=0.1)
    >>> model.save("part.onnx")
    >>> onlygood.Inspector("part.onnx")("new/3.jpg").is_anomaly
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from onlygood._version import __version__

if TYPE_CHECKING:
    from onlygood.errors import (
        BackboneError,
        CheckpointError,
        FolderError,
        ImageError,
        ImageFormatError,
        ImageTooLargeError,
        LabelledSetError,
        MissingExtraError,
        ModelFileError,
        ModelFormatError,
        ModelVersionError,
        OnlygoodError,
        SettingError,
        TrainingError,
        VerificationError,
        WriteError,
    )
    from onlygood.evaluation.evaluate import Evaluation, evaluate
    from onlygood.exploration.explore import Exploration, explore
    from onlygood.fitting import fit
    from onlygood.guarantee import Guarantee
    from onlygood.inspector import Inspector
    from onlygood.model import CalibratedModel, Model
    from onlygood.recalibration import calibrate
    from onlygood.results import Inspection
    from onlygood.settings import FitSettings

# Public names and where they live. They are imported when first used, so that `onlygood --help` needs no runtime.
_HOMES = {
    "fit": "fitting",
    "calibrate": "recalibration",
    "evaluate": "evaluation.evaluate",
    "Evaluation": "evaluation.evaluate",
    "explore": "exploration.explore",
    "Exploration": "exploration.explore",
    "Inspector": "inspector",
    "CalibratedModel": "model",
    "Model": "model",
    "Inspection": "results",
    "Guarantee": "guarantee",
    "FitSettings": "settings",
    "OnlygoodError": "errors",
    "SettingError": "errors",
    "ImageError": "errors",
    "ImageTooLargeError": "errors",
    "ImageFormatError": "errors",
    "FolderError": "errors",
    "BackboneError": "errors",
    "ModelFileError": "errors",
    "ModelFormatError": "errors",
    "ModelVersionError": "errors",
    "TrainingError": "errors",
    "CheckpointError": "errors",
    "VerificationError": "errors",
    "WriteError": "errors",
    "LabelledSetError": "errors",
    "MissingExtraError": "errors",
}

__all__ = [
    "BackboneError",
    "CalibratedModel",
    "CheckpointError",
    "Evaluation",
    "Exploration",
    "FitSettings",
    "FolderError",
    "Guarantee",
    "ImageError",
    "ImageFormatError",
    "ImageTooLargeError",
    "Inspection",
    "Inspector",
    "LabelledSetError",
    "MissingExtraError",
    "Model",
    "ModelFileError",
    "ModelFormatError",
    "ModelVersionError",
    "OnlygoodError",
    "SettingError",
    "TrainingError",
    "VerificationError",
    "WriteError",
    "__version__",
    "calibrate",
    "evaluate",
    "explore",
    "fit",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onlygood' has no attribute {name!r}")
    return getattr(import_module(f"onlygood.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
