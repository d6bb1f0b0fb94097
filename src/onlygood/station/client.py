"""A station from Python: its HTTP interface with the same types and the same errors on both sides."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from onlygood._paths import given_path
from onlygood.errors import ImageError, ModelFileError, OnlygoodError, StationError
from onlygood.station.connection import Connection, Verify, is_distrusted
from onlygood.station.schemas import (
    Event,
    FeedbackRequest,
    FitRequest,
    Health,
    InspectionPage,
    InspectionRecord,
    InspectionResult,
    InspectionResults,
    Job,
    JobState,
    Label,
    ModelVersion,
    OutputStatus,
    ServedModel,
    SourceStatus,
    TaughtImage,
    Verdict,
    VersionRates,
)

TIMEOUT_S = 60.0
# For how long requests that a full queue refuses are sent again.
RETRY_FOR_S = 30.0
# Images in one request of `inspect_many`: no more than a station takes by default.
IMAGES_AT_ONCE = 8
_POLL_S = 0.2
_RECONNECT_S = 1.0

# An image: the path of its file, or the bytes of it.
ImageFile: TypeAlias = str | os.PathLike[str] | bytes

Keep: TypeAlias = Literal["all", "anomalous", "none"]

Found = TypeVar("Found", bound=BaseModel)


class StationClient:
    """A station, asked over HTTP. Safe to share between threads; close it, or use it with `with`.

    Every refusal raises the error of `onlygood.errors` that the library itself would raise, with the same sentence.
    What a full queue refuses is sent again when the station says so, for `retry_for_s` at most.

    Args:
        url: of the station.
        token: that the station knows; none for one without tokens.
        timeout_s: for each answer.
        retry_for_s: for how long what is refused for want of room is sent again; 0 for not at all.
        verify: of a station with https, whom to trust: the path of a PEM file or a folder with certificates of
            authorities, or of the station itself; an `ssl.SSLContext`; True for those authorities that are known
            publicly; False for anybody, who may then read the token and change answers.

    Raises:
        SettingError: an URL that is none, or certificates that cannot be read.

    Example:
        with StationClient("http://localhost:8000") as station:
            record = station.inspect("part", "new.jpg")
            print(record.verdict, record.score)
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        timeout_s: float = TIMEOUT_S,
        retry_for_s: float = RETRY_FOR_S,
        verify: Verify = True,
    ) -> None:
        self._station = Connection(url, token=token, timeout_s=timeout_s, retry_for_s=retry_for_s, verify=verify)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._station.close()

    # Inspecting

    def inspect(self, model: str, image: ImageFile, *, name: str = "", keep: Keep = "all") -> InspectionRecord:
        """The inspection of one image.

        Args:
            model: its name.
            image: the path of a file, or its bytes.
            name: of the image; that of its file unless given.
            keep: which inspections are remembered: all, those that are anomalous, or none.

        Raises:
            NotFoundError: there is no such model.
            ImageError: it cannot be inspected.
            BusyError: the queue is full, and was for `retry_for_s`.
            StationError: the station does not answer, or refuses for another reason.
        """
        return _inspection(self._inspect(model, [(image, name)], keep=keep)[0])

    def inspect_with_map(
        self, model: str, image: ImageFile, *, name: str = "", keep: Keep = "all"
    ) -> tuple[InspectionRecord, bytes]:
        """The inspection of one image, and the image with its anomaly map over it as PNG.

        Args:
            model: as of `inspect`.
            image: as of `inspect`.
            name: as of `inspect`.
            keep: as of `inspect`.

        Raises:
            OnlygoodError: as `inspect`.
        """
        result = self._inspect(model, [(image, name)], keep=keep, map="png")[0]
        return _inspection(result), base64.b64decode(result.map_png or "")

    def inspect_many(
        self, model: str, images: Iterable[ImageFile], *, keep: Keep = "all", at_once: int = IMAGES_AT_ONCE
    ) -> Iterator[InspectionResult]:
        """The results of many images, in their order; one that cannot be inspected says why in its `problem`.

        Args:
            model: its name.
            images: taken as results are asked for, some ahead.
            keep: which of them are remembered.
            at_once: in one request.

        Raises:
            OnlygoodError: as `inspect`, for what holds of all of them.
        """
        waiting: list[tuple[ImageFile, str]] = []
        for image in images:
            waiting.append((image, ""))
            if len(waiting) >= at_once:
                yield from self._inspect_some(model, waiting, keep=keep)
                waiting = []
        if waiting:
            yield from self._inspect_some(model, waiting, keep=keep)

    # The history

    def inspections(
        self,
        *,
        model: str | None = None,
        verdict: Verdict | None = None,
        label: Label | Literal["any", "none"] | None = None,
        source: str | None = None,
        name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[InspectionRecord]:
        """What was inspected, the newest first, page by page as they are taken.

        Args:
            model: of this model alone.
            verdict: with this verdict alone.
            label: that a person called so; "any" for those that someone marked, "none" for the others.
            source: of this source alone.
            name: whose image's name holds this text.
            since: not before this moment, with its time zone.
            until: before this moment.

        Raises:
            StationError: the station does not answer.
        """
        filters = {
            "model": model,
            "verdict": verdict,
            "label": label,
            "source": source,
            "name": name,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
        }
        asked: dict[str, Any] = {key: value for key, value in filters.items() if value is not None} | {"limit": 200}
        while True:
            page = self._station.one(InspectionPage, "/v1/inspections", params=asked)
            yield from page.inspections
            if page.next_before is None:
                return
            asked["before"] = page.next_before

    def inspection(self, id: int) -> InspectionRecord:
        """One inspection, by its number.

        Raises:
            NotFoundError: there is none.
        """
        return self._station.one(InspectionRecord, f"/v1/inspections/{id}")

    def image(self, id: int) -> bytes:
        """The file of the image of an inspection, as it was sent.

        Raises:
            NotFoundError: it is not kept.
        """
        return self._station.send("GET", f"/v1/inspections/{id}/image").content

    def map(self, id: int) -> bytes:
        """The image of an inspection with its anomaly map over it, as PNG.

        Raises:
            NotFoundError: the image or the model is not kept.
        """
        return self._station.send("GET", f"/v1/inspections/{id}/map").content

    def feedback(self, id: int, label: Label, *, note: str = "") -> InspectionRecord:
        """Say what a part was; returns its inspection with that.

        Args:
            id: of the inspection.
            label: good or a defect.
            note: in words.

        Raises:
            NotFoundError: there is no such inspection.
        """
        said = FeedbackRequest(label=label, note=note)
        return self._station.one(
            InspectionRecord, f"/v1/inspections/{id}/feedback", "POST", json=said.model_dump(mode="json")
        )

    # Models

    def models(self) -> list[ServedModel]:
        """All models that are served."""
        return self._station.several(ServedModel, "/v1/models")

    def model(self, name: str) -> ServedModel:
        """One model.

        Raises:
            NotFoundError: there is none of this name.
        """
        return self._station.one(ServedModel, f"/v1/models/{_part(name)}")

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model.

        Raises:
            NotFoundError: there is no model of this name.
        """
        return self._station.several(ModelVersion, f"/v1/models/{_part(name)}/versions")

    def upload(self, name: str, file: ImageFile, *, note: str = "") -> ModelVersion:
        """Serve a model file from now on.

        Args:
            name: under which it is served.
            file: the path of the file, or its bytes.
            note: that a person reads in the list of versions.

        Raises:
            ModelFileError: it cannot be used; what was served goes on.
        """
        content, _ = _read(file, error=ModelFileError)
        return self._station.one(
            ModelVersion,
            f"/v1/models/{_part(name)}",
            "PUT",
            content=content,
            params={"note": note},
            headers={"Content-Type": "application/octet-stream"},
        )

    def activate(self, name: str, number: int) -> ServedModel:
        """Serve another version of a model from now on.

        Raises:
            NotFoundError: there is no such version.
        """
        return self._station.one(ServedModel, f"/v1/models/{_part(name)}/versions/{number}/activate", "POST")

    def roll_back(self, name: str) -> ServedModel:
        """Serve the version before the one that is served.

        Raises:
            NotFoundError: there is none before it.
        """
        return self._station.one(ServedModel, f"/v1/models/{_part(name)}/rollback", "POST")

    def rates(self, name: str) -> list[VersionRates]:
        """How the guarantee of each version of a model is doing.

        Raises:
            NotFoundError: there is no model of this name.
        """
        return self._station.several(VersionRates, f"/v1/models/{_part(name)}/rates")

    def download(self, name: str, number: int) -> bytes:
        """The model file of a version.

        Raises:
            NotFoundError: there is no such version.
        """
        return self._station.send("GET", f"/v1/models/{_part(name)}/versions/{number}/file").content

    # Teaching

    def teach(self, model: str, image: ImageFile, *, name: str = "") -> TaughtImage:
        """Keep a good image for a model to learn from.

        Args:
            model: that is taught.
            image: the path of a file, or its bytes.
            name: of the image; that of its file unless given.

        Raises:
            ImageError: it cannot be read.
        """
        content, own = _read(image, error=ImageError)
        files = [("image", (name or own, content, "application/octet-stream"))]
        answer = self._station.send("POST", f"/v1/teach/{_part(model)}", files=files).json()
        return TaughtImage.model_validate(answer[0]["image"])

    def taught(self, model: str) -> list[TaughtImage]:
        """The images that a model is to learn from."""
        return self._station.several(TaughtImage, f"/v1/teach/{_part(model)}")

    def leave_out(self, id: int, is_left_out: bool = True) -> TaughtImage:
        """Leave an image out of fits, or take it in again.

        Raises:
            NotFoundError: there is no such image.
        """
        return self._station.one(
            TaughtImage, f"/v1/teach/images/{id}/left-out", "PUT", json={"is_left_out": bool(is_left_out)}
        )

    def remove_taught(self, id: int) -> TaughtImage:
        """Throw an image out; returns what it was.

        Raises:
            NotFoundError: there is no such image.
        """
        return self._station.one(TaughtImage, f"/v1/teach/images/{id}", "DELETE")

    def fit(self, request: FitRequest) -> Job:
        """Fit a model to what was taught, in the background.

        Raises:
            OnlygoodError: there is nothing to fit to, or a setting cannot be used.
        """
        return self._station.one(Job, "/v1/jobs/fit", "POST", json=request.model_dump(mode="json"))

    def update(self, model: str) -> Job:
        """Let a model learn from its false alarms, in the background.

        Raises:
            OnlygoodError: there are none, or the model cannot be updated.
        """
        return self._station.one(Job, "/v1/jobs/update", "POST", json={"model": model})

    def jobs(self) -> list[Job]:
        """The newest jobs first."""
        return self._station.several(Job, "/v1/jobs")

    def job(self, id: int) -> Job:
        """One job.

        Raises:
            NotFoundError: there is none of this number.
        """
        return self._station.one(Job, f"/v1/jobs/{id}")

    def cancel(self, id: int) -> Job:
        """Cancel a job.

        Raises:
            NotFoundError: there is none of this number.
        """
        return self._station.one(Job, f"/v1/jobs/{id}/cancel", "POST")

    def wait(self, job: Job, *, timeout_s: float | None = None) -> Job:
        """The job when it is done.

        Args:
            job: which.
            timeout_s: for how long to wait; None for as long as it takes.

        Raises:
            StationError: it failed, was cancelled or interrupted, or is not done in time.
        """
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        while not job.state.is_over:
            if ends_at is not None and time.monotonic() > ends_at:
                raise StationError(f"job {job.id} must be done within {timeout_s:g} seconds, and is {job.state}")
            time.sleep(_POLL_S)
            job = self.job(job.id)
        if job.state is not JobState.DONE:
            raise StationError(job.problem or f"job {job.id} was {job.state}")
        return job

    # Sources, outputs, health

    def sources(self) -> list[SourceStatus]:
        """All sources, and how they are doing."""
        return self._station.several(SourceStatus, "/v1/sources")

    def start_source(self, name: str) -> SourceStatus:
        """Start a source.

        Raises:
            NotFoundError: there is none of this name.
        """
        return self._station.one(SourceStatus, f"/v1/sources/{_part(name)}/start", "POST")

    def stop_source(self, name: str) -> SourceStatus:
        """Stop a source.

        Raises:
            NotFoundError: there is none of this name.
        """
        return self._station.one(SourceStatus, f"/v1/sources/{_part(name)}/stop", "POST")

    def trigger(self, name: str) -> SourceStatus:
        """Have the next frame of a source inspected.

        Raises:
            NotFoundError: there is none of this name.
            OnlygoodError: it runs free, or is not there at the moment.
        """
        return self._station.one(SourceStatus, f"/v1/sources/{_part(name)}/trigger", "POST")

    def outputs(self) -> list[OutputStatus]:
        """All outputs, and what waits for them."""
        return self._station.several(OutputStatus, "/v1/outputs")

    def health(self) -> Health:
        """How the station is doing."""
        return self._station.one(Health, "/v1/health")

    def events(self, *, after: int | None = None, reconnects: bool = True) -> Iterator[Event]:
        """What happens at the station, as it happens.

        Args:
            after: begin with the inspections after this one.
            reconnects: whether a lost connection is made again, from the last inspection on; else its end is the end.

        Raises:
            StationError: the station refuses, its certificate is not to be trusted, or it does not answer where
                `reconnects` is False.
        """
        last = after
        while True:
            try:
                for number, event in self._station.events(last):
                    last = last if number is None else number
                    yield event
            except httpx.TransportError as error:
                if not reconnects or is_distrusted(error):
                    raise self._station.silent(error) from error
            if not reconnects:
                return
            time.sleep(_RECONNECT_S)

    # How images are sent

    def _inspect_some(
        self, model: str, images: list[tuple[ImageFile, str]], *, keep: Keep
    ) -> Iterator[InspectionResult]:
        """The results of a few images. One alone is refused with an error, which is its problem here."""
        readable: list[tuple[ImageFile, str]] = []
        problems: dict[int, InspectionResult] = {}
        for position, (image, name) in enumerate(images):
            try:
                readable.append(_read(image, error=ImageError))
            except ImageError as error:
                problems[position] = InspectionResult(name=name or str(image)[:200], problem=str(error))
        try:
            found = iter(self._inspect(model, readable, keep=keep) if readable else ())
        except ImageError as error:
            if len(readable) > 1:
                raise
            found = iter([InspectionResult(name=readable[0][1], problem=str(error))])
        for position in range(len(images)):
            yield problems[position] if position in problems else next(found)

    def _inspect(
        self, model: str, images: list[tuple[ImageFile, str]], *, keep: Keep, map: str = "none"
    ) -> list[InspectionResult]:
        files = []
        for image, name in images:
            content, own = _read(image, error=ImageError)
            files.append(("image", (name or own, content, "application/octet-stream")))
        params = {"keep": keep, "map": map}
        answer = self._station.one(
            InspectionResults, f"/v1/models/{_part(model)}/inspect", "POST", files=files, params=params
        )
        return list(answer.results)


def _inspection(result: InspectionResult) -> InspectionRecord:
    if result.inspection is None:
        raise ImageError(result.problem or f"{result.name} was not inspected")
    return result.inspection


def _read(file: ImageFile, *, error: type[OnlygoodError]) -> tuple[bytes, str]:
    """The bytes of a file and its name."""
    if isinstance(file, bytes):
        return file, "image"
    path: Path = given_path(file, error=error)
    try:
        return path.read_bytes(), path.name
    except OSError as problem:
        raise error(
            f"{path} cannot be read ({(problem.strerror or str(problem)).lower()}): check the path"
        ) from problem


def _part(name: str) -> str:
    """A name as a part of a path in a URL."""
    return quote(name, safe="")
