"""A fitted model in memory: the bytes of its file, and what is promised of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from onlygood.conformal import Calibration
from onlygood.files import write_atomically
from onlygood.graph.model_file import ModelFile
from onlygood.results import Promise


@dataclass(frozen=True)
class Model:
    """What `onlygood.fit` returns.

    Attributes:
        file: content and metadata of the model file.
        promise: how often good pictures will be called anomalous, and why.
        calibration: the scores that the threshold comes from.
        notes: sentences about the good pictures that a person should read.
    """

    file: ModelFile
    promise: Promise
    calibration: Calibration
    notes: tuple[str, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """What `onlygood info --json` prints of the saved file."""
        return self.file.metadata

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all. `fit` has already run these very bytes against its own scores.

        Raises:
            WriteError: the path cannot be written, or the disk gives back other bytes.
        """
        write_atomically(path, self.file.content)
