"""What fits and updates begin with, out of the station's memory, and what becomes of the models that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from onlygood._plurals import name_some, pluralize
from onlygood.errors import SettingError
from onlygood.station.jobs.request import FitWork, UpdateWork, WorkImage
from onlygood.station.jobs.work import refuse_settings
from onlygood.station.schemas import FitRequest, InspectionRecord, Label, ModelVersion
from onlygood.station.serving.models import ServedModels, check_name
from onlygood.station.station_settings import Limits
from onlygood.station.store.store import Store

# Of the file names in a job's folder: names of images are data, and name no files.
_SUFFIX_LETTERS = 8
# Of images that are left out, in a note.
MOST_NAMES = 3


@dataclass(frozen=True)
class FitTask:
    """A fit to the images that a model is taught with.

    Attributes:
        asked: what was asked for.
        store: with the images.
        models: that serve what is made.
        limits: on images.
        notes: on what is learned from, once the fit has begun.
    """

    asked: FitRequest
    store: Store
    models: ServedModels
    limits: Callable[[], Limits]
    kind: Literal["fit"] = "fit"
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse at once what can never be done.

        Raises:
            SettingError: a name, method or setting that cannot be used, or no images.
        """
        check_name(self.asked.model)
        refuse_settings(self.asked.method, self.asked.settings)
        if not any(not each.is_left_out for each in self.store.taught.list(self.asked.model)):
            raise SettingError(
                f"a fit of {self.asked.model} needs good images that it is taught with, got none: take or drop some"
            )

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.asked.model

    def request(self) -> dict[str, Any]:
        """What is remembered of it."""
        return self.asked.model_dump(mode="json")

    def prepare(self, job: int, folder: Path) -> FitWork:
        """As of `Task`: images that a person has called a defect are left out, wherever they were inspected."""
        taught = [each for each in self.store.taught.list(self.model) if not each.is_left_out]
        defects = self.store.inspections.marked_defect([each.image_sha256 for each in taught])
        self.notes.extend(defect_notes([each.name for each in taught if each.image_sha256 in defects]))
        taught = [each for each in taught if each.image_sha256 not in defects]
        found = ((each.name, self.store.taught.content(each.id)) for each in taught)
        limits = self.limits()
        return FitWork(
            images=write_images(folder, found),
            false_alarm_rate=self.asked.false_alarm_rate,
            method=self.asked.method,
            settings=self.asked.settings,
            region=self.asked.region,
            max_pixels=limits.max_pixels,
            max_bytes=limits.max_image_bytes,
        )

    def finish(self, job: int, content: bytes) -> ModelVersion:
        """As of `Task`."""
        return self.models.add(self.model, content, origin="fit", note=job_name(job))


@dataclass(frozen=True)
class UpdateTask:
    """An update of a model with its false alarms that a person marked good.

    Attributes:
        model: its name.
        ids: of the inspections, as they are in the review list when the job is asked for.
        store: with their images.
        models: that serve what is made.
        limits: on images.
        used: those of the inspections that the update learns from, once it has begun.
        notes: on what is learned from, once it has begun.
    """

    model: str
    ids: tuple[int, ...]
    store: Store
    models: ServedModels
    limits: Callable[[], Limits]
    kind: Literal["update"] = "update"
    used: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def request(self) -> dict[str, Any]:
        """What is remembered of it."""
        return {"model": self.model, "ids": list(self.ids)}

    def prepare(self, job: int, folder: Path) -> UpdateWork:
        """As of `Task`: images that a person calls a defect, meanwhile or in another inspection, are left out."""
        waiting = {each.id: each for each in self.store.feedback.review(self.model)}
        records = [waiting[id] for id in self.ids if id in waiting and is_good(waiting[id])]
        defects = self.store.inspections.marked_defect([each.image_sha256 or "" for each in records])
        self.notes.extend(defect_notes([each.name for each in records if each.image_sha256 in defects]))
        records = [each for each in records if each.image_sha256 not in defects]
        found = ((f"inspection {each.id} ({each.name})", self.store.inspections.image(each.id)) for each in records)
        images = write_images(folder, found)
        self.used.extend(each.id for each in records)
        if not images:
            raise SettingError(
                f"an update of {self.model} needs false alarms that are marked good and whose images are kept, got "
                "none: mark some"
            )
        served, limits = self.models.get(self.model), self.limits()
        (folder / self.model).write_bytes(served.inspector.file.content)
        return UpdateWork(
            images=images,
            model=self.model,
            name=job_name(job),
            max_pixels=limits.max_pixels,
            max_bytes=limits.max_image_bytes,
            max_model_bytes=limits.max_model_bytes,
        )

    def finish(self, job: int, content: bytes) -> ModelVersion:
        """As of `Task`: the images leave the review list once the version is kept."""
        version = self.models.add(self.model, content, origin="update", note=job_name(job))
        self.store.feedback.learned(self.used, version.number)
        return version


def job_name(job: int) -> str:
    """What the version that a job makes says of it, by which it is known after a power loss."""
    return f"job {job}"


def settle_interrupted(store: Store) -> None:
    """Take from the review lists what an update learned from whose station ended before it could say so.

    Raises:
        StoreError: the database cannot be read or written.
    """
    for job in store.jobs.list(limit=100):
        if job.kind != "update" or job.version is not None:
            continue
        for version in store.models.versions(job.model):
            if version.origin == "update" and version.note == job_name(job.id):
                waiting = {each.id for each in store.feedback.review(job.model)}
                ids = [id for id in store.jobs.request(job.id).get("ids", []) if id in waiting]
                store.feedback.learned(ids, version.number)


def defect_notes(names: Sequence[str]) -> list[str]:
    """Which images were left out since a person has called them a defect, as a sentence; none where none were."""
    if not names:
        return []
    which = name_some(names, MOST_NAMES)
    return [f"{pluralize(len(names), 'image')} left out, as a person has called the same image a defect: {which}."]


def is_good(record: InspectionRecord) -> bool:
    """Whether a person has called the image good, and not a defect after that."""
    return record.feedback is not None and record.feedback.label is Label.GOOD


def write_images(folder: Path, images: Iterable[tuple[str, tuple[bytes, str] | None]]) -> tuple[WorkImage, ...]:
    """Files of images in a folder, and what they are called; those whose file is kept no more are left out.

    Args:
        folder: that is there.
        images: name, and bytes and suffix of the file.

    Raises:
        OSError: the disk is full.
    """
    written = []
    for number, (name, found) in enumerate(images, 1):
        if found is None:
            continue
        content, suffix = found
        letters = "".join(each for each in suffix.removeprefix(".") if each.isalnum())[:_SUFFIX_LETTERS]
        file = f"_{number:06}.{letters or 'image'}"
        (folder / file).write_bytes(content)
        written.append(WorkImage(name=name, file=file))
    return tuple(written)
