"""Fit a model for each of several products, into one set: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onlygood._paths import given_path
from onlygood.datasets.given import OnePath
from onlygood.errors import OnlygoodError, SettingError, WriteError
from onlygood.fitting import fit
from onlygood.images.reading import ReadingLimits
from onlygood.model import Model
from onlygood.products.labels import FOLDER, images_by_product
from onlygood.products.products import Products
from onlygood.products.staging import staging
from onlygood.products.table import TABLE, ProductTable, check_name, composed, digest_of, in_order
from onlygood.settings import FitSettings

# Keywords of `fit` that are of one model.
_OF_ONE = ("checkpoint", "resume")

# Of one product: its name, its place among all, and how many there are; and what was learned.
Begin = Callable[[str, int, int], None]
Then = Callable[[str, Model], None]


def fit_products(
    images: OnePath | Sequence[OnePath] | Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    product_by: str | None = None,
    **options: Any,
) -> Products:
    """A set of products: a model file of each in one folder, fitted with the same options, and a table of them.

    A product that the set has already gets the new model and keeps its recipe number; others of the set stay as they
    are. Either all products are fitted and written, or none is.

    Each product has a file of its own, since shape, threshold, region of interest, updates and signature are its own:
    one of them can be replaced without touching another.

    Args:
        images: paths as `onlygood.fit` takes them, whose images `product_by` divides; or a mapping from names of
            products to images as `onlygood.fit` takes them.
        folder: of the set; made if it is not there.
        product_by: for paths, what says which product an image is of: "folder" (the sub-folder of the one folder given,
            or each of several folders; it is what is meant unless given), or a regular expression that is searched in
            each image's name, whose first group is the product's name.
        **options: the keywords of `onlygood.fit`, but for `checkpoint` and `resume`: each product is fitted with them.

    Raises:
        SettingError: a keyword or a name of a product that cannot be used.
        FolderError: images that cannot be used, or too few of a product, which is named.
        WriteError: the folder cannot be written into, or the set was changed meanwhile.
        OnlygoodError: what `onlygood.fit` raises of a product, which is named.

    Example:
        >>> import onlygood
        >>> products = onlygood.fit_products("line", "products", product_by="folder", false_alarm_rate=0.1)
        >>> [str(each) for each in products.recipes]
        ['1 (bolt)', '2 (nut)']
    """
    fit_each(images, folder, product_by=product_by, options=options)
    return Products(folder)


def fit_each(
    images: OnePath | Sequence[OnePath] | Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    product_by: str | None,
    options: Mapping[str, Any],
    begin: Begin | None = None,
    then: Then | None = None,
) -> tuple[ProductTable, list[str]]:
    """As `fit_products`, and the table and the notes on the images of all.

    Args:
        images: as of `fit_products`.
        folder: as of `fit_products`.
        product_by: as of `fit_products`.
        options: the keywords of `onlygood.fit`.
        begin: called before each product is fitted.
        then: called with the model of each product, which is not in its place yet.
    """
    target = given_path(folder, error=WriteError)
    options = dict(options)
    for name in _OF_ONE:
        if options.get(name):
            raise SettingError(
                f"{name} is of one model, got it for several products: leave it out, or fit them one by one"
            )
    by_name, notes = _divided(images, product_by, options)
    before = _table_in(target)
    # Refuses names and numbers that cannot be before anything is learned.
    before.with_products(dict.fromkeys(by_name, "0" * 64))
    digests: dict[str, str] = {}
    with staging(target) as place:
        for number, (name, own) in enumerate(by_name.items()):
            if begin is not None:
                begin(name, number + 1, len(by_name))
            try:
                model = fit(own, **options)
            except OnlygoodError as error:
                raise type(error)(f"the product {name} cannot be fitted, so nothing is written: {error}") from error
            if then is not None:
                then(name, model)
            place.add(name, model.file.content)
            digests[name] = digest_of(model.file.content)
            del model
        if _table_in(target) != before:
            raise WriteError(
                f"{target / TABLE} must stay as it is while products are fitted, got another: another process writes "
                "into the same set; wait for it, and fit again"
            )
        table = before.with_products(digests, there=[each.name for each in target.iterdir()])
        place.commit(table)
    return table, notes


def _divided(
    images: OnePath | Sequence[OnePath] | Mapping[str, Any], product_by: str | None, options: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The images of each product, in the order of their names, and notes; what was done to them leaves the options."""
    if isinstance(images, Mapping):
        if product_by is not None:
            raise SettingError("product_by goes with paths, got it with a mapping of products: leave it out")
        if not images:
            raise SettingError("a mapping of products must have at least one, got an empty one: add a product")
        for name in images:
            if not isinstance(name, str):
                raise SettingError(f"the name of a product must be text, got {name!r}: call it otherwise")
            check_name(name)
        by_name = {composed(name): images[name] for name in sorted(images, key=in_order)}
        if len(by_name) < len(images):
            raise SettingError("the names of products must differ, got two that are written in two ways: leave one out")
        return by_name, []
    if options.get("groups") is not None:
        raise SettingError("groups goes with a sequence of images, got paths of several products: use group_by")
    # What cannot be is refused before images are looked for.
    known = {name: value for name, value in options.items() if name in FitSettings.model_fields and name != "tiles"}
    settings = FitSettings(**known)
    limits = ReadingLimits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
    exclude = options.pop("exclude", None)
    by_name, notes = images_by_product(
        images,
        FOLDER if product_by is None else product_by,
        exclude=None if exclude is None else settings.exclude,
        is_golden=settings.golden,
        limits=limits,
    )
    return dict(by_name), notes


def _table_in(folder: Path) -> ProductTable:
    """The table of a set; an empty one where there is none yet."""
    return ProductTable.read(folder, shown=str(folder)) if (folder / TABLE).exists() else ProductTable()
