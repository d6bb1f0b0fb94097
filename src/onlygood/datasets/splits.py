"""Which images a detector sees and which calibrate it, whole groups at a time."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood._union_find import find_root, unite
from onlygood.errors import FolderError, SettingError
from onlygood.rates import TOLERANCE

# What leave-one-out cannot learn again without each group, it learns so many times, each time without a part of them.
FOLDS = 10


def hold_out(groups: Sequence[Hashable], fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """True for the images held out of fitting: a share of the groups, drawn at random.

    The share is of groups, whatever their sizes: a number of calibration groups that depended on the sizes of those
    drawn would break the exchangeability that the exact guarantee rests on.

    Args:
        groups: n labels; equal labels stay on one side.
        fraction: of the groups, in (0, 1), rounded up; at least one group is left on each side.
        seed: of the draw.

    Returns:
        bool [n].

    Raises:
        SettingError: a fraction outside (0, 1).
        FolderError: fewer than two groups.
    """
    if not 0.0 < fraction < 1.0:
        raise SettingError(f"the fraction held out must be between 0 and 1, both excluded, got {fraction!r}")
    members: dict[Hashable, list[int]] = {}
    for position, label in enumerate(groups):
        members.setdefault(label, []).append(position)
    labels = list(members)
    if len(labels) < 2:
        raise FolderError(
            f"holding images out needs at least two groups, got {len(labels)} of {len(groups)} images: add "
            f"images of other parts or sessions"
        )
    # 0.07 * 100 is a little more than 7 in binary.
    count = min(math.ceil(fraction * len(labels) - TOLERANCE), len(labels) - 1)
    held = np.zeros(len(groups), dtype=bool)
    for number in np.random.default_rng(seed).permutation(len(labels))[:count]:
        held[members[labels[number]]] = True
    return held


def share_held_out(groups: int, false_alarm_rate: float, *, above: int, most: float) -> float:
    """The share of the groups that a rate needs for calibration.

    Args:
        groups: how many there are.
        false_alarm_rate: alpha, in (0, 1).
        above: how many of the groups held out are to be expected above the threshold.
        most: the largest share, rounded down to whole groups, but to one at least.
    """
    return min(above / (false_alarm_rate * groups), max(1, math.floor(most * groups + TOLERANCE)) / groups)


def folds_of_groups(groups: NDArray[np.int64], *, seed: int, folds: int = FOLDS) -> list[NDArray[np.int64]]:
    """The groups in parts of about as many groups each, drawn at random.

    Args:
        groups: int64 [n], labels of images.
        seed: of the draw.
        folds: the most parts; there are as many as groups where these are fewer.
    """
    labels = np.unique(groups)
    return np.array_split(np.random.default_rng(seed).permutation(labels), min(folds, len(labels)))


def merge_groups(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[int]:
    """Labels of the finest grouping in which images that share a label in either sequence are together.

    Args:
        first: n labels.
        second: n labels.

    Returns:
        n labels, numbered from 0 in order of first appearance.
    """
    parents = np.arange(len(first), dtype=np.int64)
    for labels in (first, second):
        leaders: dict[Hashable, int] = {}
        for position, label in enumerate(labels):
            unite(parents, leaders.setdefault(label, position), position)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(find_root(parents, position), len(numbers)) for position in range(len(first))]
