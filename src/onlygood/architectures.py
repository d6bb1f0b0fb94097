"""What a fit must know of a trainable network before torch is there: its size, its preprocessing, its defaults."""

from __future__ import annotations

from dataclasses import dataclass

# However many images there are, each is shown so often.
LEAST_EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network that Deep SVDD can train.

    Attributes:
        name: what `--network` calls it.
        input_size: pixels a side, unless another is asked for.
        multiple: the size must be a multiple of this; 0 if it must be `input_size`.
        channels: of grey and colour images; None for as many as the good images have, 1 or 3. Of others it takes all.
        contrast_normalised: whether global contrast normalisation (L1) belongs to it.
        has_places: whether its latent is [c, h, w], so that each place's share of the distance is a map.
        pretrain_epochs: of the autoencoder.
        pretrain_milestone: share of the autoencoder's epochs after which the learning rate is a tenth.
        pretrain_weight_decay: of the autoencoder; that of the hypersphere stage, lambda in the paper, is a setting.
        epochs: of the hypersphere stage.
        milestone: share of its epochs after which the learning rate is a tenth.
        warmup_epochs: of the soft boundary, and half of the epochs at most.
        batch_size: images a step.
        learning_rate: of Adam, in both stages.
        most_shown: images shown in a stage at most: of many there are fewer epochs, down to LEAST_EPOCHS. None for
            as many epochs, however many images there are.
        source: where it comes from.
    """

    name: str
    input_size: int
    multiple: int
    channels: int | None
    contrast_normalised: bool
    has_places: bool
    pretrain_epochs: int
    pretrain_milestone: float
    pretrain_weight_decay: float
    epochs: int
    milestone: float
    warmup_epochs: int = 10
    batch_size: int
    learning_rate: float
    most_shown: int | None
    source: str

    def epochs_for(self, epochs: int, images: int) -> int:
        """So many epochs, or fewer where there are many images."""
        return _bounded(epochs, images, least=LEAST_EPOCHS, most_shown=self.most_shown)


_PAPER = "Ruff et al., Deep One-Class Classification, ICML 2018"

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="conv-128",
            input_size=128,
            multiple=32,
            channels=None,
            contrast_normalised=False,
            has_places=True,
            pretrain_epochs=60,
            pretrain_milestone=0.75,
            pretrain_weight_decay=5e-4,
            epochs=60,
            milestone=0.75,
            batch_size=8,
            learning_rate=1e-3,
            most_shown=60_000,
            source="five stages to a latent space of 4 x 4 x 32",
        ),
        Architecture(
            name="lenet-mnist",
            input_size=28,
            multiple=0,
            channels=1,
            contrast_normalised=True,
            has_places=False,
            pretrain_epochs=150,
            pretrain_milestone=1 / 3,
            pretrain_weight_decay=5e-4,
            epochs=150,
            milestone=1 / 3,
            batch_size=200,
            learning_rate=1e-4,
            most_shown=None,
            source=_PAPER,
        ),
        Architecture(
            name="lenet-cifar10",
            input_size=32,
            multiple=0,
            channels=3,
            contrast_normalised=True,
            has_places=False,
            pretrain_epochs=350,
            pretrain_milestone=5 / 7,
            pretrain_weight_decay=5e-7,
            epochs=150,
            milestone=1 / 3,
            batch_size=200,
            learning_rate=1e-4,
            most_shown=None,
            source=_PAPER,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """The defaults of training the end of a backbone, whichever it is, or a small network on top of it.

    Attributes:
        name: what it is called.
        epochs: at most; training stops earlier, by what it has done.
        least_epochs: as many, however many images there are.
        most_shown: good images (or patches, where these are trained on) shown at most, but for least_epochs; None
            for no such bound. What changes a network is steps, not epochs: of many images few epochs are enough, and
            more only forget.
        batch_size: images a step.
        learning_rate: of Adam.
        weight_decay: of Adam.
        warmup_epochs: of deep-svdd's soft boundary, and half of the epochs at most. One: some have nearly done their
            work after that.
    """

    name: str
    epochs: int
    least_epochs: int = 1
    warmup_epochs: int = 1
    most_shown: int | None = None
    batch_size: int
    learning_rate: float
    weight_decay: float

    def epochs_for(self, images: int) -> int:
        """The most epochs for so many images."""
        return _bounded(self.epochs, images, least=self.least_epochs, most_shown=self.most_shown)


def _bounded(epochs: int, images: int, *, least: int, most_shown: int | None) -> int:
    """So many epochs, or fewer, down to the least, where they would show more images than are to be shown."""
    return epochs if most_shown is None else max(min(epochs, least), min(epochs, most_shown // images))


# As the network of deep-svdd.
PRETRAINED = FineTuning(
    name="pretrained",
    epochs=100,
    batch_size=64,
    learning_rate=5e-5,
    weight_decay=5e-7,
)
# Learning rate and weight decay are Perera and Patel's.
DOC = FineTuning(
    name="doc",
    epochs=50,
    least_epochs=3,
    most_shown=16_000,
    batch_size=64,
    learning_rate=5e-5,
    weight_decay=5e-5,
)
# Of patches: about 700 steps. Longer training tells noise better, and defects no better.
DISCRIMINATOR = FineTuning(
    name="discriminator",
    epochs=700,
    least_epochs=3,
    most_shown=180_000,
    batch_size=256,
    learning_rate=1e-3,
    weight_decay=1e-5,
)
