"""Evaluate: how good a model is on labelled images. Nothing of it reaches the model or its threshold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onlygood._extras import need_extra
from onlygood._plurals import pluralize
from onlygood._progress import waiting
from onlygood.datasets.labelled import find_labelled
from onlygood.datasets.labelled_set import LabelledImage, LabelledSet
from onlygood.datasets.masks import read_mask
from onlygood.errors import ImageError, LabelledSetError, SettingError
from onlygood.evaluation.costs import CostAdvice, check_costs, cost_advice
from onlygood.evaluation.figures import (
    EvaluatedImage,
    ImageFigures,
    PixelFigures,
    evaluation_table,
    figures_per_defect,
    figures_per_session,
    image_figures,
)
from onlygood.evaluation.kinds import notes_on_kinds
from onlygood.evaluation.rates import GuaranteeCheck, RateOutcome, check_guarantee, outcomes_at_rates
from onlygood.features.extraction import pixel_digest, set_digest
from onlygood.images.reading import ImageArray
from onlygood.inspector import Inspector, as_inspector, inspect_each
from onlygood.metadata import Metadata
from onlygood.metrics.pixel import PixelTally
from onlygood.model import ModelSource
from onlygood.rates import DECIMAL, Notation
from onlygood.results import Inspection

# A mask that marks more than this share of its image may be inverted.
MOST_OF_AN_IMAGE = 0.5


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `onlygood.evaluate` returns.

    Attributes:
        metadata: of the model.
        layout: how the images were labelled: "mvtec", "folders" or "csv".
        images: every image that could be measured.
        image: the figures over all of them.
        per_defect: figures of each type of defect against all good images (its false alarms are None: good images
            have no type).
        per_session: figures within each session; empty unless sessions are known.
        pixel: None without masks.
        guarantee: None without good images.
        advice: None unless costs were given and there are both good and anomalous images.
        at_rates: misses and false alarms at the model's own rate and at TABULATED_RATES, by rising rate; the model's
            own alone where its file holds no calibration scores.
        unreadable: names of images that could not be read or used, each with the reason.
        notes: sentences about what could not be measured, and why.

    Example:
        >>> import onlygood
        >>> evaluation = onlygood.evaluate("part.onnx", "test")
        >>> misses = evaluation.image.misses
        >>> f"{misses.events} of {misses.trials} missed"
        '0 of 1 missed'
        >>> [each.labelled.name for each in evaluation.images if each.is_anomaly]
        ['blot/3.jpg']
    """

    metadata: Metadata
    layout: str
    images: tuple[EvaluatedImage, ...]
    image: ImageFigures
    per_defect: dict[str, ImageFigures]
    per_session: dict[str, ImageFigures]
    pixel: PixelFigures | None
    guarantee: GuaranteeCheck | None
    advice: CostAdvice | None
    at_rates: tuple[RateOutcome, ...]
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        image = self.image
        said = [pluralize(len(self.images), "image")]
        if image.auroc is not None:
            said.append(f"AUROC {image.auroc.value:.3f}")
        if image.misses is not None:
            said.append(f"missed {image.misses.events} of {image.misses.trials} anomalous")
        if image.false_alarms is not None:
            said.append(f"false alarms {image.false_alarms.events} of {image.false_alarms.trials} good")
        if self.unreadable:
            said.append(f"{len(self.unreadable)} not readable")
        return f"<Evaluation: {'; '.join(said)}>"

    def _repr_html_(self) -> str:
        """The figures, as notebooks show them."""
        return evaluation_table(
            self.image, self.per_defect, None if self.guarantee is None else self.guarantee.sentence
        )

    @property
    def miss_sentence(self) -> str | None:
        """How many anomalous images are missed, and how many would be at higher rates; None where none would be fewer.

        None without images of both kinds, too.
        """
        return self.miss_sentence_in(DECIMAL)

    def miss_sentence_in(self, notation: Notation) -> str | None:
        """The same with its rates written in this way."""
        own = next(outcome for outcome in self.at_rates if outcome.is_own)
        if own.misses is None or own.false_alarms is None:
            return None
        parts: list[str] = []
        fewest, is_guaranteed = own.misses.events, False
        for outcome in self.at_rates:
            misses, alarms = outcome.misses, outcome.false_alarms
            assert misses is not None and alarms is not None  # there are images of both kinds
            if outcome.requested_rate <= own.requested_rate or misses.events >= fewest:
                continue
            # Where one rate is guaranteed, all higher ones are.
            said = notation.share(outcome.requested_rate, 6)
            said += "" if is_guaranteed else f" ({self._guarantee(outcome, notation)})"
            if parts:
                parts.append(f"at {said} it would be {misses.events}, with {alarms.events}")
            else:
                parts.append(
                    f"At a rate of {said} {misses.events} of {misses.trials} would be missed instead of "
                    f"{own.misses.events}, with {alarms.events} of {alarms.trials} good images called anomalous"
                )
            fewest, is_guaranteed = misses.events, outcome.is_guaranteed
        if not parts:
            return None
        return (
            f"At the model's threshold {own.misses.events} of {own.misses.trials} anomalous images are missed. "
            f"{'; '.join(parts)}."
        )

    def _guarantee(self, outcome: RateOutcome, notation: Notation) -> str:
        """What the calibration scores guarantee at a rate, in words."""
        if outcome.guaranteed_rate is None:
            return "estimated from these calibration scores"
        kind = "guaranteed" if self.metadata.guarantee.is_exact else "guaranteed approximately"
        if outcome.is_guaranteed:
            return f"{kind} from these calibration scores"
        return f"{notation.at_most(outcome.guaranteed_rate)} is {kind} from these calibration scores"

    @property
    def latency_ms(self) -> tuple[float, float]:
        """Median and 95th percentile of the graph's run on one image and one thread, of the images measured."""
        latencies = [image.latency_ms for image in self.images]
        return float(np.median(latencies)), float(np.percentile(latencies, 95))

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        median, high = self.latency_ms
        return {
            "layout": self.layout,
            "image": self.image.to_dict(),
            "per_defect": {name: figures.to_dict() for name, figures in self.per_defect.items()},
            "per_session": {name: figures.to_dict() for name, figures in self.per_session.items()},
            "pixel": None if self.pixel is None else self.pixel.to_dict(),
            "guarantee": None if self.guarantee is None else self.guarantee.to_dict(),
            "advice": None if self.advice is None else self.advice.to_dict(),
            "at_rates": [outcome.to_dict() for outcome in self.at_rates],
            "miss_sentence": self.miss_sentence,
            "latency_ms": {"median": round(median, 3), "p95": round(high, 3)},
            "unreadable": [{"name": name, "error": reason} for name, reason in self.unreadable],
            "notes": list(self.notes),
            "images": [image.to_dict() for image in self.images],
        }


def evaluate(
    model: ModelSource,
    images: str | os.PathLike[str] | LabelledSet,
    *,
    group_by: str | None = None,
    cost_false_alarm: float | None = None,
    cost_miss: float | None = None,
    anomaly_share: float | None = None,
    threads: int = 0,
    progress: bool = False,
) -> Evaluation:
    """How good a model is on labelled images; the model stays as it is.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector of either
            (for another false-alarm rate, other hardware or limits; with maps, or there are no pixel metrics).
        images: a folder in MVTec layout, a folder with `good` and other sub-folders, a CSV file of
            path,label[,mask][,defect][,session], or what `find_labelled` returned.
        group_by: what says which session an image is of: "folder" or a regular expression, as in `FitSettings`.
        cost_false_alarm: of one good part refused, in any unit; with cost_miss, asks for advice on the threshold.
        cost_miss: of one anomalous part let through, in the same unit.
        anomaly_share: share of anomalous parts among all, for that advice; as among the test images unless given.
        threads: images worked on at once; 0 for one a core.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        LabelledSetError: labels or masks that cannot be understood, or no image that can be read.
        SettingError: costs or a share that cannot be used.
        MissingExtraError: scikit-learn is not installed.
        ModelFileError, FolderError: as `Inspector` and `find_labelled`.

    Example:
        >>> import onlygood
        >>> evaluation = onlygood.evaluate("part.onnx", "test")
        >>> evaluation.image.good, evaluation.image.anomalous, evaluation.image.auroc.value
        (3, 1, 1.0)
    """
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="evaluate")
    costs = check_costs(cost_false_alarm, cost_miss, anomaly_share)
    inspector = as_inspector(model)
    if not isinstance(images, LabelledSet):
        images = find_labelled(images, group_by=group_by, limits=inspector.limits)
    elif group_by is not None:
        raise SettingError("group_by goes with a folder or a CSV file, got images that are labelled already")
    with PixelTally() as tally:
        judge = _Judge(inspector, images, tally)
        results = inspect_each(
            inspector,
            images.images,
            image=lambda each: each.file.named(inspector.limits),
            then=judge,
            threads=threads,
            total=len(images.images),
            description="evaluating",
            progress=progress,
        )
        judged, unreadable, unmasked = _sort_out(images.images, results)
        notes = [
            *images.notes,
            *judge.notes_on_learned(),
            *notes_on_kinds(judged),
            *_notes_on_missing(judged, unmasked, judge.mostly_marked),
        ]
        masks = sum(image.labelled.mask is not None for image in judged) - len(unmasked)
        pixel = None
        if masks:
            measured = [each for each in judged if each.labelled.mask is not None or not each.labelled.is_anomalous]
            try:
                with waiting("measuring maps", show=progress):
                    metrics = tally.result()
                pixel = PixelFigures(metrics=metrics, images=len(measured) - len(unmasked), masks=masks)
            except ValueError as error:  # the masks mark every pixel that there is
                notes.append(f"There are no pixel metrics: {error}.")
    image = image_figures(judged)
    return Evaluation(
        metadata=inspector.metadata,
        layout=images.layout,
        images=tuple(judged),
        image=image,
        per_defect=figures_per_defect(judged),
        per_session=figures_per_session(judged),
        pixel=pixel,
        guarantee=None if image.false_alarms is None else check_guarantee(inspector.metadata, image.false_alarms),
        advice=None if costs is None or image.auroc is None else cost_advice(judged, image, *costs),
        at_rates=outcomes_at_rates(judged, inspector.metadata, inspector.calibration_scores),
        unreadable=tuple(unreadable),
        notes=tuple(notes),
    )


class _Judge:
    """The work on one image, called on several threads: verdict, and its pixels into the tally."""

    def __init__(self, inspector: Inspector, labelled: LabelledSet, tally: PixelTally) -> None:
        self.inspector = inspector
        self.has_masks = labelled.has_masks
        self.tally = tally
        self.mostly_marked: dict[str, float] = {}
        # Only as many good images as were learned from can be these; then the digests of their pixels say so.
        good = sum(not image.is_anomalous for image in labelled.images)
        self._good_digests: list[str] | None = [] if good == inspector.metadata.good_images.count else None

    def notes_on_learned(self) -> list[str]:
        """What to say where the good images are those that the model was learned from."""
        if not self._good_digests or set_digest(self._good_digests) != self.inspector.metadata.good_images.sha256:
            return []
        return [
            "The good images are the very ones that the model was learned from: on others it will give more false "
            "alarms than are measured here, so evaluate with good images that it has not seen."
        ]

    def __call__(
        self, labelled: LabelledImage, inspection: Inspection, pixels: ImageArray
    ) -> tuple[EvaluatedImage, str | None]:
        """The verdict, and why the image's mask cannot be used, if so; one that marks most of its image is noted."""
        judged = EvaluatedImage(
            labelled=labelled,
            score=inspection.score,
            p_value=inspection.p_value,
            is_anomaly=inspection.is_anomaly,
            latency_ms=inspection.latency_ms,
            differences=inspection.differences,
        )
        if self._good_digests is not None and not labelled.is_anomalous:
            self._good_digests.append(pixel_digest(pixels))
        anomaly_map = inspection.anomaly_map
        if not self.has_masks or anomaly_map is None or (labelled.is_anomalous and labelled.mask is None):
            return judged, None
        mask = None
        if labelled.mask is not None:
            height, width, _ = pixels.shape
            try:
                mask = read_mask(labelled, height=height, width=width, limits=self.inspector.limits)
            except LabelledSetError as error:
                return judged, str(error)
        if mask is not None and mask.mean() > MOST_OF_AN_IMAGE:
            self.mostly_marked[labelled.name] = float(mask.mean())
        self.tally.add(anomaly_map, mask)
        return judged, None


def _sort_out(
    images: Sequence[LabelledImage], results: Iterable[tuple[EvaluatedImage, str | None] | ImageError]
) -> tuple[list[EvaluatedImage], list[tuple[str, str]], list[str]]:
    """Images judged, images that could not be (name and reason), and the reasons of masks that could not be used.

    Raises:
        LabelledSetError: no image could be judged.
    """
    judged: list[EvaluatedImage] = []
    unreadable: list[tuple[str, str]] = []
    unmasked: list[str] = []
    for image, result in zip(images, results, strict=True):
        if isinstance(result, ImageError):
            unreadable.append((image.name, str(result)))
            continue
        judged.append(result[0])
        if result[1] is not None:
            unmasked.append(result[1])
    if not judged:
        raise LabelledSetError(
            f"evaluate needs at least one image that this model can inspect, and none of {len(images)} is; the "
            f"first: {unreadable[0][1]}"
        )
    return judged, unreadable, unmasked


def _notes_on_missing(
    judged: Sequence[EvaluatedImage], unmasked: Sequence[str], mostly_marked: Mapping[str, float]
) -> list[str]:
    """What these images do not allow to be measured, or to be measured rightly."""
    notes = []
    kinds = {image.labelled.is_anomalous for image in judged}
    if kinds == {False}:
        notes.append("There are no anomalous images: only false alarms can be measured, not what is missed, nor AUROC.")
    if kinds == {True}:
        notes.append("There are no good images: only misses can be measured, not false alarms, nor AUROC.")
    if unmasked:
        masks = (
            "1 mask cannot be used; its image is"
            if len(unmasked) == 1
            else f"{len(unmasked)} masks cannot be used; their images are"
        )
        notes.append(f"{masks} left out of the pixel metrics; the first: {unmasked[0]}")
    if mostly_marked:
        first = next(image.labelled for image in judged if image.labelled.name in mostly_marked)
        assert first.mask is not None  # it was read
        mark = "marks" if len(mostly_marked) == 1 else "mark"
        notes.append(
            f"{pluralize(len(mostly_marked), 'mask')} {mark} most of the image, the first: {first.mask.name} of "
            f"{first.name} ({mostly_marked[first.name]:.0%}). If black and white are exchanged, pixel metrics mean "
            "nothing: what is marked must be the defect."
        )
    return notes
