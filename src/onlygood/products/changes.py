"""Changes of a set's table: a model that was fitted elsewhere, one that was updated, one that goes; and its state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onlygood._paths import given_path
from onlygood._plain import plain
from onlygood.errors import ModelFileError, SettingError, WriteError
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.graph.model_file import read_model_file
from onlygood.products.products import Product, folder_of_set, named_in, require_as_fitted
from onlygood.products.staging import staging
from onlygood.products.table import TABLE, ProductTable, Recipe, check_name, composed, digest_of


@dataclass(frozen=True)
class ProductState:
    """A product of a set, and whether its file can be used.

    Attributes:
        recipe: of the product.
        summary: what the model is, in a line; empty where there is a problem.
        problem: why the file cannot be used, in a sentence; None if it can.
    """

    recipe: Recipe
    summary: str
    problem: str | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**self.recipe.model_dump(), "summary": self.summary or None, "problem": self.problem}


def states_of(folder: str | os.PathLike[str], *, max_model_bytes: int = MAX_MODEL_BYTES) -> list[ProductState]:
    """The products of a set, each with the state of its file.

    Raises:
        ModelFileError: the folder is no set.
    """
    target, shown = folder_of_set(folder), os.fspath(folder)
    states = []
    for recipe in ProductTable.read(target, shown=shown).products:
        path = target / recipe.file
        try:
            require_as_fitted(recipe, path, max_model_bytes=max_model_bytes, shown=shown)
            file = read_model_file(path, max_bytes=max_model_bytes)
        except ModelFileError as error:
            states.append(ProductState(recipe, "", str(error)))
            continue
        guarantee = file.metadata.guarantee
        summary = f"{file.metadata.method}, learned from {guarantee.learned_from}, {len(file.content) / 1e6:.1f} MB"
        states.append(ProductState(recipe, summary, None))
    return states


def add_model(
    folder: str | os.PathLike[str],
    name: str,
    model: str | os.PathLike[str],
    *,
    max_model_bytes: int = MAX_MODEL_BYTES,
) -> Recipe:
    """Copy a model file into a set, as a new product or in the place of the one of this name.

    Args:
        folder: of the set; made if it is not there.
        name: of the product.
        model: path of the model file; it stays.
        max_model_bytes: most bytes that it may have.

    Raises:
        SettingError: a name that cannot be a product's.
        ModelFileError: the model file or the table cannot be used.
        WriteError: the set cannot be written into.
    """
    name = composed(name)
    check_name(name)
    content = read_model_file(given_path(model, error=ModelFileError), max_bytes=max_model_bytes).content
    target = given_path(folder, error=WriteError)
    before = ProductTable.read(target, shown=str(target)) if (target / TABLE).exists() else ProductTable()
    with staging(target) as place:
        place.add(name, content)
        table = before.with_products({name: digest_of(content)}, there=[each.name for each in target.iterdir()])
        place.commit(table)
    return next(each for each in table.products if each.name == name)


def refresh(folder: str | os.PathLike[str], *, max_model_bytes: int = MAX_MODEL_BYTES) -> list[Recipe]:
    """Accept model files that are others than those in the table, where each is a model; those that changed.

    Raises:
        ModelFileError: the folder is no set, or a file is missing or no model.
        WriteError: the table cannot be written.
    """
    target, shown = folder_of_set(folder), os.fspath(folder)
    table = ProductTable.read(target, shown=shown)
    digests = {
        each.name: digest_of(read_model_file(target / each.file, max_bytes=max_model_bytes).content)
        for each in table.products
    }
    changed = [each for each in table.products if digests[each.name] != each.sha256]
    if changed:
        table.with_products(digests).write(target)
    return changed


def remove(folder: str | os.PathLike[str], product: Product) -> Recipe:
    """Take a product out of a set's table; its file stays, and no other product gets its recipe number.

    Raises:
        SettingError: there is no such product, or it is the only one.
        ModelFileError: the folder is no set.
        WriteError: the table cannot be written.
    """
    target, shown = folder_of_set(folder), os.fspath(folder)
    table = ProductTable.read(target, shown=shown)
    recipe = named_in(table, plain(product), shown=shown)
    if len(table.products) == 1:
        raise SettingError(
            f"a set must hold at least one product, got {recipe} to remove: remove the folder {Path(shown)}"
        )
    table.without(recipe).write(target)
    return recipe
