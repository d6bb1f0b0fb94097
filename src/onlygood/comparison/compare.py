"""Compare: several methods fitted and measured on the same images of a person's own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onlygood._extras import need_extra
from onlygood._files import make_folder
from onlygood._plurals import pluralize, shorten
from onlygood._spacing import evenly_spaced
from onlygood.comparison.methods import Entry, entries
from onlygood.comparison.recommendation import Outcome, Recommendation, recommend
from onlygood.comparison.split import DataSplit, split_data
from onlygood.datasets.labelled_set import LabelledSet
from onlygood.datasets.sources import reading_limits
from onlygood.detectors.registry import MethodName
from onlygood.errors import ImageError, OnlygoodError, SettingError, WriteError
from onlygood.evaluation.evaluate import Evaluation, evaluate
from onlygood.fitting import fit
from onlygood.guarantee import Guarantee
from onlygood.inspector import Inspector
from onlygood.settings import FitSettings, MethodSettings

DEFAULT_METHODS: tuple[MethodName, ...] = ("patch", "knn", "lof", "mahalanobis")
# Images on which all methods are timed, in turn, when all of them are fitted.
TIMED_IMAGES = 9


@dataclass(frozen=True, kw_only=True)
class MeasuredMethod:
    """A method that was fitted and measured.

    Attributes:
        label: its name, and the settings that are not the default's: `knn@num_neighbors=3`.
        method: its settings.
        evaluation: of the tested images.
        fit_seconds: that the fit took, reading its images included.
        latency_ms: of the graph's run on one image and one thread, the median of a few tested images; methods take
            turns, so that they are timed under the same load.
        megabytes: of the model file, in 10^6 bytes.
        file: the model file, if a folder for them was given.
        notes: sentences about this method's fit and evaluation that do not hold of all methods.
    """

    label: str
    method: MethodSettings
    evaluation: Evaluation
    fit_seconds: float
    latency_ms: float
    megabytes: float
    file: Path | None
    notes: tuple[str, ...]

    @property
    def guarantee(self) -> Guarantee:
        """What the model guarantees or estimates of its false alarms."""
        return self.evaluation.metadata.guarantee

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "method": self.label,
            "settings": self.method.to_dict(),
            "stated": self.guarantee.to_dict(),
            "fit_seconds": round(self.fit_seconds, 3),
            "latency_ms": round(self.latency_ms, 3),
            "megabytes": round(self.megabytes, 3),
            "file": None if self.file is None else str(self.file),
            "notes": list(self.notes),
            "evaluation": self.evaluation.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class FailedMethod:
    """A method that could not be fitted or measured.

    Attributes:
        label: as of a measured one.
        reason: why, as a sentence.
    """

    label: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `onlygood.compare` returns.

    Attributes:
        layout: "train and test" where folders say which image is for what, "held out" where some of the good images
            were drawn to be tested with the anomalous ones, "good images alone" where there are no anomalous ones.
        split: the same in words, with numbers of images.
        false_alarm_rate: that every method was asked for.
        learned_images: how many good images every method learned from.
        tested: the images that every method was measured on.
        measured: the methods that were fitted and measured, in the order in which they were given.
        failed: those that could not be.
        recommendation: which method, and why.
        timed_images: on how many images `latency_ms` rests.
        notes: sentences about the images that hold of all methods.

    Example:
        >>> import onlygood
        >>> comparison = onlygood.compare("parts", ["knn", "mahalanobis"])
        >>> len(comparison.measured), comparison.failed
        (2, ())
    """

    layout: str
    split: str
    false_alarm_rate: float
    learned_images: int
    tested: LabelledSet
    measured: tuple[MeasuredMethod, ...]
    failed: tuple[FailedMethod, ...]
    recommendation: Recommendation
    timed_images: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        methods = pluralize(len(self.measured), "method")
        failed = f", {len(self.failed)} failed" if self.failed else ""
        best = shorten(self.recommendation.method or "none", 60)
        return f"<Comparison: {methods}{failed}, {pluralize(len(self.tested.images), 'image')}, recommended {best}>"

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Names of tested images that could not be read or used, each with the reason."""
        return tuple({each: None for method in self.measured for each in method.evaluation.unreadable})

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        anomalous = sum(image.is_anomalous for image in self.tested.images)
        return {
            "layout": self.layout,
            "split": self.split,
            "false_alarm_rate": self.false_alarm_rate,
            "images": {
                "learned": self.learned_images,
                "tested_good": len(self.tested.images) - anomalous,
                "tested_anomalous": anomalous,
                "timed": self.timed_images,
            },
            "recommendation": self.recommendation.to_dict(),
            "methods": [method.to_dict() for method in self.measured],
            "failed": [{"method": method.label, "reason": method.reason} for method in self.failed],
            "notes": list(self.notes),
        }


def compare(
    data: str | os.PathLike[str],
    methods: Sequence[MethodName | MethodSettings] = DEFAULT_METHODS,
    *,
    false_alarm_rate: float = 0.05,
    group_by: str | None = None,
    threads: int = 0,
    seed: int = 0,
    max_pixels: int = 100_000_000,
    max_bytes: int = 500_000_000,
    models: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Comparison:
    """Several methods fitted and measured on the same images, and which of them is recommended.

    Args:
        data: a folder with `train/good` and `test` (and masks in `ground_truth`), as they are; a folder with `good` and
            a folder for each type of defect, or a CSV file as `evaluate` takes it: a third of the good images is held
            out and tested with the defects; or good images alone, of which a third is held out, so that false alarms
            are measured and misses are not.
        methods: names, for their defaults, or settings: `["patch", onlygood.Knn(num_neighbors=3)]`.
        false_alarm_rate: alpha, in (0, 1), asked of every method.
        group_by: what keeps good images of one session or part on one side of every split: "folder" or a regular
            expression, as of `fit`. Near-duplicates are always kept together.
        threads: images worked on at once; 0 for one a core.
        seed: of the draw of the images held out, and of every fit.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        models: a folder in which the model files are kept.
        progress: draw progress bars if stderr is a terminal.

    Raises:
        SettingError: a method that does not exist, one that is given twice, or a value that cannot be used.
        LabelledSetError: it is not certain which images are good.
        FolderError: good images that are missing or too few.
        MissingExtraError: scikit-learn or SciPy is not installed.
        WriteError: the model files cannot be written. What goes wrong with one method alone is in `failed`.

    Example:
        >>> import onlygood
        >>> comparison = onlygood.compare("parts", ["patch", "knn", onlygood.Lof(num_neighbors=2)])
        >>> len(comparison.measured)
        3
    """
    for library, module in (("scikit-learn", "sklearn"), ("SciPy", "scipy")):
        need_extra(library, module=module, extra="report", purpose="compare")
    rows = entries(methods)
    settings = FitSettings(
        false_alarm_rate=false_alarm_rate,
        group_by=group_by,
        threads=threads,
        seed=seed,
        max_pixels=max_pixels,
        max_bytes=max_bytes,
        skip_unreadable=True,
    )
    folder = None if models is None else make_folder(models)
    split = split_data(data, settings, show_progress=progress)
    return _Work(split, settings, folder, progress).run(rows)


@dataclass(frozen=True)
class _Fitted:
    """A method after its fit and evaluation, before all are timed."""

    entry: Entry
    inspector: Inspector
    evaluation: Evaluation
    fit_seconds: float
    megabytes: float
    file: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """One comparison: its inputs, and the steps in the order in which they are taken."""

    split: DataSplit
    settings: FitSettings
    folder: Path | None
    show_progress: bool

    def run(self, rows: Sequence[Entry]) -> Comparison:
        fitted: list[_Fitted] = []
        failed: list[FailedMethod] = []
        for row in rows:
            try:
                fitted.append(self.fit(row))
            except WriteError:  # where the files are to go is nothing of this method
                raise
            except OnlygoodError as error:
                failed.append(FailedMethod(label=row.label, reason=str(error)))
        latencies, timed = self.latencies([each.inspector for each in fitted])
        common = self.common_notes(fitted)
        measured = tuple(
            MeasuredMethod(
                label=each.entry.label,
                method=_settings_of(each.entry),
                evaluation=each.evaluation,
                fit_seconds=each.fit_seconds,
                latency_ms=latency_ms,
                megabytes=each.megabytes,
                file=each.file,
                notes=tuple(note for note in each.notes if note not in common),
            )
            for each, latency_ms in zip(fitted, latencies, strict=True)
        )
        return Comparison(
            layout=self.split.layout,
            split=self.split.sentence,
            false_alarm_rate=self.settings.false_alarm_rate,
            learned_images=len(self.split.learned),
            tested=self.split.tested,
            measured=measured,
            failed=tuple(failed),
            recommendation=recommend([outcome_of(each) for each in measured]),
            timed_images=timed,
            notes=(*self.split.notes, *common),
        )

    def fit(self, row: Entry) -> _Fitted:
        """The model of one method, measured.

        Raises:
            OnlygoodError: whatever keeps this method from being fitted or measured.
        """
        settings = self.settings
        method = _settings_of(row)
        started = time.perf_counter()
        model = fit(
            self.split.learned,
            method=method,
            false_alarm_rate=settings.false_alarm_rate,
            groups=self.split.groups,
            skip_unreadable=True,
            max_pixels=settings.max_pixels,
            max_bytes=settings.max_bytes,
            threads=settings.threads,
            seed=settings.seed,
            progress=self.show_progress,
        )
        fit_seconds = time.perf_counter() - started
        # Several images at once, each on one thread, are faster than one image on all threads.
        inspector = Inspector(model, threads=1, max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
        evaluation = evaluate(inspector, self.split.tested, threads=settings.threads, progress=self.show_progress)
        file = None
        if self.folder is not None:
            file = self.folder / f"{re.sub(r'[^A-Za-z0-9_@=+.,-]', '_', row.label)}.onnx"
            model.save(file)
        return _Fitted(
            entry=row,
            inspector=inspector,
            evaluation=evaluation,
            fit_seconds=fit_seconds,
            megabytes=len(model.file.content) / 1e6,
            file=file,
            notes=(*model.notes, *evaluation.notes),
        )

    def latencies(self, inspectors: Sequence[Inspector]) -> tuple[list[float], int]:
        """The median latency of each, in ms, and on how many images."""
        if not inspectors:
            return [], 0
        images = self.split.tested.images
        limits = reading_limits(self.settings)
        times: list[list[float]] = [[] for _ in inspectors]
        # The first image warms up, and counts where no other one can be read.
        for position in evenly_spaced(len(images), TIMED_IMAGES + 1):
            file = images[position].file
            try:
                image = file.read(limits)
                taken = [inspector(image, name=file.name).latency_ms for inspector in inspectors]
            except ImageError:  # the evaluation has said so
                continue
            for found, latency_ms in zip(times, taken, strict=True):
                found.append(latency_ms)
        timed = [found[1:] or found for found in times]
        return [float(np.median(found)) for found in timed], len(timed[0])

    def common_notes(self, fitted: Sequence[_Fitted]) -> list[str]:
        """Those that every method gives, or that are about the tested images."""
        if not fitted:
            return list(self.split.tested.notes)
        shared = [note for note in fitted[0].notes if all(note in each.notes for each in fitted)]
        return [note for note in dict.fromkeys(shared) if len(fitted) > 1 or note in self.split.tested.notes]


def outcome_of(measured: MeasuredMethod) -> Outcome:
    """What a recommendation looks at."""
    evaluation = measured.evaluation
    return Outcome(
        label=measured.label,
        missed={each.labelled.name: not each.is_anomaly for each in evaluation.images if each.labelled.is_anomalous},
        false_alarms=evaluation.image.false_alarms,
        is_contradicted=evaluation.guarantee is not None and evaluation.guarantee.verdict == "contradicted",
        latency_ms=measured.latency_ms,
    )


def _settings_of(row: Entry) -> MethodSettings:
    """The settings of a row.

    Raises:
        SettingError: they could not be made.
    """
    if row.method is None:
        raise SettingError(row.reason)
    return row.method
