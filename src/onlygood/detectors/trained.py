"""What methods that train a network have in common: what they score with, and where they keep what they reach."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._extras import need_extra
from onlygood._parallel import map_in_order
from onlygood.detectors.base import GoodScores, Method, TrainingFiles
from onlygood.features.extraction import Features
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.settings import FitSettings

if TYPE_CHECKING:
    from onlygood.training.checkpoint import Checkpoint
    from onlygood.training.loop import TrainingSettings

# What is trained on is kept in memory, as the network takes it, up to so many bytes; beyond, in a temporary file.
MOST_TRAINING_BYTES = 6_000_000_000
# Settings that change nothing about training.
_NOT_DECISIVE = ("method", "threads", "accelerator", "max_pixels", "max_bytes", "false_alarm_rate", "augmentation")


class TrainedMethod(Method):
    """A method that trains; a subclass's `learn` calls `training_values`, then trains, then `use`."""

    def __init__(self, settings: FitSettings, *, files: TrainingFiles | None, show_progress: bool) -> None:
        for library, module in (("torch", "torch"), ("Lightning Fabric", "lightning_fabric")):
            need_extra(library, module=module, extra="train", purpose=f"--method {settings.method}")
        self.settings = settings
        self.files = files
        self.show_progress = show_progress

    def training_values(
        self, seen: Features, positions: NDArray[np.int64], *, channels: int | None = None
    ) -> NDArray[np.float32]:
        """The embeddings of the images at these positions, float32 [n, c, h, w]; the first channels of them."""
        height, width, depth = seen.embedding(int(positions[0])).shape
        shape = (len(positions), channels or depth, height, width)
        values: NDArray[np.float32]
        if 4 * int(np.prod(shape)) <= MOST_TRAINING_BYTES:
            values = np.empty(shape, dtype=np.float32)
        else:
            # The array holds the file, which has no name and goes with it.
            with tempfile.TemporaryFile() as file:
                values = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
        found = map_in_order(seen.embedding, positions.tolist(), threads=self.settings.threads)
        for place, embedding in enumerate(found):
            values[place] = embedding[:, :, : shape[1]].transpose(2, 0, 1)
        return values

    def use(self, seen: Features, pieces: Sequence[onnx.ModelProto]) -> None:
        """Score with these pieces of graph from now on."""
        self.seen, self.pieces = seen, pieces
        self.session = self.open(pieces)

    def open(self, pieces: Sequence[onnx.ModelProto]) -> Any:
        """A session that scores with these pieces of graph."""
        head = join(*pieces, outputs=["raw_score", "patch_scores"])
        return open_session(head.SerializeToString(), threads=1)

    def session_for(self, position: int) -> Any:
        """The session that scores the good image at a position as if it were new; the finished one where none of
        the images that calibrate was trained on.
        """
        return self.session

    def good_scores(self) -> GoodScores:  # noqa: D102
        parts = list(map_in_order(self._unseeing_score, range(self.seen.given), threads=self.settings.threads))
        raw = np.array([part[0] for part in parts], dtype=np.float32)
        # Scores of a trained network may all be far below 1.
        self.least_scale = float(np.median(raw)) or 1.0
        return GoodScores(
            raw=raw,
            typical=np.array([np.median(part[1]) for part in parts], dtype=np.float64),
            highest=np.array([part[1].max() for part in parts], dtype=np.float32),
            patch_scores=lambda position: self._unseeing_score(position)[1],
        )

    def finished_score(self, position: int) -> float:  # noqa: D102
        return self._score(self.seen, position, self.session)[0]

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return self.pieces

    def checkpoint(
        self, seen: Features, held_out: NDArray[np.bool_], training: TrainingSettings, **others: str
    ) -> Checkpoint | None:
        """The checkpoint of this fit and no other; None where none is wanted.

        Args:
            seen: the good images.
            held_out: which of them only calibrate.
            training: its numbers, with those that the settings leave to the network.
            **others: what else must be the same, by what it is called.
        """
        from onlygood.training.checkpoint import Checkpoint

        if self.files is None:
            return None
        images = hashlib.sha256("\n".join(seen.digests).encode() + held_out.tobytes()).hexdigest()
        numbers = {**self.settings.to_dict(), **asdict(training)}
        decisive = {key: value for key, value in numbers.items() if key not in _NOT_DECISIVE}
        fingerprint = {"method": self.settings.method, **decisive, "images": images, **others}
        return Checkpoint(self.files.checkpoint, fingerprint, resume=self.files.resume)

    def _unseeing_score(self, position: int) -> tuple[float, NDArray[np.float32]]:
        return self._score(self.seen.scored, position, self.session_for(position))

    def _score(self, seen: Features, position: int, session: Any) -> tuple[float, NDArray[np.float32]]:
        feeds = {"embedding": seen.embedding(position)[None]}
        raw, patches = run(session, ["raw_score", "patch_scores"], feeds)
        return float(raw[0]), patches[0]


def terminal_line(*, wanted: bool) -> Callable[[str], None] | None:
    """Shows the latest line on a terminal; None where there is none, or it is not wanted."""
    if not wanted or not sys.stderr.isatty():
        return None

    def show(text: str) -> None:
        # One line that is written over, and cleared at its end by the next.
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()

    return show


def described_training(numbers: TrainingSettings, losses: dict[str, list[float]]) -> dict[str, Any]:
    """What the metadata say of any training: its numbers, and the loss of each epoch by stage."""
    return {
        **{name: getattr(numbers, name) for name in ("batch_size", "learning_rate", "weight_decay")},
        "losses": {stage: [float(f"{loss:.6g}") for loss in values] for stage, values in losses.items()},
    }
