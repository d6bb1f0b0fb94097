"""`deep-svdd` with a network that is trained from nothing: what it trains on, and what comes out.

What it trains is in `onlygood.training.deep_svdd`, what it computes in `onlygood.detectors.deep_svdd.head`.
"""

from __future__ import annotations

from collections.abc import Sequence

from onlygood._progress import status_line
from onlygood.architectures import ARCHITECTURES
from onlygood.detectors.base import Detector, Embedding, FitTask, Learned, Split
from onlygood.detectors.deep_svdd.head import hypersphere, image_embedding, network_input
from onlygood.detectors.deep_svdd.numbers import described_sphere, described_stages, hypersphere_numbers
from onlygood.detectors.deep_svdd.settings import DeepSvdd
from onlygood.detectors.trained import described_training, learned_network, load_torch, make_checkpoint, training_values
from onlygood.errors import FolderError, SettingError
from onlygood.features.extraction import Features
from onlygood.graph.subgraph import OPSET

# Of contrast-normalised images: flat ones have a thousandth, by rounding, and others more than one.
LEAST_RANGE = 0.01


class DeepSvddDetector(Detector):
    """The detector of `onlygood.DeepSvdd` but for network="pretrained". Its embedding is the image as the network
    takes it.

    Args:
        settings: of the method.
        task: of the fit.
    """

    def __init__(self, settings: DeepSvdd, task: FitTask) -> None:
        self.settings = settings
        self.task = task
        self.architecture = ARCHITECTURES[settings.network]
        self.input_size = settings.input_size or self.architecture.input_size
        multiple = self.architecture.multiple
        if self.input_size != self.architecture.input_size if multiple == 0 else self.input_size % multiple:
            required = f"a multiple of {multiple}" if multiple else str(self.architecture.input_size)
            raise SettingError(f"input_size must be {required} for network {settings.network}, got {self.input_size}")

    @property
    def _channels(self) -> int | None:
        """How many channels of an image the network takes; None for as many as the good images have, 1 or 3."""
        return self.task.kind.channels if self.task.kind.groups else self.architecture.channels

    @property
    def embedding(self) -> Embedding:  # noqa: D102
        image = image_embedding(
            input_size=self.input_size,
            channels=self._channels or 3,
            contrast_normalised=self.architecture.contrast_normalised,
            dtype=self.task.kind.dtype,
            window=self.task.kind.window,
            source=self.task.kind.source,
            has_mask=self.task.kind.has_mask,
            groups=self.task.kind.groups,
            opset=OPSET,
        )
        return Embedding(subgraphs=[image], input_shape=(self.input_size, self.input_size), opset=OPSET)

    def learn(self, features: Features, split: Split) -> Learned:  # noqa: D102
        load_torch(show_progress=self.task.show_progress)
        from onlygood.training.deep_svdd import train_deep_svdd
        from onlygood.training.export import encoder_subgraph

        settings, architecture, threads = self.settings, self.architecture, self.task.settings.threads
        # Grey images have three equal channels: one of them is enough.
        channels = self._channels or features.channels
        images = training_values(features, split.fitted, threads=threads, channels=channels)
        low, high = 0.0, 1.0
        if architecture.contrast_normalised:
            low, high = float(images.min()), float(images.max())
            if high - low < LEAST_RANGE:
                raise FolderError(
                    f"good images must show something, got {len(images)} to train on in which every pixel has the "
                    "same level: check light and exposure, or try another seed if others show something"
                )
            images -= low
            images /= high - low
        numbers = hypersphere_numbers(
            settings,
            architecture,
            pretrain_epochs=(
                architecture.epochs_for(architecture.pretrain_epochs, len(images))
                if settings.pretrain_epochs is None
                else settings.pretrain_epochs
            ),
            epochs=architecture.epochs_for(architecture.epochs, len(images)),
            seed=self.task.settings.seed,
        )
        checkpoint = make_checkpoint(settings, self.task, features, split, numbers)
        with status_line(show=self.task.show_progress) as show:
            trained = train_deep_svdd(architecture, numbers, images, checkpoint=checkpoint, show=show)
        center = trained.center.numpy()
        if architecture.has_places:
            side = self.input_size // architecture.multiple
            center = center.reshape(-1, side, side)
        head = [
            network_input(channels=channels, low=low, high=high, opset=OPSET),
            encoder_subgraph(
                trained.encoder,
                source="network_input",
                result="latent",
                rank=4 if architecture.has_places else 2,
                opset=OPSET,
            ),
            hypersphere(center, opset=OPSET),
        ]
        return learned_network(
            head,
            features,
            threads=threads,
            description=described_stages(architecture.name, numbers, trained, radius=trained.radius),
            facts={
                "network": architecture.name,
                "source": architecture.source,
                "channels": channels,
                **described_sphere(numbers, trained),
            },
            training=described_training(numbers, trained.losses),
            notes=_enlarged(features.sizes, self.input_size),
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
