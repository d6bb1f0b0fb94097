"""Visual inspection that learns from good images only.

Example:
    >>> import onlygood
    >>> model = onlygood.fit("good", false_alarm_rate=0.1)
    >>> model.save("part.onnx")
    >>> onlygood.Inspector("part.onnx")("new/3.jpg").is_anomaly
    True
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from onlygood._version import __version__

# ONNX Runtime tells its maker of its use, unless this is in the environment when it is imported. Whoever wants that
# sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from onlygood.auditing.audit import Audit, audit
    from onlygood.augmentation_settings import AugmentationSettings
    from onlygood.comparison.compare import Comparison, compare
    from onlygood.detectors.deep_svdd.settings import DeepSvdd
    from onlygood.detectors.discriminator.settings import Discriminator
    from onlygood.detectors.doc.settings import Doc
    from onlygood.detectors.knn.settings import Knn
    from onlygood.detectors.lof.settings import Lof
    from onlygood.detectors.mahalanobis.settings import Mahalanobis
    from onlygood.detectors.patch.settings import Patch
    from onlygood.detectors.registry import make_method, methods
    from onlygood.errors import (
        BackboneError,
        BusyError,
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
        NotAllGoodError,
        NotFoundError,
        OnlygoodError,
        OutputError,
        SettingError,
        SourceError,
        StationError,
        StoreError,
        TrainingError,
        VerificationError,
        WriteError,
    )
    from onlygood.evaluation.evaluate import Evaluation, evaluate
    from onlygood.exploration.explore import Exploration, explore
    from onlygood.fitting import fit
    from onlygood.guarantee import Guarantee
    from onlygood.images.named import NamedImage
    from onlygood.images.reading import read_image
    from onlygood.inspector import Inspector
    from onlygood.metadata import Metadata
    from onlygood.metrics.image import image_auroc
    from onlygood.metrics.pixel import PixelTally
    from onlygood.model import CalibratedModel, Model
    from onlygood.model_diff.diff import diff
    from onlygood.model_diff.diff_result import Diff
    from onlygood.monitoring.drift import drift
    from onlygood.monitoring.drift_result import Drift
    from onlygood.monitoring.drift_test import DriftTest
    from onlygood.products.chosen import ProductInspection
    from onlygood.products.fitting import fit_products
    from onlygood.products.products import Products
    from onlygood.recalibration import calibrate
    from onlygood.results import Inspection
    from onlygood.settings import MethodSettings
    from onlygood.updating import update

# Public names and where they live. They are imported when first used, so that `onlygood --help` needs no runtime.
_HOMES = {
    "audit": "auditing.audit",
    "Audit": "auditing.audit",
    "fit": "fitting",
    "fit_products": "products.fitting",
    "Products": "products.products",
    "ProductInspection": "products.chosen",
    "calibrate": "recalibration",
    "update": "updating",
    "evaluate": "evaluation.evaluate",
    "Evaluation": "evaluation.evaluate",
    "compare": "comparison.compare",
    "Comparison": "comparison.compare",
    "explore": "exploration.explore",
    "Exploration": "exploration.explore",
    "diff": "model_diff.diff",
    "Diff": "model_diff.diff_result",
    "drift": "monitoring.drift",
    "Drift": "monitoring.drift_result",
    "DriftTest": "monitoring.drift_test",
    "Inspector": "inspector",
    "NamedImage": "images.named",
    "read_image": "images.reading",
    "image_auroc": "metrics.image",
    "PixelTally": "metrics.pixel",
    "CalibratedModel": "model",
    "Model": "model",
    "Inspection": "results",
    "Guarantee": "guarantee",
    "Metadata": "metadata",
    "AugmentationSettings": "augmentation_settings",
    "MethodSettings": "settings",
    "Patch": "detectors.patch.settings",
    "Knn": "detectors.knn.settings",
    "Lof": "detectors.lof.settings",
    "Mahalanobis": "detectors.mahalanobis.settings",
    "Doc": "detectors.doc.settings",
    "DeepSvdd": "detectors.deep_svdd.settings",
    "Discriminator": "detectors.discriminator.settings",
    "make_method": "detectors.registry",
    "methods": "detectors.registry",
    "OnlygoodError": "errors",
    "SettingError": "errors",
    "ImageError": "errors",
    "ImageTooLargeError": "errors",
    "ImageFormatError": "errors",
    "FolderError": "errors",
    "NotAllGoodError": "errors",
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
    "StationError": "errors",
    "SourceError": "errors",
    "OutputError": "errors",
    "StoreError": "errors",
    "NotFoundError": "errors",
    "BusyError": "errors",
}

__all__ = [
    "Audit",
    "AugmentationSettings",
    "BackboneError",
    "BusyError",
    "CalibratedModel",
    "CheckpointError",
    "Comparison",
    "DeepSvdd",
    "Diff",
    "Discriminator",
    "Doc",
    "Drift",
    "DriftTest",
    "Evaluation",
    "Exploration",
    "FolderError",
    "Guarantee",
    "ImageError",
    "ImageFormatError",
    "ImageTooLargeError",
    "Inspection",
    "Inspector",
    "Knn",
    "LabelledSetError",
    "Lof",
    "Mahalanobis",
    "Metadata",
    "MethodSettings",
    "MissingExtraError",
    "Model",
    "ModelFileError",
    "ModelFormatError",
    "ModelVersionError",
    "NamedImage",
    "NotAllGoodError",
    "NotFoundError",
    "OnlygoodError",
    "OutputError",
    "Patch",
    "PixelTally",
    "ProductInspection",
    "Products",
    "SettingError",
    "SourceError",
    "StationError",
    "StoreError",
    "TrainingError",
    "VerificationError",
    "WriteError",
    "__version__",
    "audit",
    "calibrate",
    "compare",
    "diff",
    "drift",
    "evaluate",
    "explore",
    "fit",
    "fit_products",
    "image_auroc",
    "make_method",
    "methods",
    "read_image",
    "update",
]


if not TYPE_CHECKING:  # or a type checker would take any name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'onlygood' has no attribute {name!r}")
        return getattr(import_module(f"onlygood.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
