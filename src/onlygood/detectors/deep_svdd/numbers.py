"""The numbers of a training of Deep SVDD, and what is said of it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onlygood.architectures import Architecture, FineTuning
from onlygood.detectors.deep_svdd.settings import DeepSvdd, check_warmup

if TYPE_CHECKING:
    from onlygood.training.deep_svdd import HypersphereSettings, Trained


def hypersphere_numbers(
    settings: DeepSvdd, defaults: Architecture | FineTuning, *, pretrain_epochs: int, epochs: int, seed: int
) -> HypersphereSettings:
    """The numbers of a training: those of the settings, and where they leave them open those given here.

    Raises:
        SettingError: a warm-up that is not shorter than the training.
    """
    from onlygood.training.deep_svdd import HypersphereSettings

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
        seed=seed,
        accelerator=settings.accelerator,
    )


def described_sphere(numbers: HypersphereSettings, trained: Trained) -> dict[str, Any]:
    """What the metadata say of a hypersphere."""
    return {
        "latent": len(trained.center),
        "objective": numbers.objective,
        "nu": numbers.nu,
        **({"warmup_epochs": numbers.warmup_epochs} if numbers.objective == "soft-boundary" else {}),
        "trained_radius": trained.radius,
    }


def described_stages(network: str, numbers: HypersphereSettings, trained: Trained, *, radius: float) -> str:
    """What was trained, in a line."""
    epochs = " + ".join(f"{len(values)} epochs ({stage})" for stage, values in trained.losses.items())
    nu = f", nu {numbers.nu:g}" if numbers.objective == "soft-boundary" else ""
    return (
        f"network {network}, {len(trained.center)}-dimensional latent space, objective {numbers.objective}{nu}, "
        f"{epochs}, trained radius {radius:.4g}"
    )
