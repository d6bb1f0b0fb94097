"""Deep SVDD as a method: what it trains on, what the network that comes out scores, and what the file says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.architectures import ARCHITECTURES, PRETRAINED, Architecture, FineTuning
from onlygood.detectors.base import TrainingFiles
from onlygood.detectors.deep_svdd.head import hypersphere, image_embedding, network_input
from onlygood.detectors.fine_tuned import FineTunedMethod
from onlygood.detectors.trained import TrainedMethod, described_training, terminal_line
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening, precision_of
from onlygood.errors import FolderError, SettingError
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.graph.pooled import (
    gradient_map,
    pooled_vector,
    squared_mahalanobis,
    unit_vector,
)
from onlygood.graph.subgraph import OPSET
from onlygood.settings import FitSettings, check_warmup

if TYPE_CHECKING:
    from onlygood.training.deep_svdd import HypersphereSettings, Trained

# Of contrast-normalised images: flat ones have a thousandth, by rounding, and others more than one.
LEAST_RANGE = 0.01


class DeepSvddMethod(TrainedMethod):
    """`--method deep-svdd` with a network that is trained from nothing. What it trains is in
    `onlygood.training.deep_svdd`, what it computes in `onlygood.detectors.deep_svdd.head`. What it calls the embedding
    is the image as the network takes it.
    """

    opset = OPSET

    def __init__(self, settings: FitSettings, *, files: TrainingFiles | None, show_progress: bool) -> None:
        super().__init__(settings, files=files, show_progress=show_progress)
        self.architecture = ARCHITECTURES[settings.network]
        self.input_size = settings.input_size or self.architecture.input_size
        multiple = self.architecture.multiple
        if self.input_size != self.architecture.input_size if multiple == 0 else self.input_size % multiple:
            required = f"a multiple of {multiple}" if multiple else str(self.architecture.input_size)
            raise SettingError(f"input_size must be {required} for network {settings.network}, got {self.input_size}")

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [
            image_embedding(
                input_size=self.input_size,
                channels=self.architecture.channels or 3,
                contrast_normalised=self.architecture.contrast_normalised,
                dtype=kind.dtype,
                window=kind.window,
                opset=self.opset,
            )
        ]

    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        from onlygood.training.deep_svdd import train_deep_svdd
        from onlygood.training.export import encoder_piece

        self.notes = _enlarged(seen.sizes, self.input_size)
        # Grey images have three equal channels: one of them will do.
        self.channels = self.architecture.channels or seen.channels
        images = self.training_values(seen, np.flatnonzero(~held_out), channels=self.channels)
        low, high = 0.0, 1.0
        if self.architecture.contrast_normalised:
            low, high = float(images.min()), float(images.max())
            if high - low < LEAST_RANGE:
                raise FolderError(
                    f"good images must show something, got {len(images)} to train on in which every pixel has the "
                    "same level: check light and exposure, or try another seed if others show something"
                )
            images -= low
            images /= high - low
        settings, architecture = self.settings, self.architecture
        self.numbers = _hypersphere_settings(
            settings,
            architecture,
            pretrain_epochs=(
                architecture.epochs_for(architecture.pretrain_epochs, len(images))
                if settings.pretrain_epochs is None
                else settings.pretrain_epochs
            ),
            epochs=architecture.epochs_for(architecture.epochs, len(images)),
        )
        checkpoint = self.checkpoint(seen, held_out, self.numbers)
        show = terminal_line(wanted=self.show_progress)
        self.trained = train_deep_svdd(architecture, self.numbers, images, checkpoint=checkpoint, show=show)
        if show is not None:
            show("")
        center = self.trained.center.numpy()
        if architecture.has_places:
            side = self.input_size // architecture.multiple
            center = center.reshape(-1, side, side)
        self.use(
            seen,
            [
                network_input(channels=self.channels, low=low, high=high, opset=self.opset),
                encoder_piece(
                    self.trained.encoder,
                    source="network_input",
                    result="latent",
                    rank=4 if architecture.has_places else 2,
                    opset=self.opset,
                ),
                hypersphere(center, opset=self.opset),
            ],
        )

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {
            "deep_svdd": {
                "network": self.architecture.name,
                "source": self.architecture.source,
                "channels": self.channels,
                **_described(self.numbers, self.trained),
            },
            "training": described_training(self.numbers, self.trained.losses),
        }


class PretrainedSvddMethod(FineTunedMethod):
    """`--method deep-svdd --network pretrained`. What it trains is in `onlygood.training.fine_tuning`, what it computes
    in `onlygood.graph.pooled`.
    """

    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        from onlygood.training.deep_svdd import solve_radius
        from onlygood.training.fine_tuning import fine_tune

        settings = self.settings
        maps = self.training_values(seen, np.flatnonzero(~held_out))
        self.numbers = _hypersphere_settings(
            settings, PRETRAINED, pretrain_epochs=0, epochs=PRETRAINED.epochs_for(len(maps))
        )
        checkpoint = self.checkpoint(seen, held_out, self.numbers)
        show = terminal_line(wanted=self.show_progress)
        self.tuned = fine_tune(
            self.parts.tail.graph, self.parts.trained, self.numbers, maps, checkpoint=checkpoint, show=show
        )
        if show is not None:
            show("")
        vectors = self.tuned.vectors
        mean, whitening = learn_whitening(vectors, shrinkage=WHOLE_SHRINKAGE)
        squared = np.square((vectors - mean) @ whitening).sum(axis=1)
        self.radius = solve_radius(squared, settings.nu)
        self.use(
            seen,
            [
                *self.tuned_end(self.tuned.learned),
                pooled_vector(self.parts.end, opset=self.opset),
                unit_vector(opset=self.opset),
                squared_mahalanobis("unit_vector", mean, precision_of(whitening), opset=self.opset),
                gradient_map(self.parts.end, has_basis=False, of_unit_vector=True, opset=self.opset),
            ],
        )

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {
            "backbone": self.backbone.card.to_dict(),
            "deep_svdd": {
                "network": self.settings.network,
                "source": f"{self.backbone.card.name}, {self.tap.name}, the last {self.settings.trained_layers} layers "
                "trained; whitened unit vectors",
                **_described(self.numbers, self.tuned.trained),
                "trained_radius": self.radius,
            },
            "training": described_training(self.numbers, self.tuned.trained.losses),
        }


def _hypersphere_settings(
    settings: FitSettings, defaults: Architecture | FineTuning, *, pretrain_epochs: int, epochs: int
) -> HypersphereSettings:
    """The numbers of a training: those of the settings, and where they leave them open those given here."""
    from onlygood.training.deep_svdd import HypersphereSettings

    assert settings.weight_decay is not None  # settings fill it in
    epochs = settings.epochs or epochs
    warmup_epochs = settings.warmup_epochs or max(1, min(defaults.warmup_epochs, epochs // 2))
    if settings.objective == "soft-boundary":
        check_warmup(warmup_epochs, epochs)
    return HypersphereSettings(
        objective=settings.objective,
        nu=settings.nu,
        warmup_epochs=warmup_epochs,
        pretrain_epochs=pretrain_epochs,
        epochs=epochs,
        batch_size=settings.batch_size or defaults.batch_size,
        learning_rate=settings.learning_rate or defaults.learning_rate,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        accelerator=settings.accelerator,
    )


def _enlarged(sizes: Sequence[tuple[int, int]], input_size: int) -> list[str]:
    """A note if images, (height, width) each, are smaller than the network takes them."""
    smaller = [size for size in sizes if min(size) < input_size]
    if not smaller:
        return []
    height, width = min(smaller, key=min)
    return [
        f"{len(smaller)} of {len(sizes)} good images are smaller than the {input_size} x {input_size} "
        f"pixels that the network takes (down to {width} x {height}): they are enlarged, which adds time and no detail."
    ]


def _described(numbers: HypersphereSettings, trained: Trained) -> dict[str, Any]:
    return {
        "latent": len(trained.center),
        "objective": numbers.objective,
        "nu": numbers.nu,
        **({"warmup_epochs": numbers.warmup_epochs} if numbers.objective == "soft-boundary" else {}),
        "trained_radius": trained.radius,
    }
