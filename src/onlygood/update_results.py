"""What an update says of itself: threshold, guarantee, and the description in the new file."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration.threshold import Calibration, calibrate, resolve_rule, threshold_of
from onlygood.detectors.base import Learned, Split
from onlygood.errors import FolderError
from onlygood.features.extraction import set_digest
from onlygood.features.independence import LEAST_GROUPS
from onlygood.features.known_images import KnownImages
from onlygood.guarantee import Guarantee
from onlygood.kind_notes import kinds_facts
from onlygood.metadata import GoodImagesFacts, MapLevels, Metadata, Update
from onlygood.model import GoodImage
from onlygood.rates import Rule
from onlygood.settings import FitSettings
from onlygood.threshold_notes import deciding_sentence


@dataclass(frozen=True)
class UpdateResults:
    """What follows from the scores of all images of an updated model.

    Attributes:
        before: the description of the model before.
        settings: of the update.
        known: of all images.
        split: of all images.
        learned: from them.

    Raises:
        FolderError: too few images that can be scored again are left.
    """

    before: Metadata
    settings: FitSettings
    known: KnownImages
    split: Split
    learned: Learned

    @property
    def is_split(self) -> bool:
        """Whether the images that calibrate are held out."""
        return self.settings.calibration == "split"

    @cached_property
    def calibrating(self) -> NDArray[np.int64]:
        """Positions of the images that calibrate: those of which enough is known to score them."""
        positions = self.split.calibrating(len(self.known))
        positions = positions[np.isfinite(self.learned.scores.raw[positions])]
        count = len(set(self._labels(positions)))
        least = 1 if self.is_split else LEAST_GROUPS
        if count < least:
            raise FolderError(
                f"an update must leave images of at least {least} independent things that can be scored again, got "
                f"{count}: take fewer out, or add others"
            )
        return positions

    @cached_property
    def calibration(self) -> Calibration:
        """The threshold, by the rule and the rate of the model before."""
        labels = self._labels(self.calibrating)
        scores = self.learned.scores.raw[self.calibrating]
        return calibrate(scores, labels, self.settings.false_alarm_rate, rule=self._rule(labels))

    @cached_property
    def good_images(self) -> list[GoodImage]:
        """What is found of each image that has a score."""
        calibration, raw = self.calibration, self.learned.scores.raw
        calibrating = set(self.calibrating.tolist())
        least_odd = calibration.scores[-calibration.odd] if calibration.odd else np.float32(np.inf)
        return [
            GoodImage(
                name=self.known.names[each],
                score=float(raw[each]) - calibration.threshold,
                group=self.split.groups[each],
                calibrates=each in calibrating,
                is_odd=bool(each in calibrating and raw[each] >= least_odd),
            )
            for each in np.flatnonzero(np.isfinite(raw)).tolist()
        ]

    @property
    def guarantee(self) -> Guarantee:
        """What can be said of the threshold: it is exact no more where scores come from parts of images."""
        calibration, rescored = self.calibration, self.learned.rescored
        return self.before.guarantee.replaced(
            requested_rate=calibration.requested_rate,
            stated_rate=calibration.stated_rate,
            is_exact=self.is_split and not rescored,
            is_split=self.is_split and rescored > 0,
            calibration_images=len(calibration.scores),
            groups=calibration.groups,
            fitted_images=len(self.split.fitted),
            rule=calibration.rule,
            interval=calibration.interval,
            odd=0 if calibration.is_guaranteed else calibration.odd,
            folds=self.learned.folds,
            rescored=rescored,
        )

    def described(self, record: Update, *, notes: Sequence[str], unreadable: int) -> Metadata:
        """The description of the new file.

        Args:
            record: of this update.
            notes: about the good images.
            unreadable: how many further images were left out.
        """
        calibration, images = self.calibration, self.good_images
        deciding = deciding_sentence(calibration, images, rule=self.settings.threshold_rule, is_exact=self.is_split)
        return self.before.replaced(
            description=self.learned.description,
            detector=self.learned.facts,
            good_images=self._facts(unreadable),
            calibration=self.before.calibration.replaced(
                threshold=calibration.threshold,
                rule=calibration.rule,
                odd=tuple(each.name for each in images if each.is_odd),
                decided_by=deciding,
            ),
            guarantee=self.guarantee,
            map_levels=self.map_levels,
            notes=tuple(notes),
            updates=(*self.before.updates, record),
        )

    @property
    def map_levels(self) -> MapLevels:
        """The levels of the map."""
        scores, positions = self.learned.scores, self.calibrating
        mapped = positions[np.isfinite(scores.highest[positions])]
        if not len(mapped):
            return self.before.map_levels
        labels = self._labels(mapped)
        high = threshold_of(scores.highest[mapped], labels, self.settings.false_alarm_rate, rule=self._rule(labels))
        return MapLevels(typical=float(np.median(scores.typical[mapped])), high=high)

    def _facts(self, unreadable: int) -> GoodImagesFacts:
        heights, widths = ([getattr(kind, side) for kind in self.known.kinds] for side in ("height", "width"))
        before = self.before.good_images
        return before.replaced(
            count=len(self.known),
            unreadable=before.unreadable + unreadable,
            heights=(min(heights), max(heights)),
            widths=(min(widths), max(widths)),
            sha256=set_digest(self.known.digests),
            kinds=kinds_facts(self.known.kinds),
        )

    def _labels(self, positions: NDArray[np.int64]) -> list[Hashable]:
        return [self.split.groups[each] for each in positions.tolist()]

    def _rule(self, labels: Sequence[Hashable]) -> Rule:
        rate = self.settings.false_alarm_rate
        return resolve_rule(self.settings.threshold_rule, len(set(labels)), rate, is_exact=self.is_split)
