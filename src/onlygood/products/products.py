"""A set of products, opened: which model inspects an image is said by a name, by a recipe number, or by the nearest."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from threading import RLock
from typing import TypeAlias

from onlygood._integers import check_integer
from onlygood._paths import given_path, missing
from onlygood._plain import plain
from onlygood._plurals import name_some, pluralize, shorten
from onlygood.errors import ImageError, ModelFileError, ModelFormatError, SettingError
from onlygood.graph.content import MAX_MODEL_BYTES, read_content
from onlygood.graph.verdict import CalibrationScores
from onlygood.images.named import NamedImage
from onlygood.images.reading import ChannelOrder, ImageSource, ReadingLimits
from onlygood.inspector import Inspector, inspect_each, items_of
from onlygood.products.chosen import NearestProduct, OneProduct, ProductInspection
from onlygood.products.nearness import units
from onlygood.products.table import NEAREST, ProductTable, Recipe, composed, digest_of
from onlygood.results import NAME_LENGTH
from onlygood.validation import nearest as nearest_of

# Names that a message gives, and models that are open at once unless told otherwise.
SHOWN = 8
MAX_OPEN = 16

Product: TypeAlias = str | int


class Products:
    """A folder of model files of several products, with a table that `onlygood.fit_products` wrote.

    A model is opened when it is first asked for, and at most `max_open` of them are kept. Safe to share between
    threads.

    Args:
        folder: of the set.
        max_open: the most models that are kept open; the one that was not asked for the longest is closed for another.
        false_alarm_rate: as of `Inspector`, for every product.
        provider: as of `Inspector`.
        threads: as of `Inspector`.
        with_map: as of `Inspector`.
        by_occlusion: as of `Inspector`.
        channel_order: as of `Inspector`.
        max_pixels: as of `Inspector`.
        max_bytes: as of `Inspector`.
        require_signature: as of `Inspector`, of each model file.
        max_model_bytes: as of `Inspector`, of each model file.

    Raises:
        ModelFileError: the folder is none, or holds no table that can be used.

    Example:
        >>> import onlygood
        >>> products = onlygood.Products("models")
        >>> products.names
        ('bolt', 'nut')
        >>> products("new/3.jpg", product="bolt").is_anomaly
        True
        >>> products("new/3.jpg", product=1).product
        'bolt'
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        max_open: int = MAX_OPEN,
        false_alarm_rate: float | None = None,
        provider: str = "cpu",
        threads: int = 0,
        with_map: bool = True,
        by_occlusion: bool = False,
        channel_order: ChannelOrder = "rgb",
        max_pixels: int = ReadingLimits.max_pixels,
        max_bytes: int = ReadingLimits.max_bytes,
        require_signature: str | os.PathLike[str] | None = None,
        max_model_bytes: int = MAX_MODEL_BYTES,
    ) -> None:
        self.folder, self._shown = folder_of_set(folder), os.fspath(folder)
        self.table = ProductTable.read(self.folder, shown=self._shown)
        self.limits = ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes)
        self._max_open = check_integer("max_open", max_open, 1)
        self._false_alarm_rate = false_alarm_rate
        self._provider, self._threads = provider, threads
        self._with_map, self._by_occlusion, self._channel_order = with_map, by_occlusion, channel_order
        self._require_signature, self._max_model_bytes = require_signature, max_model_bytes
        self._open: OrderedDict[int, Inspector] = OrderedDict()
        self._lock = RLock()

    def __repr__(self) -> str:
        return (
            f"<Products of {shorten(self._shown, NAME_LENGTH)}: {pluralize(len(self.names), 'product')}, "
            f"{shorten(name_some(self.names, SHOWN), NAME_LENGTH)}>"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the products, in the order of their recipe numbers."""
        return tuple(each.name for each in self.table.products)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The products with their recipe numbers and files, in the order of these numbers."""
        return self.table.products

    def recipe(self, product: Product | None = None) -> Recipe:
        """The product that a name or a recipe number names.

        Args:
            product: a name, or a recipe number, also as text; None for the only one that there is.

        Raises:
            SettingError: there is no such product, or several and none is named.
        """
        return named_in(self.table, product, shown=self._shown)

    def inspector(self, product: Product | None = None) -> Inspector:
        """The inspector of a product.

        Args:
            product: as of `recipe`.

        Raises:
            SettingError: as `recipe`.
            ModelFileError: its file is missing, is another than the one that the table was written for, or cannot be
                used.
        """
        recipe = self.recipe(product)
        with self._lock:
            found = self._open.pop(recipe.number, None)
            if found is None:
                while len(self._open) >= self._max_open:
                    self._open.popitem(last=False)
                found = self._opened(recipe)
            self._open[recipe.number] = found
            return found

    def chosen(self, product: Product | None = None) -> OneProduct | NearestProduct:
        """What inspects images by the product that is named, or by the nearest.

        Args:
            product: as of `recipe`, or "nearest".

        Raises:
            SettingError: as `recipe`, or the nearest of more products than may be open at once.
            ModelFileError: as `inspector`; of the nearest, any product's.
        """
        if product != NEAREST:
            recipe = self.recipe(product)
            return OneProduct(recipe, self.inspector(recipe.name))
        if len(self.recipes) > self._max_open:
            raise SettingError(
                f"the nearest product needs all {len(self.recipes)} models open at once, got "
                f"max_open={self._max_open}: name the product, or raise max_open"
            )
        with self._lock:
            products = [OneProduct(each, self.inspector(each.name)) for each in self.recipes]
        return NearestProduct(products, units([(each.inspector.metadata, _scores_of(each)) for each in products]))

    def __call__(
        self, image: ImageSource, *, product: Product | None = None, name: str | None = None, page: int | None = None
    ) -> ProductInspection:
        """The verdict on one image.

        Args:
            image: as `Inspector` takes it.
            product: the name of its product or its recipe number; or "nearest" for the product whose model finds it
                least unusual, which takes an inspection by each of them. It is anomalous then only if it is so by each:
                a wrong part passes as the product that it is. Name the product where it is known.
            name: what to call the image; its path unless given.
            page: of a multi-page TIFF, from 0.

        Raises:
            SettingError: no product, or none of this name or number.
            ModelFileError: as `inspector`.
            ImageError: it cannot be read, or is not of the kind that this product's model takes.
        """
        if name is None:
            name = os.fspath(image) if isinstance(image, str | os.PathLike) else "the image"
        return self.chosen(product).inspect(image, name, page)[0]

    def map(
        self,
        images: str | os.PathLike[str] | Iterable[ImageSource | NamedImage],
        *,
        product: Product | None = None,
        threads: int = 0,
        progress: bool = False,
    ) -> Iterator[ProductInspection | ImageError]:
        """The verdicts on many images of one product, or of the nearest each, as `Inspector.map` gives them.

        Args:
            images: as of `Inspector.map`.
            product: as when this object is called.
            threads: images worked on at once, one thread each; 0 for one a core.
            progress: draw a progress bar if stderr is a terminal.

        Raises:
            FolderError, SettingError, ModelFileError: as `Inspector.map`, and as when this object is called.
        """
        items = items_of(images, self.limits)
        total = len(items) if isinstance(items, Sized) else len(images) if isinstance(images, Sized) else None
        return inspect_each(
            self.chosen(product),
            items,
            image=lambda each: each if isinstance(each, NamedImage) else each.named(self.limits),
            then=lambda _, inspection, __: inspection,
            threads=threads,
            total=total,
            description="inspecting",
            progress=progress,
        )

    def _opened(self, recipe: Recipe) -> Inspector:
        path = self.folder / recipe.file
        require_as_fitted(recipe, path, max_model_bytes=self._max_model_bytes, shown=self._shown)
        return Inspector(
            path,
            false_alarm_rate=self._false_alarm_rate,
            provider=self._provider,
            threads=self._threads,
            with_map=self._with_map,
            by_occlusion=self._by_occlusion,
            channel_order=self._channel_order,
            max_pixels=self.limits.max_pixels,
            max_bytes=self.limits.max_bytes,
            require_signature=self._require_signature,
            max_model_bytes=self._max_model_bytes,
        )


def _scores_of(product: OneProduct) -> CalibrationScores:
    scores = product.inspector.calibration_scores
    if scores is None:
        raise ModelFormatError(
            f"the model of {product.recipe.name} must hold its calibration scores to be compared with other products, "
            "got a file without them: fit it again, or name the product"
        )
    return scores


def folder_of_set(folder: str | os.PathLike[str]) -> Path:
    """The folder of a set of products.

    Raises:
        ModelFileError: there is none, or a file is there.
    """
    path = given_path(folder, error=ModelFileError)
    try:
        if path.is_dir():
            return path
        is_there = path.exists()
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise ModelFileError(f"the folder {os.fspath(folder)!r} cannot be opened ({error}): check its path") from error
    if is_there:
        raise ModelFileError(
            f"a set of products must be a folder, got the file {path}: give the folder that it lies in, or open one "
            "model with onlygood.Inspector"
        )
    raise ModelFileError(missing(os.fspath(folder)))


def named_in(table: ProductTable, product: Product | None, *, shown: str) -> Recipe:
    """The product that a name or a recipe number names.

    Args:
        table: of the set.
        product: as of `Products.recipe`.
        shown: what messages call the set.

    Raises:
        SettingError: there is no such product, or several and none is named.
    """
    recipes = table.products
    known = name_some([str(each) for each in recipes], SHOWN)
    product = plain(product)
    if product is None:
        if len(recipes) == 1:
            return recipes[0]
        raise SettingError(
            f"{shown} holds {len(recipes)} products, {known}, got none named: give one by its number or name, or "
            f"'{NEAREST}', as product (--product)"
        )
    if isinstance(product, bool) or not isinstance(product, str | int):
        raise SettingError(f"a product must be a name or a recipe number, got {product!r}: {shown} has {known}")
    if isinstance(product, str):
        name = composed(product)
        by_name = next((each for each in recipes if each.name == name), None)
        if by_name is not None:
            return by_name
        if not (name.isascii() and name.isdecimal()):
            near = nearest_of(name, [each.name for each in recipes])
            raise SettingError(f"a product of {shown} must be one of {known}, got {product!r}{near}")
    number = int(product) if isinstance(product, int) or len(product) < NAME_LENGTH else -1
    by_number = next((each for each in recipes if each.number == number), None)
    if by_number is None:
        raise SettingError(f"a recipe number of {shown} must be that of one of {known}, got {product}")
    return by_number


def require_as_fitted(recipe: Recipe, path: Path, *, max_model_bytes: int, shown: str) -> None:
    """Refuse a model file that is missing, or another than the one that the table was written for.

    Raises:
        ModelFileError: it is.
    """
    if not path.exists():
        raise ModelFileError(
            f"the product {recipe.name} needs its model file {path}, which is missing: put it back, or take the "
            f"product out with `onlygood products {shown} --remove`"
        )
    if digest_of(read_content(path, max_bytes=max_model_bytes)) != recipe.sha256:
        raise ModelFileError(
            f"the model file {path} of the product {recipe.name} must be the one that the table names, got another: "
            f"if it was updated or replaced on purpose, accept it with `onlygood products {shown} --refresh`"
        )
