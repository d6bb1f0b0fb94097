"""Settings that several methods read, in groups that their settings classes inherit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from onlygood.settings import MethodSettings

Metric = Literal["euclidean", "cosine", "whitened"]
Accelerator = Literal["auto", "cpu", "gpu"]
# The highest learning rate and weight decay: far above those that train anything, and a number that torch takes.
MOST_STEP = 1000.0


class SizedSettings(MethodSettings):
    """Of methods that resize images."""

    input_size: int | None = Field(
        default=None,
        ge=16,
        le=4096,
        description="pixels a side that images are resized to; as the backbone's card or the network says unless given",
        json_schema_extra={"must_be": "a whole number of pixels from 16 to 4096"},
    )


class BackboneSettings(SizedSettings):
    """Of methods on a pretrained network."""

    backbone: str = Field(
        default="lite0",
        description="lite0, which is shipped; lite1 or lite2, which are larger and extras of onlygood; or the path of "
        "an ONNX file with its card (.json) beside it",
        json_schema_extra={"must_be": "a name or a path as text"},
    )
    taps: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        description="the backbone's outputs that make an embedding, separated by commas; as its card says unless given",
        json_schema_extra={"must_be": "a sequence of names"},
    )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values; of a path the file's name alone, so that equal fits are equal files."""
        return super().to_dict() | {"backbone": Path(self.backbone).name}


class PooledSettings(BackboneSettings):
    """Of methods that compare one vector an image."""

    updates: ClassVar[bool] = True

    metric: Metric = Field(
        default="cosine",
        description="how vectors are compared: as they are, at unit length, or at unit length in coordinates in which "
        "good images vary equally",
    )


class TemplateSettings(PooledSettings):
    """Of methods that compare an image's vector with templates."""

    bank_size: int = Field(default=1000, ge=1, description="most templates: more is slower and finer")
    num_neighbors: int | None = Field(
        default=None,
        ge=1,
        description="templates looked at; 1 by nearest neighbours and 5 by lof unless given",
    )


class TrainingSettings(MethodSettings):
    """Of methods that train a network."""

    epochs: int | None = Field(default=None, ge=1, description="of training; the network's own number unless given")
    batch_size: int | None = Field(
        default=None,
        ge=2,
        description="images (patches where these are trained on) a step; the network's own unless given",
    )
    learning_rate: float | None = Field(
        default=None, gt=0, le=MOST_STEP, description="of training; the network's own unless given"
    )
    accelerator: Accelerator = Field(default="auto", description="what trains: cpu, gpu, or whichever is there")


class TailSettings(BackboneSettings, TrainingSettings):
    """Of methods that train the last layers of a backbone."""

    trained_layers: int = Field(default=4, ge=1, description="how many of the backbone's last layers are trained")
