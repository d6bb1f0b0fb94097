"""What a person should know of a threshold: what decides it, what another rate changes, which images stand apart."""

from __future__ import annotations

from collections.abc import Sequence

from onlygood._plurals import name_some
from onlygood.calibration.threshold import Calibration, resolve_rule, threshold_weighted
from onlygood.model import GoodImage
from onlygood.rates import DECIMAL, Notation, ThresholdRule

# Rates that are compared with the one asked for.
OTHER_RATES = (0.01, 0.05, 0.1)
# Images that stand apart and are named, the highest first.
NAMED = 10


def deciding_sentence(
    calibration: Calibration,
    images: Sequence[GoodImage],
    *,
    rule: ThresholdRule,
    is_exact: bool,
    notation: Notation = DECIMAL,
) -> str:
    """What decides the threshold, and how far from it another rate's would be.

    Args:
        calibration: of the fit.
        images: all good ones, with their scores relative to the threshold.
        rule: what was asked for, "auto" included, and so what decides at other rates.
        is_exact: whether the images that calibrate were held out.
        notation: of the rates.
    """
    calibrating = [each for each in images if each.calibrates]
    if calibration.is_guaranteed:
        above = sum(each.score > 0 for each in calibrating)
        nearest = min(calibrating, key=lambda each: abs(each.score))
        said = (
            f"The threshold is the score of {nearest.name}: {above or 'none'} of {len(calibrating)} good images "
            f"{'is' if above == 1 else 'are'} above it"
        )
    else:
        said = f"The threshold follows from the tail of {len(calibrating) - calibration.odd} scores, not from one image"
    changes = []
    for rate in OTHER_RATES:
        if rate == calibration.requested_rate:
            continue
        other = threshold_weighted(
            calibration.scores,
            calibration.weights,
            calibration.groups,
            rate,
            rule=resolve_rule(rule, calibration.groups, rate, is_exact=is_exact),
        )
        step = other - calibration.threshold
        if step:
            changes.append(
                f"{abs(step):.3g} {'higher' if step > 0 else 'lower'} at a rate of {notation.share(rate, 6)}"
            )
    return f"{said}; it would be {' and '.join(changes)}." if changes else f"{said}."


def odd_note(calibration: Calibration, images: Sequence[GoodImage]) -> str | None:
    """Which good images stand apart from the others, and what that does to the threshold; None where none does.

    Args:
        calibration: of the fit.
        images: all good ones; those that stand apart are marked.
    """
    odd = sorted((each for each in images if each.is_odd), key=lambda each: (-each.score, each.name))
    if not odd:
        return None
    one = len(odd) == 1
    names = name_some([f"{each.name} (score {each.score:+.3g})" for each in odd], NAMED)
    ordinary = len(calibration.scores) - len(odd)
    if calibration.is_guaranteed:
        left = max(
            1, calibration.groups - round(float(calibration.weights[ordinary:].sum()) * (calibration.groups + 1))
        )
        without = threshold_weighted(
            calibration.scores[:ordinary],
            calibration.weights[:ordinary] * (calibration.groups + 1) / (left + 1),
            left,
            calibration.requested_rate,
        )
        lower = calibration.threshold - without
        effect = f"without {'it' if one else 'them'} the threshold would be {lower:.3g} lower"
    else:
        effect = f"the threshold is estimated without {'it' if one else 'them'}"
    return (
        f"{len(odd)} of {len(calibration.scores)} good images {'stands' if one else 'stand'} apart from the others: "
        f"{names}. Look at {'it' if one else 'them'}: {effect}; leave out what is not good with --exclude."
    )
