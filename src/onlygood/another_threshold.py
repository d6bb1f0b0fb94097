"""Another threshold for a fitted model, from the calibration scores in its file or as a person gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import onnx

from onlygood._plain import plain
from onlygood._version import __version__
from onlygood.calibration.threshold import Calibration
from onlygood.errors import (
    ModelFormatError,
    SettingError,
)
from onlygood.graph.model_file import ModelFile, pack
from onlygood.graph.signature import fingerprint_in
from onlygood.graph.verdict import CALIBRATION_INITIALIZERS, CalibrationScores, replace_calibration
from onlygood.guarantee import Guarantee
from onlygood.metadata import Metadata, Recalibration
from onlygood.model import CalibratedModel
from onlygood.rates import check_false_alarm_rate

# Well within what the 32-bit numbers of a model file hold.
_LARGEST_SCORE = 1e30
MAP_NOTE = (
    "The levels of the anomaly map are those of the false-alarm rate that the model had before: the calibration scores "
    "alone do not give others."
)
SIGNATURE_NOTE = (
    "The model that was given is signed, this one is another and is not: sign it with `onlygood sign` if it is to be "
    "trusted like that one."
)


def at_rate(file: ModelFile, false_alarm_rate: float, *, name: str) -> CalibratedModel:
    """The model with the threshold that the calibration scores in its file give at a false-alarm rate.

    Args:
        file: of the model.
        false_alarm_rate: alpha, in (0, 1).
        name: what messages call the model.

    Raises:
        SettingError: the rate is outside (0, 1).
        ModelFormatError: the file has no calibration scores.
    """
    false_alarm_rate = check_false_alarm_rate(false_alarm_rate)
    before = file.metadata.guarantee
    calibration = require_calibration_scores(file, name).at(
        false_alarm_rate, rule=file.metadata.threshold_rule, is_exact=before.is_exact or before.is_split
    )
    # What decided the former threshold is not true of this one.
    found = file.metadata.calibration.replaced(threshold=calibration.threshold, rule=calibration.rule, decided_by=None)
    described = file.metadata.replaced(guarantee=guarantee_at(before, calibration), calibration=found)
    notes = () if false_alarm_rate == before.requested_rate else (MAP_NOTE,)
    return calibrated(file, calibration, described, notes=notes, source="calibration scores")


def at_threshold(file: ModelFile, threshold: float, *, name: str) -> CalibratedModel:
    """The model with a threshold that is given, and what the calibration scores in its file say of that.

    Args:
        file: of the model.
        threshold: as a score of this model, in which the threshold in the file is 0.
        name: what messages call the model.

    Raises:
        SettingError: the threshold is not a number that a score can be.
        ModelFormatError: the file has no calibration scores.
    """
    threshold = plain(threshold)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not abs(threshold) <= _LARGEST_SCORE:
        raise SettingError(
            f"a threshold must be a finite number, a score of this model and at most {_LARGEST_SCORE:g}, got "
            f"{threshold!r}"
        )
    scores = require_calibration_scores(file, name)
    calibration = scores.at_threshold(scores.threshold + threshold)
    found = file.metadata.calibration.replaced(threshold=calibration.threshold, rule="given", decided_by=None)
    described = file.metadata.replaced(guarantee=guarantee_at(file.metadata.guarantee, calibration), calibration=found)
    return calibrated(file, calibration, described, notes=(MAP_NOTE,), source="calibration scores")


def require_calibration_scores(file: ModelFile, name: str) -> CalibrationScores:
    """The calibration scores in a model file.

    Raises:
        ModelFormatError: it has none that can be used.
    """
    if file.calibration_scores is None:
        raise ModelFormatError(
            f"the model {name} must hold its calibration scores to be given another threshold (the initializers "
            f"{', '.join(CALIBRATION_INITIALIZERS)}), got a file without them: fit it again"
        )
    return file.calibration_scores


def guarantee_at(before: Guarantee, calibration: Calibration, **others: Any) -> Guarantee:
    """What can be said of another calibration."""
    return before.replaced(
        requested_rate=calibration.requested_rate,
        stated_rate=calibration.stated_rate,
        rule=calibration.rule,
        interval=calibration.interval,
        odd=0 if calibration.is_guaranteed else calibration.odd,
        **others,
    )


def calibrated(
    file: ModelFile,
    calibration: Calibration,
    described: Metadata,
    *,
    notes: Sequence[str],
    source: Literal["calibration scores", "new good images"],
    images_sha256: str | None = None,
) -> CalibratedModel:
    """The model with another calibration: the same graph with other initializers, described as such.

    Args:
        file: of the model as it was.
        calibration: the new one.
        described: the new description, but for the record of this change and the rate in the settings.
        notes: sentences about it that a person should read.
        source: what the calibration was made from.
        images_sha256: of the new images' pixels.
    """
    model = onnx.load_model_from_string(file.content)
    replace_calibration(model, calibration)
    before = file.metadata
    record = Recalibration(
        source=source,
        images=len(calibration.scores),
        groups=calibration.groups,
        images_sha256=images_sha256,
        requested_rate=calibration.requested_rate,
        requested_rate_before=before.guarantee.requested_rate,
        threshold_before=before.calibration.threshold,
        model_sha256=before.content_sha256,
        notes=tuple(notes),
        onlygood=__version__,
    )
    # Of the file as it was, so not in the record that the new one keeps.
    notes = [*notes, *([SIGNATURE_NOTE] if fingerprint_in(file.content) is not None else [])]
    described = described.replaced(
        settings={**before.settings, "false_alarm_rate": calibration.requested_rate},
        recalibrations=(*before.recalibrations, record),
    )
    # Scores of images that the file knows nothing of cannot be brought up to date, so there is no update after them.
    kept = file.kept if source == "calibration scores" else None
    return CalibratedModel(
        file=pack(model, described, kept=kept),
        guarantee=described.guarantee,
        calibration=calibration,
        notes=tuple(notes),
    )
