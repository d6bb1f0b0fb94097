"""Several products: one model each or one of all, and whether the nearest of the models is an image's own product.

    python -m benchmarks.studies.products --data ../shared/data -o products.json     # ten minutes on two cores
    python -m benchmarks.studies.products -o products.json                           # the same tables again

Two families of products: five sets of parts in MVTec's layout, which differ much, and the ten digits of MNIST, which
are alike. Of each product, at most so many good images are learned from, evenly spaced among all, and at most so many
good and defective ones tested.

The rule that says how near a product is, is chosen without test images: models of two thirds of the images to learn
from are asked about the other third, each as it is and with a square planted into it. All rules are then measured on
test images, with models of all images to learn from; digits have no defective ones there, and get planted squares.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import onlygood
from benchmarks.datasets.one_versus_rest import OneVersusRest, Part
from benchmarks.datasets.opening import open_dataset
from benchmarks.fitting import fit_method

SETS = ("aliens", "casting", "cookies", "deeppcb", "piston")
LEARNED, GOOD, DEFECTIVE = 45, 15, 20
# The side of a planted square, as a share of the image's shorter one.
PLANTED = 0.2

Pixels = NDArray[Any]
# What an image's raw score is by a product's model, relative to that product's own calibration scores: small is near.
Rule = Callable[[float, float, Mapping[str, float]], float]
# The score of an image that decides.
Judge = Callable[[Mapping[str, Any]], float]


def above(quantile: str | None) -> Rule:
    """The raw score above a quantile of the product's own calibration scores, in the unit that all have."""
    return lambda score, _, own: score + own["threshold"] - own["median"] - (own[quantile] if quantile else 0.0)


def deviation(spread: str) -> Rule:
    """Above the median of the product's own calibration scores, in units of a spread of these."""
    return lambda score, _, own: (score + own["threshold"] - own["median"]) / own[spread]


RULES: dict[str, Rule] = {
    "score": lambda score, _, __: score,
    "p-value": lambda _, p_value, __: -p_value,
    "raw score": lambda score, _, own: score + own["threshold"],
    "raw score above the median": above(None),
    "raw score above the 0.9 quantile": above("to 0.9"),
    "raw score above the 0.95 quantile": above("to 0.95"),
    "raw score above the highest": above("to highest"),
    "raw score over the median": lambda score, _, own: (score + own["threshold"]) / own["median"],
    "raw score over the threshold": lambda score, _, own: (score + own["threshold"]) / own["threshold"],
    "deviation, spread by the median deviation": deviation("mad"),
    "deviation, spread by the quartiles": deviation("quartiles"),
    "deviation, spread from median to threshold": deviation("to threshold"),
    "deviation, spread from median to 0.9 quantile": deviation("to 0.9"),
    "deviation, spread from median to 0.95 quantile": deviation("to 0.95"),
    "deviation, spread from median to highest": deviation("to highest"),
}


@dataclass(frozen=True)
class Asked:
    """An image that every model is asked about."""

    product: str
    kind: str
    name: str
    read: Callable[[], Pixels]


@dataclass(frozen=True)
class Family:
    """Products, and of each the images to learn from and those to test."""

    name: str
    learned: Mapping[str, Sequence[Asked]]
    tested: Mapping[str, Sequence[Asked]]


def some(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly spaced."""
    return [items[at] for at in np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int).tolist()]


def parts(data: Path) -> Family:
    """The five sets of parts."""

    def found(product: str, folder: str, kind: str) -> list[Asked]:
        paths = sorted(data.joinpath(product, folder).rglob("*"))
        paths = [path for path in paths if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp")]
        paths = [path for path in paths if (path.parent.name == "good") == (kind == "good")]
        return [Asked(product, kind, path.name, partial(onlygood.read_image, path)) for path in paths]

    return Family(
        "five parts",
        {name: some(found(name, "train/good", "good"), LEARNED) for name in SETS},
        {
            name: some(found(name, "test", "good"), GOOD) + some(found(name, "test", "defective"), DEFECTIVE)
            for name in SETS
        },
    )


def digits(data: Path) -> Family:
    """The ten digits."""
    found = open_dataset("mnist", data / "mnist")
    assert isinstance(found, OneVersusRest)

    def of(part: Part, label: int, most: int) -> list[Asked]:
        places = np.array(some(np.flatnonzero(part.labels == label).tolist(), most))
        images = [onlygood.read_image(image.source) for image in part.load(places)]
        return [
            Asked(f"digit {label}", "good", str(place), partial(np.copy, image))
            for place, image in zip(places, images, strict=True)
        ]

    return Family(
        "ten digits",
        {f"digit {label}": of(found.train, label, LEARNED) for label in range(10)},
        {f"digit {label}": with_planted(of(found.test, label, GOOD)) for label in range(10)},
    )


def planted(image: Pixels, seed: int) -> Pixels:
    """The image with a square of one level, drawn at random, somewhere in its middle half."""
    random = np.random.default_rng(seed)
    height, width = image.shape[:2]
    side = max(round(PLANTED * min(height, width)), 2)
    top = int(random.integers(height // 4, 3 * height // 4 - side + 1))
    left = int(random.integers(width // 4, 3 * width // 4 - side + 1))
    changed = image.copy()
    changed[top : top + side, left : left + side] = random.integers(0, 256, changed.shape[2:])
    return changed


def planted_into(image: Asked, seed: int) -> Pixels:
    return planted(image.read(), seed)


def with_planted(images: Sequence[Asked]) -> list[Asked]:
    """The images, and each of them with a square."""
    return [
        *images,
        *(Asked(each.product, "planted", each.name, partial(planted_into, each, at)) for at, each in enumerate(images)),
    ]


def own_scores(inspector: onlygood.Inspector) -> dict[str, float]:
    """What the rules need to know of a product's calibration scores."""
    found = inspector.calibration_scores
    assert found is not None
    scores = found.scores.astype(np.float64)
    low, median, high, nearly, nearly_all = np.quantile(scores, (0.25, 0.5, 0.75, 0.9, 0.95)).tolist()
    return {
        "threshold": float(found.threshold),
        "median": median,
        "mad": float(np.median(np.abs(scores - median))),
        "quartiles": high - low,
        "to threshold": float(found.threshold) - median,
        "to 0.9": nearly - median,
        "to 0.95": nearly_all - median,
        "to highest": float(scores[-1]) - median,
    }


def fitted(learned: Mapping[str, Sequence[Asked]], *, threads: int) -> dict[str, onlygood.Model]:
    return {
        name: fit_method([onlygood.NamedImage(each.name, each.read()) for each in images], threads=threads)
        for name, images in learned.items()
    }


def verdicts(
    models: Mapping[str, onlygood.Model], tested: Mapping[str, Sequence[Asked]], *, threads: int
) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """What each model says of each image, and what its own calibration scores are."""
    inspectors = {name: onlygood.Inspector(model, with_map=False) for name, model in models.items()}
    own = {name: own_scores(inspector) for name, inspector in inspectors.items()}
    rows: list[dict[str, Any]] = []
    for product, images in tested.items():
        pixels = [onlygood.NamedImage(each.name, each.read()) for each in images]
        said = {name: list(each.map(pixels, threads=threads)) for name, each in inspectors.items()}
        for at, image in enumerate(images):
            results = {name: results[at] for name, results in said.items()}
            by = {
                name: (result.score, result.p_value)
                for name, result in results.items()
                if not isinstance(result, onlygood.ImageError)  # of another kind than that product's images
            }
            rows.append({"product": product, "image": image.name, "kind": image.kind, "by": by})
    return own, rows


def show_rules(title: str, own: Mapping[str, Mapping[str, float]], rows: Sequence[Mapping[str, Any]]) -> None:
    """For how many images each rule finds their own product the nearest."""
    print(title)
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    for called, rule in RULES.items():
        right, count = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
        for row in rows:
            nearest = min((rule(said[0], said[1], own[name]), name) for name, said in row["by"].items())[1]
            right[row["kind"]] += nearest == row["product"]
            count[row["kind"]] += 1
        print(f"  {called}: {', '.join(f'{kind} {right[kind]}/{count[kind]}' for kind in kinds)}", flush=True)


def show_counts(title: str, judge: Judge, rows: Sequence[Mapping[str, Any]]) -> None:
    """False alarms and misses, by the score that decides."""
    for product in [*dict.fromkeys(row["product"] for row in rows), None]:
        of = [row for row in rows if product in (None, row["product"])]
        flagged = [judge(row) > 0 for row in of]
        good = [is_flagged for row, is_flagged in zip(of, flagged, strict=True) if row["kind"] == "good"]
        bad = [is_flagged for row, is_flagged in zip(of, flagged, strict=True) if row["kind"] != "good"]
        print(
            f"  {title}, {product or 'all'}: {sum(good)}/{len(good)} false alarms, "
            f"{len(bad) - sum(bad)}/{len(bad)} missed",
            flush=True,
        )


def measure(family: Family, *, threads: int) -> dict[str, Any]:
    """What every model says of every image, and how large the files are."""
    halves = {name: [each for at, each in enumerate(images) if at % 3] for name, images in family.learned.items()}
    rest = {name: with_planted(images[::3]) for name, images in family.learned.items()}
    chosen_on = verdicts(fitted(halves, threads=threads), rest, threads=threads)
    models = fitted(family.learned, threads=threads)
    tested = verdicts(models, family.tested, threads=threads)
    union = fitted({"all": [each for images in family.learned.values() for each in images]}, threads=threads)
    return {
        "choice": chosen_on,
        "test": tested,
        "one model": verdicts(union, family.tested, threads=threads),
        "bytes": {name: len(model.file.content) for name, model in {**models, **union}.items()},
        "trunk": shared_bytes(models),
    }


def show(family: str, kept: Mapping[str, Any]) -> None:
    """The tables of one family."""
    show_rules(f"{family}, own product nearest for images to learn from that no model learned:", *kept["choice"])
    show_rules(f"{family}, own product nearest for test images:", *kept["test"])
    _, rows = kept["test"]
    show_counts("one model each, the product named", lambda row: row["by"][row["product"]][0], rows)
    show_counts("one model each, the nearest by score", lambda row: min(row["by"].values())[0], rows)
    show_counts("one model of all", lambda row: row["by"]["all"][0], kept["one model"][1])
    sizes = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in kept["bytes"].items())
    print(f"  MB of files: {sizes}; of which trunk {kept['trunk'] / 1e6:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder with the sets; without it, what was kept is shown again")
    parser.add_argument("-o", "--output", type=Path, required=True, help="what every model said of every image (JSON)")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    if given.data is not None:
        families = (parts(given.data), digits(given.data))
        kept = {family.name: measure(family, threads=given.threads) for family in families}
        given.output.write_text(json.dumps(kept))
    for name, values in json.loads(given.output.read_text()).items():
        show(name, values)


def shared_bytes(models: Mapping[str, onlygood.Model]) -> int:
    """Bytes of the initializers that are the same in all files: those of the trunk."""
    import onnx

    common: dict[bytes, int] | None = None
    for model in models.values():
        graph = onnx.load_model_from_string(model.file.content).graph
        mine = {each.raw_data: len(each.raw_data) for each in graph.initializer if len(each.raw_data) > 1000}
        common = mine if common is None else {data: size for data, size in common.items() if data in mine}
    return sum((common or {}).values())


if __name__ == "__main__":
    main()
