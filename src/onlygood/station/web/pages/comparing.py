"""Two versions of a model on images that were inspected: what would change if the one took the other's place."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from onlygood.errors import BusyError, NotFoundError, SettingError
from onlygood.inspector import Inspector
from onlygood.model_diff.diff import diff
from onlygood.model_diff.diff_result import Diff, DiffedImage
from onlygood.station.schemas import InspectionRecord, ModelVersion

if TYPE_CHECKING:
    from onlygood.station.station import Station

# The newest images that are kept, of at most so many, and those that a page shows.
MOST_IMAGES = 100
MOST_SHOWN = 24


@dataclass(frozen=True)
class Flip:
    """An image on which two versions differ.

    Attributes:
        record: of its inspection.
        image: what both say.
    """

    record: InspectionRecord
    image: DiffedImage


@dataclass(frozen=True)
class Comparison:
    """Two versions of a model on the same images.

    Attributes:
        old: the one version.
        new: the other.
        diff: what `onlygood.diff` says.
        flips: images whose verdict changes, those that change most first.
        more: how many more there are than are shown.
    """

    old: ModelVersion
    new: ModelVersion
    diff: Diff
    flips: tuple[Flip, ...]
    more: int


class Comparing:
    """Compares versions, one pair at a time, and remembers the last answer."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._lock = Lock()
        self._last: tuple[tuple[str, str, int], Comparison] | None = None

    def compare(self, model: str, old: int, new: int) -> Comparison:
        """What two versions say of the newest images of this model that are kept.

        Raises:
            NotFoundError: there is no such version.
            SettingError: one version twice, or no image is kept.
            BusyError: another comparison is being made.
        """
        by_number = {each.number: each for each in self._station.store.models.versions(model)}
        for number in (old, new):
            if number not in by_number:
                raise NotFoundError(f"model {model} has no version {number}: choose one of its list")
        if old == new:
            raise SettingError(f"a comparison needs two versions, got {old} twice: choose another one")
        if not self._lock.acquire(blocking=False):
            raise BusyError("another comparison is being made: ask again when it is done", retry_after_s=10.0)
        try:
            return self._compared(model, by_number[old], by_number[new])
        finally:
            self._lock.release()

    def _compared(self, model: str, old: ModelVersion, new: ModelVersion) -> Comparison:
        records = self._kept(model)
        if not records:
            raise SettingError(
                f"a comparison needs images that were inspected with {model} and are kept, got none: inspect some first"
            )
        key = (old.sha256, new.sha256, records[0].id)
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        with tempfile.TemporaryDirectory(prefix="onlygood-compare-") as folder:
            by_name: dict[str, InspectionRecord] = {}
            for record in records:
                found = self._station.store.inspections.image(record.id)
                if found is not None:  # it may have been let go meanwhile
                    content, suffix = found
                    name = f"{record.id}{suffix}"
                    (Path(folder) / name).write_bytes(content)
                    by_name[name] = record
            found_diff = diff(self._opened(old), self._opened(new), folder, threads=1)
        flips = sorted(found_diff.flips, key=lambda each: -abs(each.change or 0.0))
        comparison = Comparison(
            old=old,
            new=new,
            diff=found_diff,
            flips=tuple(Flip(by_name[each.name], each) for each in flips[:MOST_SHOWN]),
            more=max(0, len(flips) - MOST_SHOWN),
        )
        self._last = (key, comparison)
        return comparison

    def _kept(self, model: str) -> list[InspectionRecord]:
        """The newest inspections of a model whose images are kept."""
        kept: list[InspectionRecord] = []
        before = None
        while len(kept) < MOST_IMAGES:
            page = self._station.store.inspections.page(before=before, limit=MOST_IMAGES, model=model)
            kept += [record for record in page.inspections if record.has_image]
            before = page.next_before
            if before is None:
                break
        return kept[:MOST_IMAGES]

    def _opened(self, version: ModelVersion) -> Inspector:
        limits = self._station.settings.limits
        return Inspector(
            self._station.store.models.path(version.sha256),
            threads=1,
            with_map=False,
            max_pixels=limits.max_pixels,
            max_bytes=limits.max_image_bytes,
        )
