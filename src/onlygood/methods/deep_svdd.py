"""Deep SVDD as a method: what it trains on, what the network that comes out scores, and what the file says of it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.architectures import ARCHITECTURES
from onlygood.errors import SettingError
from onlygood.extras import need_extra
from onlygood.graph.fragments import OPSET, join
from onlygood.graph.runtime import open_session, run
from onlygood.graph.svdd_head import hypersphere, network_input, picture_embedding
from onlygood.methods.method import GoodScores, Method, TrainingFiles
from onlygood.parallel import map_in_order
from onlygood.settings import FitSettings
from onlygood.survey import InputKind, Survey

# Pictures that are trained on are kept in memory, decoded and resized: so many bytes of them at most.
MOST_TRAINING_BYTES = 6_000_000_000


class DeepSvddMethod(Method):
    """`--method deep-svdd`. What it trains is in `onlygood.training.deep_svdd`, what it computes in
    `onlygood.graph.svdd_head`. What it calls the embedding is the picture as the network takes it.
    """

    opset = OPSET
    rows_each = 1

    def __init__(self, settings: FitSettings, *, files: TrainingFiles | None, show_progress: bool) -> None:
        for library, module in (("torch", "torch"), ("Lightning Fabric", "lightning_fabric")):
            need_extra(library, module=module, extra="train", purpose="--method deep-svdd")
        self.settings = settings
        self.files = files
        self.show_progress = show_progress
        self.architecture = ARCHITECTURES[settings.network]
        self.input_size = settings.input_size or self.architecture.input_size
        multiple = self.architecture.multiple
        if self.input_size != self.architecture.input_size if multiple == 0 else self.input_size % multiple:
            required = f"a multiple of {multiple}" if multiple else str(self.architecture.input_size)
            raise SettingError(f"input_size must be {required} for network {settings.network}, got {self.input_size}")

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [
            picture_embedding(
                input_size=self.input_size,
                channels=self.architecture.channels or 3,
                contrast_normalised=self.architecture.contrast_normalised,
                dtype=kind.dtype,
                window=kind.window,
                opset=self.opset,
            )
        ]

    def learn(self, seen: Survey, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        from onlygood.training.deep_svdd import HypersphereSettings, train_deep_svdd
        from onlygood.training.export import encoder_piece

        self.seen = seen
        # Grey pictures have three equal channels: one of them will do.
        self.channels = self.architecture.channels or seen.channels
        pictures = self._training_pictures(np.flatnonzero(~held_out))
        low, high = (float(pictures.min()), float(pictures.max())) if self.architecture.contrast_normalised else (0, 1)
        settings, architecture = self.settings, self.architecture
        checkpoint = self._checkpoint(seen, held_out)
        show = _terminal_line() if self.show_progress else None
        self.trained = train_deep_svdd(
            architecture,
            HypersphereSettings(
                objective=settings.objective,
                nu=settings.nu,
                warmup_epochs=settings.warmup_epochs,
                pretrain_epochs=(
                    architecture.pretrain_epochs if settings.pretrain_epochs is None else settings.pretrain_epochs
                ),
                epochs=settings.epochs or architecture.epochs,
                batch_size=settings.batch_size or architecture.batch_size,
                learning_rate=settings.learning_rate or architecture.learning_rate,
                weight_decay=settings.weight_decay,
                seed=settings.seed,
                accelerator=settings.accelerator,
            ),
            (pictures - low) / (high - low),
            checkpoint=checkpoint,
            show=show,
        )
        if show is not None:
            show("")
        center = self.trained.center.numpy()
        if architecture.has_places:
            side = self.input_size // architecture.multiple
            center = center.reshape(-1, side, side)
        self.pieces = [
            network_input(channels=self.channels, low=low, high=high, opset=self.opset),
            encoder_piece(
                self.trained.encoder,
                source="network_input",
                result="latent",
                rank=4 if architecture.has_places else 2,
                opset=self.opset,
            ),
            hypersphere(center, opset=self.opset),
        ]
        head = join(*self.pieces, outputs=["raw_score", "patch_scores"])
        self.session = open_session(head.SerializeToString(), threads=1)

    def good_scores(self) -> GoodScores:  # noqa: D102
        parts = list(map_in_order(self._score, range(len(self.seen.sources)), threads=self.settings.threads))
        raw = np.array([part[0] for part in parts], dtype=np.float32)
        # Squared distances of a trained network may all be far below 1.
        self.least_scale = float(np.median(raw))
        return GoodScores(
            raw=raw,
            typical=np.array([np.median(part[1]) for part in parts], dtype=np.float64),
            highest=np.array([part[1].max() for part in parts], dtype=np.float32),
            patch_scores=lambda position: self._score(position)[1],
        )

    def finished_score(self, position: int) -> float:  # noqa: D102
        return self._score(position)[0]

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return self.pieces

    def describe(self) -> dict[str, Any]:  # noqa: D102
        trained = self.trained
        return {
            "deep_svdd": {
                "network": self.architecture.name,
                "source": self.architecture.source,
                "channels": self.channels,
                "latent": len(trained.center),
                "objective": self.settings.objective,
                "nu": self.settings.nu,
                "trained_radius": trained.radius,
            },
            "training": {
                "losses": {
                    stage: [float(f"{loss:.6g}") for loss in losses] for stage, losses in trained.losses.items()
                },
            },
        }

    def finished(self) -> None:  # noqa: D102
        if self.files is not None:
            self.files.checkpoint.unlink(missing_ok=True)

    def _training_pictures(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The pictures at these positions as the network takes them, float32 [n, c, H, W], before scaling."""
        shape = (len(positions), self.channels, self.input_size, self.input_size)
        size = 4 * int(np.prod(shape))
        if size > MOST_TRAINING_BYTES:
            raise SettingError(
                f"pictures to train on must fit into {MOST_TRAINING_BYTES:,} bytes, got {len(positions):,} of "
                f"{size // len(positions):,} bytes each: give fewer pictures or a smaller input_size"
            )
        pictures = np.empty(shape, dtype=np.float32)
        found = map_in_order(self._embedding, positions.tolist(), threads=self.settings.threads)
        for place, embedding in enumerate(found):
            pictures[place] = embedding[:, :, : self.channels].transpose(2, 0, 1)
        return pictures

    def _embedding(self, position: int) -> NDArray[np.float32]:
        kept = self.seen.embeddings[position]
        return self.seen.embedder(self.seen.sources[position].read()) if kept is None else kept

    def _score(self, position: int) -> tuple[float, NDArray[np.float32]]:
        feeds = {"embedding": self._embedding(position)[None]}
        raw, patches = run(self.session, ["raw_score", "patch_scores"], feeds)
        return float(raw[0]), patches[0]

    def _checkpoint(self, seen: Survey, held_out: NDArray[np.bool_]) -> Any:
        from onlygood.training.checkpoint import Checkpoint

        if self.files is None:
            return None
        pictures = hashlib.sha256("\n".join(seen.digests).encode() + held_out.tobytes()).hexdigest()
        decisive = {key: value for key, value in self.settings.to_json().items() if key not in _NOT_DECISIVE}
        fingerprint = {"method": self.settings.method, **decisive, "pictures": pictures}
        return Checkpoint(self.files.checkpoint, fingerprint, resume=self.files.resume)


# Settings that change nothing about training.
_NOT_DECISIVE = ("method", "threads", "accelerator", "max_pixels", "max_bytes", "false_alarm_rate", "augmentation")


def _terminal_line() -> Callable[[str], None] | None:
    """Shows the latest line on a terminal; None where there is none."""
    if not sys.stderr.isatty():
        return None

    def show(text: str) -> None:
        # One line that is written over, and cleared at its end by the next.
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()

    return show
