"""`onlygood products`: what a set of products holds, and changes of its table; and the fit of such a set."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood._plurals import pluralize
from onlygood.cli.console import EXIT_ERROR, EXIT_GOOD, say, show, show_json
from onlygood.cli.trust import MAX_MODEL_BYTES
from onlygood.errors import SettingError

if TYPE_CHECKING:
    from onlygood.model import Model
    from onlygood.settings import MethodSettings

# Options of a fit that are of one model.
_OF_ONE = {"resume": "--resume", "report": "--report", "show_augmentations": "--show-augmentations"}


def add_options(products: argparse.ArgumentParser) -> None:
    """The options of `onlygood products`."""
    products.description = (
        "List a set of products that `fit --product-by` wrote, or change its table. Exit code: 0, or 2 if a model file "
        "is missing or is another than the one that the table names."
    )
    products.add_argument("models", metavar="FOLDER", help="of the set")
    change = products.add_mutually_exclusive_group()
    change.add_argument(
        "--add",
        metavar="NAME=MODEL",
        help="copy a model file into the set, as a new product or in the place of the one of this name",
    )
    change.add_argument(
        "--refresh", action="store_true", help="accept model files that were updated or replaced on purpose"
    )
    change.add_argument(
        "--remove",
        metavar="PRODUCT",
        help="take a product, by name or recipe number, out of the table; its file stays, and its number stays unused",
    )
    products.add_argument("--json", action="store_true", help="the table, with the state of each file, as JSON")
    products.add_argument(
        "--max-model-bytes",
        type=int,
        default=MAX_MODEL_BYTES,
        metavar="BYTES",
        help=f"most bytes that a model file may have (default: {MAX_MODEL_BYTES})",
    )
    products.set_defaults(command=run_products)


def run_products(options: argparse.Namespace) -> int:
    """`onlygood products`."""
    from onlygood.products.changes import add_model, refresh, remove, states_of

    most = options.max_model_bytes
    if options.add is not None:
        name, equals, path = options.add.partition("=")
        if not (name and equals and path):
            raise SettingError(f"--add must be a name, = and a model file, got {options.add!r}: give NAME=part.onnx")
        say(f"{add_model(options.models, name, path, max_model_bytes=most)}: added")
    elif options.refresh:
        changed = refresh(options.models, max_model_bytes=most)
        say(f"{pluralize(len(changed), 'model file')} accepted" + "".join(f"; {each}" for each in changed))
    elif options.remove is not None:
        gone = remove(options.models, options.remove)
        say(f"{gone} is no product of the set any more; its file {gone.file} is still there")
    states = states_of(options.models, max_model_bytes=most)
    if options.json:
        show_json([each.to_dict() for each in states])
    else:
        width = max(len(each.recipe.name) for each in states)
        files = max(len(each.recipe.file) for each in states)
        for each in states:
            recipe = each.recipe
            show(f"{recipe.number:>4}  {recipe.name:<{width}}  {recipe.file:<{files}}  {each.problem or each.summary}")
    return EXIT_ERROR if any(each.problem for each in states) else EXIT_GOOD


def fit_into_set(options: argparse.Namespace, method: MethodSettings, common: dict[str, Any]) -> int:
    """`onlygood fit --product-by`: what was learned of each product is said when all of them are in place."""
    from onlygood.products.fitting import fit_each

    for name, option in _OF_ONE.items():
        if getattr(options, name):
            raise SettingError(f"{option} is of one model, got it with --product-by: leave one of them out")
    if Path(options.output).suffix.lower() == ".onnx" and not Path(options.output).is_dir():
        raise SettingError(
            f"with --product-by, -o must be a folder, for a model file of each product, got {options.output}: leave "
            ".onnx out"
        )
    said: dict[str, list[str]] = {}
    notes: list[str] = []

    def then(name: str, model: Model) -> None:
        size = len(model.file.content) / 1e6
        learned = f"learned from {model.guarantee.learned_from}, {size:.1f} MB"
        said[name] = [learned, *model.guarantee.sentences, model.deciding]
        notes.extend(f"{name}: {note}" for note in model.notes)

    table, found = fit_each(
        options.images_given,
        options.output,
        product_by=options.product_by,
        options={**common, "method": method, "roi": options.roi, "progress": not options.quiet},
        begin=lambda name, number, count: say(f"{name}, {number} of {pluralize(count, 'product')}"),
        then=then,
    )
    for note in [*found, *notes]:
        say(f"note: {note}")
    for recipe in table.products:
        if recipe.name in said:
            first, *others = said[recipe.name]
            show(f"{os.path.join(options.output, recipe.file)}: product {recipe}, {first}")  # noqa: PTH118 - as given
            for sentence in others:
                show(f"  {sentence}")
    return EXIT_GOOD
