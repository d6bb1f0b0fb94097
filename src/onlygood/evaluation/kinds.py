"""Whether test images differ in kind from the good ones of a model, and whether that alone tells their labels."""

from __future__ import annotations

from collections.abc import Sequence

from onlygood.evaluation.figures import EvaluatedImage
from onlygood.kind_notes import difference_notes

# A difference that at least this share of the images of one label have, and at most the rest of the other's, tells them
# apart without any defect.
TELLING_SHARE = 0.8


def notes_on_kinds(judged: Sequence[EvaluatedImage]) -> list[str]:
    """In what images differ in kind from those that the model learned from, a sentence each.

    Args:
        judged: the test images.
    """
    differing = [(each.labelled.name, each.differences) for each in judged if each.differences]
    notes = difference_notes(differing, len(judged))
    good = [each for each in judged if not each.labelled.is_anomalous]
    anomalous = [each for each in judged if each.labelled.is_anomalous]
    if not good or not anomalous:
        return notes
    for aspect in dict.fromkeys(difference.aspect for _, found in differing for difference in found):
        of_good, of_anomalous = (
            sum(any(difference.aspect == aspect for difference in each.differences) for each in images)
            for images in (good, anomalous)
        )
        lower, higher = sorted((of_good / len(good), of_anomalous / len(anomalous)))
        if higher >= TELLING_SHARE and lower <= 1 - TELLING_SHARE:
            notes.append(
                f"The {aspect} alone tells most test images apart: {of_anomalous} of {len(anomalous)} anomalous and "
                f"{of_good} of {len(good)} good ones have one that no good image of the model had. What is measured "
                "may be that and no defect: test with images that were made in one way."
            )
    return notes
