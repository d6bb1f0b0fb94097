"""An inspection by the model of a product that is named, or of the nearest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from onlygood._html import escape
from onlygood._plurals import shorten
from onlygood.errors import ImageError
from onlygood.images.reading import ChannelOrder, ImageArray, ImageSource
from onlygood.inspector import Inspector
from onlygood.products.table import Recipe
from onlygood.results import Inspection

# A deviation in messages and JSON: more digits are more than calibration scores say.
_DIGITS = 4
# The most characters of a product's name in a line.
PRODUCT_LENGTH = 20


@dataclass(frozen=True, kw_only=True)
class NearProduct:
    """A product, and how unusual an image is for it.

    Attributes:
        recipe: of the product.
        deviation: the score of the image by the product's model, in units of the spread of calibration scores, which
            models of different methods can be compared by: above 0 anomalous, below 0 inside.
    """

    recipe: Recipe
    deviation: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "product": self.recipe.name,
            "recipe": self.recipe.number,
            "deviation": float(f"{self.deviation:.{_DIGITS}g}"),
        }


@dataclass(frozen=True, kw_only=True)
class ProductInspection(Inspection):
    """An inspection by the model of one product of a set.

    Attributes:
        product: the name of the product whose model it was.
        recipe: its recipe number.
        nearest: where the nearest product was asked for, the products that can take the image, the nearest first; empty
            where the product was named.

    Example:
        >>> import onlygood
        >>> inspection = onlygood.Products("models")("new/0.png", product="nearest")
        >>> inspection.product, [each.recipe.name for each in inspection.nearest]
        ('bolt', ['bolt', 'nut'])
    """

    product: str
    recipe: int
    nearest: tuple[NearProduct, ...] = ()

    def __repr__(self) -> str:
        return f"<ProductInspection as {shorten(self.product, PRODUCT_LENGTH)}, {super().__repr__().partition(' ')[2]}"

    def _repr_html_(self) -> str:
        """The product, verdict and heat map, as notebooks show them."""
        return f"<div>product {escape(self.product)}</div>{super()._repr_html_()}"

    @property
    def second(self) -> NearProduct | None:
        """The second nearest product; None where the product was named, or no other one can take the image."""
        return self.nearest[1] if len(self.nearest) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """All but the map, as plain JSON values; of the nearest products the first two, null where one was named."""
        said = super().to_dict()
        near = [each.to_dict() for each in self.nearest[:2]] or None
        return {"name": said.pop("name"), "product": self.product, "recipe": self.recipe, "nearest": near, **said}


class OneProduct:
    """The inspector of one product, which says in each inspection whose it is.

    Args:
        recipe: of the product.
        inspector: of its model.
    """

    def __init__(self, recipe: Recipe, inspector: Inspector) -> None:
        self.recipe = recipe
        self.inspector = inspector

    def for_many(self) -> OneProduct:
        """As of an `Inspector`."""
        return OneProduct(self.recipe, self.inspector.for_many())

    def inspect(
        self, image: ImageSource, name: str, page: int | None, channel_order: ChannelOrder | None = None
    ) -> tuple[ProductInspection, ImageArray]:
        """As of an `Inspector`."""
        found, pixels = self.inspector.inspect(image, name, page, channel_order)
        return _of_product(found, self.recipe), pixels


class NearestProduct:
    """Inspects an image by the models of all products, and keeps what the one says that finds it least unusual.

    Args:
        products: at least one.
        units: by what the score of each is divided to be compared.
    """

    def __init__(self, products: Sequence[OneProduct], units: Sequence[float]) -> None:
        self.products = products
        self._units = units

    def for_many(self) -> NearestProduct:
        """As of an `Inspector`."""
        return NearestProduct([each.for_many() for each in self.products], self._units)

    def inspect(
        self, image: ImageSource, name: str, page: int | None, channel_order: ChannelOrder | None = None
    ) -> tuple[ProductInspection, ImageArray]:
        """As of an `Inspector`.

        Raises:
            ImageError: no product can take the image; what the first says.
        """
        near: list[NearProduct] = []
        best: tuple[float, ProductInspection, ImageArray] | None = None
        problem: ImageError | None = None
        latency_ms = 0.0
        for each, unit in zip(self.products, self._units, strict=True):
            try:
                found, pixels = each.inspect(image, name, page, channel_order)
            except ImageError as error:  # such as of another depth than that product's images
                problem = problem or error
                continue
            latency_ms += found.latency_ms
            deviation = found.score / unit
            near.append(NearProduct(recipe=each.recipe, deviation=deviation))
            if best is None or deviation < best[0]:
                best = deviation, found, pixels
        if best is None:
            assert problem is not None  # there is at least one product
            raise problem
        near.sort(key=lambda each: each.deviation)
        _, found, pixels = best
        return _changed(found, nearest=tuple(near), latency_ms=latency_ms), pixels


def _of_product(found: Inspection, recipe: Recipe) -> ProductInspection:
    return _changed(found, product=recipe.name, recipe=recipe.number)


def _changed(found: Inspection, **changes: Any) -> ProductInspection:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return ProductInspection(**{**values, **changes})
