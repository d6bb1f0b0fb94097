"""A finished model file is run on a few of its images before anything is written."""

from __future__ import annotations

from collections.abc import Callable

from onlygood._spacing import evenly_spaced
from onlygood.errors import VerificationError
from onlygood.graph.runtime import run
from onlygood.images.reading import ImageArray
from onlygood.model import CalibratedModel

# Scores of the file and of the calibration may differ by this share of the raw score or the threshold: both are the
# same arithmetic in float32, but one session and several threads may add in another order than another session.
TOLERANCE = 1e-4
IMAGES = 3


def verify(
    model: CalibratedModel,
    session: object,
    count: int,
    *,
    image: Callable[[int], tuple[str, ImageArray]],
    raw_score: Callable[[int], float],
    least_scale: float = 0.0,
    remedy: str,
) -> None:
    """Run a model on IMAGES images, evenly spaced, and compare with the scores that it was calibrated with.

    Args:
        model: which.
        session: that runs its file.
        count: how many images there are.
        image: gives the name and the pixels of the one at a position.
        raw_score: gives the raw score that the calibration's own arithmetic has for it.
        least_scale: raw scores are compared relative to their size, or to this where they are smaller.
        remedy: what a person can do if they differ.

    Raises:
        VerificationError: they differ.
    """
    threshold = model.calibration.threshold
    for position in evenly_spaced(count, IMAGES).tolist():
        name, pixels = image(position)
        (score,) = run(session, ["score"], {"image": pixels[None]})
        expected = raw_score(position)
        # The file gives raw score - threshold in float32, so the larger of the two sets the rounding.
        scale = max(least_scale, abs(expected), abs(threshold))
        found = float(score[0]) + threshold
        if not abs(found - expected) <= TOLERANCE * scale:
            raise VerificationError(
                f"the finished model must give {name} the raw score {expected:.6g} that it was calibrated with, got "
                f"{found:.6g}: nothing was written; {remedy}"
            )
