"""The methods that `fit` knows: what each learns, and the piece of graph that it scores with."""

from __future__ import annotations

from collections.abc import Sequence

from onlygood.architectures import PRETRAINED
from onlygood.datasets.sources import Source
from onlygood.detectors.base import GoodScores, Method, TrainingFiles
from onlygood.detectors.deep_svdd.detector import DeepSvddMethod, PretrainedSvddMethod
from onlygood.detectors.discriminator.detector import DiscriminatorMethod
from onlygood.detectors.doc.detector import DocMethod
from onlygood.detectors.patch.detector import PatchMethod
from onlygood.detectors.pooled.detector import PooledMethod
from onlygood.settings import POOLED_METHODS, FitSettings

__all__ = ["GoodScores", "Method", "TrainingFiles", "make_method"]


def make_method(
    settings: FitSettings,
    sources: Sequence[Source],
    *,
    references: Sequence[Source] = (),
    files: TrainingFiles | None = None,
    show_progress: bool,
) -> Method:
    """The method that the settings name, before it has seen an image.

    Args:
        settings: of the fit.
        sources: the good images; their number, with augmentations and turned copies, decides how much of each can be
            looked at.
        references: reference images, for a method that trains on them.
        files: of a method that trains; None to keep nothing.
        show_progress: draw bars if stderr is a terminal.

    Raises:
        SettingError: settings that do not go together.
        BackboneError: a backbone that cannot be used.
        MissingExtraError: a method that trains, and no torch.
    """
    if settings.method == "doc":
        return DocMethod(settings, references, files=files, show_progress=show_progress)
    if settings.method == "deep-svdd":
        trained = PretrainedSvddMethod if settings.network == PRETRAINED.name else DeepSvddMethod
        return trained(settings, files=files, show_progress=show_progress)
    if settings.method in POOLED_METHODS:
        return PooledMethod(settings, show_progress=show_progress)
    # Whose patches are sampled, so that their number is bounded.
    images = max(len(sources) * settings.rotations, settings.augment or 0)
    if settings.method == "discriminator":
        return DiscriminatorMethod(settings, images, files=files, show_progress=show_progress)
    return PatchMethod(settings, images, show_progress=show_progress)
