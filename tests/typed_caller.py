"""What a type checker finds in a caller's code before it is run: part of `make check`, never run.

Each line below that is marked is an error. Were one not found, its mark would be reported as unused.
"""

from pathlib import Path

import onlygood


def right() -> onlygood.Model:
    onlygood.fit("good", method="knn", false_alarm_rate=0.01, window=(0, 4095), threads=2)
    onlygood.fit(Path("good"), method=onlygood.Knn(num_neighbors=3, metric="whitened"))
    onlygood.fit("good", method=onlygood.make_method("of-another-package", anything=1))
    return onlygood.fit("good", method=onlygood.Doc(reference="others"), exclude=["a.png"])


def compared() -> str | None:
    onlygood.compare("parts", ["patch", onlygood.Knn(num_neighbors=3)], group_by="folder", models=Path("kept"))
    onlygood.compare("parts", ["patchcore"])  # type: ignore[list-item]
    onlygood.compare("parts", method="patch")  # type: ignore[call-arg]
    return onlygood.compare("parts").recommendation.method


def products(found: onlygood.Products) -> tuple[str, int, float]:
    onlygood.fit_products({"bolt": "bolts"}, Path("models"), false_alarm_rate=0.01)
    onlygood.Products("models", max_opened=3)  # type: ignore[call-arg]
    found("1.png", product=1.0)  # type: ignore[arg-type]
    inspection = found("1.png", product="nearest")
    return inspection.product, inspection.recipe, inspection.score


def misspelt_keywords() -> None:
    onlygood.fit("good", false_alarm=0.01)  # type: ignore[arg-type]
    onlygood.fit("good", method=onlygood.Knn(num_neighbours=3))  # type: ignore[call-arg]
    onlygood.AugmentationSettings(shifts=0.1)  # type: ignore[call-arg]


def wrong_types() -> None:
    onlygood.fit("good", false_alarm_rate="low")  # type: ignore[arg-type]
    onlygood.fit("good", threads=1.5)  # type: ignore[arg-type]
    onlygood.fit("good", window=(0, 128, 255))  # type: ignore[arg-type]
    onlygood.fit("good", method=onlygood.Patch(bank_size="large"))  # type: ignore[arg-type]


def wrong_references() -> None:
    onlygood.Doc(reference=3)  # type: ignore[arg-type]


def settings_of_another_method() -> None:
    onlygood.fit("good", num_neighbors=3)  # type: ignore[arg-type]
    onlygood.Patch(num_neighbors=3)  # type: ignore[call-arg]


def unknown_names() -> None:
    onlygood.fit("good", method="patchcore")  # type: ignore[arg-type]
    onlygood.fit("good", calibration="jackknife")  # type: ignore[arg-type]
    onlygood.Lof(metric="manhattan")  # type: ignore[arg-type]
    onlygood.kmeans("good")  # type: ignore[attr-defined]


def what_comes_back(model: onlygood.Model) -> tuple[float, str, float]:
    model.metadata.guarantee.stated_rates  # type: ignore[attr-defined]  # noqa: B018
    metadata = model.metadata
    return metadata.calibration.threshold, metadata.input.dtype, metadata.guarantee.stated_rate
