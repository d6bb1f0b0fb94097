"""What a fit says of itself: its guarantee, what was found of each good image, and the description in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from onlygood._version import __version__
from onlygood.calibration.threshold import Calibration
from onlygood.detectors.base import GoodScores, Learned, Split
from onlygood.features.extraction import Features, set_digest
from onlygood.features.input_kind import InputKind
from onlygood.graph.tiles import Tiling
from onlygood.graph.view import Region
from onlygood.guarantee import Guarantee
from onlygood.kind_notes import kinds_facts
from onlygood.metadata import (
    AlignmentFacts,
    BackboneFacts,
    CalibrationFacts,
    GoodImagesFacts,
    InputFacts,
    MapLevels,
    Metadata,
)
from onlygood.model import GoodImage, ScoredImage
from onlygood.region_of_interest import region_facts
from onlygood.settings import FitSettings, MethodSettings
from onlygood.tiling import tiles_facts

# How many of the most anomalous good images are kept to be looked at.
HIGHEST_KEPT = 24


def guarantee_of(
    calibration: Calibration, features: Features, split: Split, settings: FitSettings, *, golden: int, folds: int
) -> Guarantee:
    """What can be said of a threshold.

    Args:
        calibration: with which it was found.
        features: of the images.
        split: of the images as they were given.
        settings: of the fit.
        golden: how many golden images all of these are augmentations of; 0 if they are images of parts.
        folds: of cross-fitting; else 0.
    """
    return Guarantee(
        requested_rate=calibration.requested_rate,
        stated_rate=calibration.stated_rate,
        is_exact=settings.calibration == "split",
        calibration_images=len(calibration.scores),
        groups=calibration.groups,
        fitted_images=len(split.fitted),
        golden_images=golden,
        augmentations=len(features.sources) - features.given,
        rotations=settings.rotations,
        rule=calibration.rule,
        interval=calibration.interval,
        odd=0 if calibration.is_guaranteed else calibration.odd,
        folds=folds,
    )


def good_images_of(
    features: Features, scores: GoodScores, split: Split, calibration: Calibration
) -> tuple[GoodImage, ...]:
    """What was found of each good image.

    Args:
        features: of the images.
        scores: of the images.
        split: of the images as they were given.
        calibration: with which the threshold was found.
    """
    calibrating = set(split.calibrating(features.given).tolist())
    # Scores are stored as float32, so the lowest of those that stand apart is found exactly.
    least_odd = calibration.scores[-calibration.odd] if calibration.odd else np.float32(np.inf)
    return tuple(
        GoodImage(
            name=source.name,
            score=float(scores.raw[position]) - calibration.threshold,
            group=split.groups[position],
            calibrates=position in calibrating,
            is_odd=bool(position in calibrating and scores.raw[position] >= least_odd),
        )
        for position, source in enumerate(features.sources[: features.given])
    )


def highest_scoring(features: Features, images: Sequence[GoodImage], scores: GoodScores) -> tuple[ScoredImage, ...]:
    """A few images, the most anomalous first, with where they are anomalous.

    Args:
        features: of the images.
        images: what was found of each.
        scores: of the images.
    """
    order = sorted(range(len(images)), key=lambda position: -images[position].score)
    return tuple(
        ScoredImage(
            image=images[position], source=features.sources[position], patch_scores=scores.patch_scores(position)
        )
        for position in order[:HIGHEST_KEPT]
    )


def describe(
    method: MethodSettings,
    settings: FitSettings,
    kind: InputKind,
    features: Features,
    learned: Learned,
    *,
    region: Region | None,
    alignment: AlignmentFacts | None,
    tiling: Tiling | None,
    input_shape: tuple[int, int],
    calibration: Calibration,
    guarantee: Guarantee,
    images: Sequence[GoodImage],
    map_levels: MapLevels,
    notes: Sequence[str],
    deciding: str,
) -> Metadata:
    """The metadata: what a person must know of the file. No times or paths, so that equal fits are equal files."""
    heights, widths = zip(*features.sizes, strict=True)
    assert settings.calibration is not None  # they are resolved
    return Metadata(
        method=method.name,
        description=learned.description,
        settings=_without_threads({**settings.to_dict(), **method.to_dict()}),
        input=InputFacts(
            dtype="uint8" if kind.dtype == np.uint8 else "uint16",
            channels=features.channels,
            alpha="mask" if settings.alpha == "mask" else None,
            window=(kind.window.black, kind.window.white),
            windows=tuple((group.window.black, group.window.white) for group in kind.groups) or None,
            input_shape=input_shape,
            tiles=None if tiling is None else tiles_facts(tiling),
            alignment=alignment,
            region=None if region is None else region_facts(region),
        ),
        backbone=None if learned.backbone is None else BackboneFacts(**learned.backbone.to_dict()),
        fine_tuned=learned.fine_tuned,
        training=learned.training,
        detector=learned.facts,
        good_images=GoodImagesFacts(
            count=features.given,
            unreadable=len(features.unreadable),
            heights=(min(heights), max(heights)),
            widths=(min(widths), max(widths)),
            sha256=set_digest(features.digests[: features.given]),
            kinds=kinds_facts(features.kinds),
        ),
        calibration=CalibrationFacts(
            method=settings.calibration,
            threshold=calibration.threshold,
            rule=calibration.rule,
            odd=tuple(each.name for each in images if each.is_odd),
            decided_by=deciding,
        ),
        guarantee=guarantee,
        map_levels=map_levels,
        notes=tuple(notes),
        made_with={
            "onlygood": __version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
        },
    )


def _without_threads(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a file records them: how many images were worked on at once changes nothing else in it."""
    return {name: value for name, value in settings.items() if name != "threads"}
