"""Which images are learned from: those that are not held out, with augmentations of them or turned copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood.augmentation.sources import check_target, fill_up, turned_sources
from onlygood.datasets.splits import hold_out, share_held_out
from onlygood.detectors.base import Embedding, FitTask, Split
from onlygood.errors import FolderError
from onlygood.features.extraction import Features, extract_augmentations, extract_turned
from onlygood.features.independence import LEAST_GROUPS
from onlygood.settings import HELD_OUT_ABOVE, FitSettings, MethodSettings

# The largest share of the images that is held out unless one is given, and of a golden sample's augmentations.
MOST_HELD_OUT = 1 / 3
MOST_GOLDEN_HELD_OUT = 0.5


def hold_out_images(
    groups: Sequence[int], settings: FitSettings, method: MethodSettings, *, golden: int
) -> NDArray[np.bool_]:
    """True for images that only calibrate, bool [n]: none with leave-one-out and cross-fitting.

    Args:
        groups: a label an image; images of a group stay together.
        settings: of the fit.
        method: which; it says how else the fit could be calibrated.
        golden: how many golden images all of these are augmentations of; 0 if they are images of parts.

    Raises:
        FolderError: too few independent images are left to learn from.
    """
    held_out = np.zeros(len(groups), dtype=bool)
    if settings.calibration == "split":
        share = settings.calibration_fraction or share_held_out(
            len(set(groups)),
            settings.false_alarm_rate,
            above=HELD_OUT_ABOVE,
            most=MOST_GOLDEN_HELD_OUT if golden else MOST_HELD_OUT,
        )
        held_out = hold_out(list(groups), share, seed=settings.seed)
    left = len(set(np.array(groups)[~held_out]))
    if left < LEAST_GROUPS:
        advice = ["raise augment" if golden else "add images of other parts"]
        if len(set(groups)) > LEAST_GROUPS:
            advice.append("lower calibration_fraction")
        if not golden:
            others = [each for each in method.calibrations if each not in ("split", settings.calibration)]
            advice += [f"calibrate with {each}" for each in others]
        raise FolderError(
            f"fit needs good images of at least {LEAST_GROUPS} independent things beside those held out, got "
            f"{left} of {len(set(groups))}: {', or '.join(advice)}"
        )
    return held_out


def learning_images(
    features: Features, split: Split, task: FitTask, embedding: Embedding, *, golden: int
) -> tuple[Features, Split]:
    """The images with augmentations of them behind them, or turned copies in their place, as the settings have it.

    Each is in the group of its image, so that whoever is scored without that image is scored without them too.

    Args:
        features: of the images; augmentations are added to them.
        split: of the images.
        task: of the fit.
        embedding: of the detector.
        golden: how many golden images all of these are augmentations of already; 0 if they are images of parts.
    """
    settings, fitted = task.settings, split.fitted.tolist()
    if settings.rotations > 1:
        copies = turned_sources(
            features.sources, settings.rotations, fitted, seed=settings.seed, has_mask=settings.alpha == "mask"
        )
        originals = fitted * (settings.rotations - 1)
        learned = extract_turned(
            features, copies, settings, rows_each=embedding.rows_each, show_progress=task.show_progress
        )
    elif settings.augment is not None and not golden:
        check_target(features.given, settings)
        images = [features.sources[position] for position in fitted]
        made = fill_up(images, settings.augment - features.given, settings, task.kind.windows)
        originals, learned = [fitted[original] for original, _ in made], features
        extract_augmentations(
            features,
            [source for _, source in made],
            settings,
            rows_each=embedding.rows_each,
            show_progress=task.show_progress,
        )
    else:
        return features, split
    theirs = [split.groups[original] for original in originals]
    added = np.zeros(len(theirs), dtype=bool)
    return learned, Split(groups=[*split.groups, *theirs], held_out=np.append(split.held_out, added))
