"""What methods that train a network have in common: what they train on, where they keep it, what they score with."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._progress import waiting
from onlygood.detectors.base import FitTask, GoodScores, Learned, Split
from onlygood.features.extraction import Features
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.metadata import Training
from onlygood.settings import MethodSettings

if TYPE_CHECKING:
    from onlygood.training.checkpoint import Checkpoint
    from onlygood.training.loop import TrainingSettings

# What is trained on is kept in memory, as the network takes it, up to so many bytes; beyond, in a temporary file.
MOST_TRAINING_BYTES = 6_000_000_000
# Settings that change nothing about training.
_NOT_DECISIVE = ("threads", "accelerator", "max_pixels", "max_bytes", "false_alarm_rate", "augmentation")


def load_torch(*, show_progress: bool) -> None:
    """Import what trains, which takes seconds, with a line on stderr meanwhile.

    Args:
        show_progress: show the line if stderr is a terminal.
    """
    with waiting("loading torch", show=show_progress):
        import_module("onlygood.training.loop")


def training_values(
    features: Features, positions: NDArray[np.int64], *, threads: int, channels: int | None = None
) -> NDArray[np.float32]:
    """The first embeddings of the images at these positions, float32 [n, c, h, w].

    Args:
        features: of the images.
        positions: of those to train on, at least one.
        threads: images worked on at once; 0 for one a core.
        channels: how many of the embedding's channels, the first; all unless given.
    """
    height, width, depth = features.embedding(int(positions[0])).shape
    shape = (len(positions), channels or depth, height, width)
    values: NDArray[np.float32]
    if 4 * int(np.prod(shape)) <= MOST_TRAINING_BYTES:
        values = np.empty(shape, dtype=np.float32)
    else:
        # The array holds the file, which has no name and goes with it.
        with tempfile.TemporaryFile() as file:
            values = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
    found = map_in_order(features.embedding, positions.tolist(), threads=threads)
    for place, embedding in enumerate(found):
        values[place] = embedding[:, :, : shape[1]].transpose(2, 0, 1)
    return values


def make_checkpoint(
    method: MethodSettings,
    task: FitTask,
    features: Features,
    split: Split,
    training: TrainingSettings,
    **others: str,
) -> Checkpoint | None:
    """The checkpoint of this fit and no other; None where none is wanted.

    Args:
        method: its settings.
        task: of the fit.
        features: of the good images.
        split: which of them only calibrate.
        training: its numbers, with those that the settings leave to the network.
        **others: what else must be the same, by what it is called.
    """
    from onlygood.training.checkpoint import Checkpoint

    if task.files is None:
        return None
    images = hashlib.sha256("\n".join(features.digests).encode() + split.held_out.tobytes()).hexdigest()
    numbers = {**task.settings.to_dict(), **method.to_dict(), **asdict(training)}
    decisive = {key: value for key, value in numbers.items() if key not in _NOT_DECISIVE}
    fingerprint = {"method": method.name, **decisive, "images": images, **others}
    return Checkpoint(task.files.checkpoint, fingerprint, resume=task.files.resume)


def open_head(subgraphs: Sequence[onnx.ModelProto]) -> Any:
    """A session that scores an embedding with these subgraphs."""
    head = join(*subgraphs, outputs=["raw_score", "patch_scores"])
    return open_session(head.SerializeToString(), threads=1)


def learned_network(
    head: Sequence[onnx.ModelProto],
    features: Features,
    *,
    threads: int,
    session_for: Callable[[int], Any | None] | None = None,
    least_scale: float | None = None,
    **described: Any,
) -> Learned:
    """What a method has learned whose head is a trained network.

    Args:
        head: the finished subgraphs, from `embedding`.
        features: of the good images.
        threads: images worked on at once; 0 for one a core.
        session_for: gives the session that scores the good image at a position as if it were new; None, also as what
            it gives, for the finished one, where the image was not trained on.
        least_scale: as in `Learned`; unless given, the median of the raw scores, which may all be far below 1.
        **described: further fields of `Learned`.
    """
    finished = open_head(head)

    def score(of: Features, position: int, session: Any) -> tuple[float, NDArray[np.float32]]:
        feeds = {"embedding": of.embedding(position)[None]}
        raw, patches = run(session, ["raw_score", "patch_scores"], feeds)
        return float(raw[0]), patches[0]

    def unseeing_score(position: int) -> tuple[float, NDArray[np.float32]]:
        unseeing = None if session_for is None else session_for(position)
        return score(features.scored, position, unseeing or finished)

    parts = list(map_in_order(unseeing_score, range(features.given), threads=threads))
    raw = np.array([part[0] for part in parts], dtype=np.float32)
    return Learned(
        head=head,
        scores=GoodScores(
            raw=raw,
            typical=np.array([np.median(part[1]) for part in parts], dtype=np.float64),
            highest=np.array([part[1].max() for part in parts], dtype=np.float32),
            patch_scores=lambda position: unseeing_score(position)[1],
        ),
        finished_score=lambda position: score(features, position, finished)[0],
        least_scale=(float(np.median(raw)) or 1.0) if least_scale is None else least_scale,
        **described,
    )


def described_training(numbers: TrainingSettings, losses: dict[str, list[float]]) -> Training:
    """What the metadata say of any training: its numbers, and the loss of each epoch by stage."""
    return Training(
        batch_size=numbers.batch_size,
        learning_rate=numbers.learning_rate,
        weight_decay=numbers.weight_decay,
        losses={stage: [float(f"{loss:.6g}") for loss in values] for stage, values in losses.items()},
    )
