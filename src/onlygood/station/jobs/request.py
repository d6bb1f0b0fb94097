"""What the process of a job is asked, and what it answers: JSON, one object a line."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Line(BaseModel):
    """What all have in common: they never change, and hold what they name and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WorkImage(_Line):
    """A good image: what it is called, and its file in the job's folder."""

    name: str
    file: str


class FitWork(_Line):
    """A fit: `settings` are of the method or of every fit, by their names in `onlygood.fit`."""

    kind: Literal["fit"] = "fit"
    images: tuple[WorkImage, ...]
    false_alarm_rate: float
    method: str
    settings: dict[str, Any]
    region: tuple[float, float, float, float] | None = None
    max_pixels: int
    max_bytes: int


class UpdateWork(_Line):
    """An update of the model in the file `model` of the job's folder, which messages call by that name."""

    kind: Literal["update"] = "update"
    images: tuple[WorkImage, ...]
    model: str
    name: str
    max_pixels: int
    max_bytes: int
    max_model_bytes: int


Work: TypeAlias = FitWork | UpdateWork
_WORK: TypeAdapter[Work] = TypeAdapter(Annotated[Work, Field(discriminator="kind")])


class Step(_Line):
    """Where the work is."""

    kind: Literal["step"] = "step"
    step: str
    done: int
    total: int | None


class Made(_Line):
    """The work is done, and its model lies in the job's folder."""

    kind: Literal["made"] = "made"
    notes: tuple[str, ...]


class Failed(_Line):
    """The work cannot be done: why, in a sentence; and whether that is an error that should not happen."""

    kind: Literal["failed"] = "failed"
    problem: str
    is_unforeseen: bool = False


Answer: TypeAlias = Step | Made | Failed
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])

# The model that a job makes, in its folder: no model that is updated there can have a name that begins so.
MODEL_FILE = "_new.onnx"


def parse_work(line: str | bytes) -> Work:
    """The work that a line asks for."""
    return _WORK.validate_json(line)


def parse_answer(line: str | bytes) -> Answer:
    """The answer on a line."""
    return _ANSWER.validate_json(line)
