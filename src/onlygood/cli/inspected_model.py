"""What `inspect` inspects with: a model file, or the one of a set of products that is named, or the nearest of them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood.cli.options import rate_sentences
from onlygood.errors import SettingError

if TYPE_CHECKING:
    from onlygood.inspector import Inspector, Inspects
    from onlygood.products.chosen import NearestProduct
    from onlygood.results import Inspection

NEAREST_NOTE = (
    "Each image is inspected by the model of every product, and is anomalous only if it is so by all of them: a wrong "
    "part passes as the product that it is. Name the product where it is known."
)


@dataclass(frozen=True)
class InspectedModel:
    """What inspects images, and what is said of it.

    Attributes:
        inspects: any image.
        inspector: of the one model that it is; None for the nearest of several.
        name: what a report calls the model.
        products: names of the products among which it chooses; None for a model file alone.
        sentences: about another threshold than the model's own.
        notes: that a person should read.
    """

    inspects: Inspects[Inspection]
    inspector: Inspector | None
    name: str
    products: tuple[str, ...] | None = None
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def open_inspected(options: argparse.Namespace, settings: dict[str, Any]) -> InspectedModel:
    """The model, or the set of products, that a command line names.

    Args:
        options: of `inspect`.
        settings: of the inspector but for the threshold.

    Raises:
        SettingError: a product of a model file, or options that do not go with the nearest one.
        ModelFileError: as of `Inspector` and `Products`.
    """
    from onlygood.inspector import Inspector
    from onlygood.products.chosen import OneProduct
    from onlygood.products.products import Products
    from onlygood.products.table import TABLE

    path = Path(options.model)
    is_folder = "\0" not in options.model and path.is_dir()
    if not is_folder or (options.product is None and not (path / TABLE).exists()):
        if options.product is not None:
            raise SettingError(
                f"--product goes with a folder of products, got it with the model file {options.model}: leave it out"
            )
        alone = Inspector(options.model, threshold=options.threshold, **settings)
        return InspectedModel(alone, alone, path.name, sentences=_sentences(alone))
    products = Products(path, max_open=options.max_open, **settings)
    _refuse_beside_nearest(options)
    chosen = products.chosen(options.product)
    name = path.resolve().name
    if isinstance(chosen, OneProduct):
        if options.threshold is not None:
            chosen = OneProduct(chosen.recipe, Inspector(chosen.inspector, threshold=options.threshold, **settings))
        recipe, inspector = chosen.recipe, chosen.inspector
        return InspectedModel(chosen, inspector, f"{name}, {recipe.name}", (recipe.name,), _sentences(inspector))
    return InspectedModel(chosen, None, name, products.names, _sentences_of_all(chosen), (NEAREST_NOTE,))


def _refuse_beside_nearest(options: argparse.Namespace) -> None:
    from onlygood.products.table import NEAREST

    if options.product != NEAREST:
        return
    for option, value in (("--threshold", options.threshold), ("--report", options.report)):
        if value is not None:
            raise SettingError(
                f"{option} is of one model, got it with the nearest of several: name the product, or leave {option} out"
            )


def _sentences(inspector: Inspector) -> tuple[str, ...]:
    return tuple(rate_sentences(inspector)) if inspector.is_recalibrated else ()


def _sentences_of_all(chosen: NearestProduct) -> tuple[str, ...]:
    return tuple(
        f"{each.recipe.name}: {sentence}" for each in chosen.products for sentence in _sentences(each.inspector)
    )
