"""What goes over HTTP, to outputs and to the client: one model of each thing, on both sides.

Times are UTC. A `Problem` is the body of every refusal, with the sentence that the command line would say.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Of models, sources and outputs: what can stand in a URL and in a file's name on every system.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, examples=["part"])]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Schema(BaseModel):
    """What all have in common: they never change, and hold what they name and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Verdict(StrEnum):
    """What a person is told of an image."""

    GOOD = "good"
    ANOMALOUS = "anomalous"


class Label(StrEnum):
    """What a person says of an image that was inspected."""

    GOOD = "good"
    DEFECT = "defect"


class ImageRegion(Schema):
    """Where the anomaly map is above its high level: a box in pixels of the image, and the map's peak in it."""

    top: int
    left: int
    bottom: int
    right: int
    peak: float


class Feedback(Schema):
    """What a person said of one inspection."""

    label: Label
    at: datetime
    by: str = Field(description="the name of the token that was used; empty without tokens")
    note: str = ""


class InspectionRecord(Schema):
    """One inspection, as it is remembered and as outputs are told of it."""

    id: int = Field(description="ascending in the order of recording, whatever the clock says", examples=[1742])
    at: datetime
    model: Name
    model_sha256: Sha256 = Field(description="of the version of the model file that was used")
    source: str = Field(description="where the image came from: 'http', 'page', or the name of a source")
    name: str = Field(description="of the image, as it was given: data, never a path", examples=["new.jpg"])
    verdict: Verdict
    score: float = Field(description="above 0 anomalous, below 0 good", examples=[-0.42])
    p_value: float = Field(
        description="share of good images at least this anomalous; small is anomalous", examples=[0.76]
    )
    threshold: float = Field(default=0.0, description="the score at which the verdict changes: 0 by its definition")
    latency_ms: float
    image_sha256: Sha256 | None = Field(default=None, description="of the image's file; None where it was not kept")
    width: int
    height: int
    regions: tuple[ImageRegion, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="in what the image is as no good image was")
    has_image: bool = Field(default=True, description="whether the image's file is still kept")
    feedback: Feedback | None = None
    learned_in: int | None = Field(default=None, description="the version of the model that learned from this image")


class InspectionResult(Schema):
    """The answer to one image of a request: its inspection, or why there is none."""

    name: str
    inspection: InspectionRecord | None = None
    map_png: str | None = Field(default=None, description="the anomaly map over the image: PNG in base64")
    problem: str | None = Field(default=None, description="why this image was not inspected")


class InspectionResults(Schema):
    """The answer to a request with one image or several, in their order."""

    results: tuple[InspectionResult, ...]


class InspectionPage(Schema):
    """Some of the inspections that were asked for, the newest first."""

    inspections: tuple[InspectionRecord, ...]
    next_before: int | None = Field(default=None, description="give as `before` to get those that follow")


class FeedbackRequest(Schema):
    """What a person says of an inspection; the latest one holds, all are kept."""

    label: Label = Field(examples=["good"])
    note: str = Field(default="", max_length=1000, examples=["dust, wiped off"])


class ModelVersion(Schema):
    """One model file that is or was served under a name."""

    number: int = Field(description="from 1, in the order in which they came")
    sha256: Sha256
    at: datetime
    method: str
    origin: Literal["upload", "folder", "fit", "update", "rollback"]
    note: str = ""
    false_alarm_rate: float
    guarantee: str = Field(description="what is guaranteed or estimated, as a sentence")
    good_images: int = Field(description="how many it learned from")
    bytes: int
    is_active: bool
    in_review: int = Field(default=0, description="of this version's false alarms, those that wait to be learned from")


class ServedModel(Schema):
    """A model as it is served under its name."""

    name: Name
    active: ModelVersion
    versions: int
    problem: str | None = Field(default=None, description="why the newest file of this name is not the one served")


class ObservedShare(Schema):
    """How often something happened, and between which shares the true one lies, exactly (Clopper and Pearson)."""

    events: int
    trials: int
    value: float
    low: float
    high: float
    confidence: float


class VersionRates(Schema):
    """How the guarantee of one version of a model is doing, by what it inspected and what people marked.

    Marked images are no random sample: people mark what they notice. So the share of good parts that are called
    anomalous lies between `false_alarms_at_least`, where every alarm that nobody marked was of a defect, and
    `false_alarms_at_most`, where every one of them was false.
    """

    model: Name
    version: int
    model_sha256: Sha256
    false_alarm_rate: float = Field(description="that the version states")
    inspections: int
    anomalous: ObservedShare | None = Field(description="of all inspections; true defects are in it")
    marked_good: int
    marked_defects: int
    unmarked_alarms: int
    false_alarms: int = Field(description="marked good, called anomalous")
    false_alarms_at_least: ObservedShare | None
    false_alarms_at_most: ObservedShare | None
    misses: ObservedShare | None = Field(description="of those marked as defects, those called good")
    verdict: Literal["contradicted", "confirmed", "open"]
    sentences: tuple[str, ...]


class TaughtImage(Schema):
    """A good image that a model is to learn from."""

    id: int
    model: Name
    at: datetime
    name: str = Field(description="of the image, as it was given: data, never a path")
    image_sha256: Sha256
    width: int
    height: int
    is_left_out: bool = Field(default=False, description="whether a person took it out of what is learned from")


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of the job."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Job(Schema):
    """A fit or an update in the background."""

    id: int
    kind: Literal["fit", "update"]
    model: Name
    state: JobState
    at: datetime
    ended_at: datetime | None = None
    step: str = Field(default="", description="what it does now", examples=["embedding"])
    done: int = 0
    total: int | None = Field(default=None, description="None where it is not known")
    problem: str | None = None
    notes: tuple[str, ...] = ()
    version: int | None = Field(default=None, description="of the model, that it made")


class FitRequest(Schema):
    """A fit to images that were taught."""

    model: Name
    false_alarm_rate: float = Field(default=0.05, gt=0, lt=1)
    method: str = Field(default="patch", examples=["patch"])
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="of the method, by their names in `onlygood.fit`",
        examples=[{"bank_size": 2000}],
    )
    region: tuple[float, float, float, float] | None = Field(
        default=None, description="region of interest: top, left, bottom, right as shares of height and width"
    )


class SourceState(StrEnum):
    """Where a source is."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting for a trigger"
    LOST = "lost"
    ENDED = "ended"


class SourceStatus(Schema):
    """A camera, stream or folder, and how it is doing."""

    name: str
    kind: str
    state: SourceState
    model: str | None
    problem: str | None = Field(default=None, description="one sentence; None while it works")
    frames: int = Field(default=0, description="that were inspected")
    skipped: int = Field(default=0, description="that came while others were inspected, and were passed over")
    reconnects: int = 0
    frames_per_s: float = 0.0
    is_alarmed: bool = False


class OutputStatus(Schema):
    """An output, and what waits for it."""

    name: str
    kind: str
    delivered: int
    waiting: int
    problem: str | None = None


class Health(Schema):
    """How the station is doing."""

    is_ready: bool
    problems: tuple[str, ...] = ()
    doubts_clock: bool = Field(
        default=False, description="whether the computer's clock jumped, and nobody has said since that it is right"
    )
    uptime_s: float
    queued: int
    queue_size: int
    inspections_per_s: float
    disk_free_bytes: int
    kept_bytes: int
    sources: tuple[SourceStatus, ...]
    outputs: tuple[OutputStatus, ...]
    models: tuple[ServedModel, ...]
    drift: tuple[DriftStatus, ...]


class DriftStatus(Schema):
    """The drift test of one model's active version."""

    model: Name
    images: int
    is_drift: bool
    sentence: str


class Event(Schema):
    """What subscribers of a station are told; `kind` says which of the fields is filled."""

    kind: Literal["inspection", "feedback", "job", "source", "model", "drift", "alarm", "health"]
    inspection: InspectionRecord | None = None
    job: Job | None = None
    source: SourceStatus | None = None
    model: ServedModel | None = None
    drift: DriftStatus | None = None
    problem: str | None = None


class Problem(Schema):
    """The body of every refusal: one sentence with the subject, what is required, what was got and what to do."""

    detail: str = Field(
        examples=["a model must be one that is served, got 'prat', and there are part: did you mean 'part'?"]
    )
    error: str = Field(
        default="",
        description="the name of the error in `onlygood.errors`; empty where HTTP refuses",
        examples=["NotFoundError"],
    )


Health.model_rebuild()
