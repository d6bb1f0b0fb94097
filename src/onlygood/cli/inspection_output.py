"""What `inspect` prints: a table to read, or lines of JSON or CSV for programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onlygood._printable import printable
from onlygood.cli.console import say, show, show_json

if TYPE_CHECKING:
    from onlygood.errors import ImageError
    from onlygood.results import Inspection

COLUMNS = (
    *("name", "verdict", "score", "p_value", "regions", "left", "top", "right", "bottom", "peak"),
    *("differences", "latency_ms", "error"),
)
# Of a set of products, behind those: the product and, where the nearest was asked for, how near the nearest two are.
PRODUCT_COLUMNS = ("product", "recipe", "deviation", "second_product", "second_deviation")


class Output(ABC):
    """The lines on stdout, one an image, as images are inspected."""

    def begin(self, sentences: Sequence[str]) -> None:
        """Say of a run what is to be known of it. Programs get nothing but lines, so it goes to stderr.

        Args:
            sentences: about another threshold than the model's own.
        """
        for sentence in sentences:
            say(f"note: {sentence}")

    @abstractmethod
    def add(self, result: Inspection) -> None:
        """Print an inspection."""

    @abstractmethod
    def add_error(self, name: str, error: ImageError) -> None:
        """Print that an image could not be inspected; why is on stderr, too."""

    def end(self, summary: str) -> None:
        """Print how many images there were, where that is not left to the program that reads the lines."""
        del summary


class Table(Output):
    """A table to read, and a line below it.

    Args:
        names: of all images.
        products: names of the products that may be chosen; None for a model file alone.
        is_nearest: whether the nearest of them is chosen for each image.
    """

    def __init__(
        self, names: Sequence[str], *, products: Sequence[str] | None = None, is_nearest: bool = False
    ) -> None:
        self._width = max(len(printable(name)) for name in names)
        self._product_width = max((len(printable(name)) for name in ("product", *(products or ()))), default=0)
        self._with_product, self._is_nearest = products is not None, is_nearest
        self._chosen: Counter[str] = Counter()

    def begin(self, sentences: Sequence[str]) -> None:
        """Print the sentences and the head of the table."""
        for sentence in sentences:
            show(sentence)
        show(f"{'image':<{self._width}}  verdict    {'score':>9}  {'p-value':>8}{self._product_head}")

    def add(self, result: Inspection) -> None:
        """Print a row."""
        word = "ANOMALOUS" if result.is_anomaly else "good"
        name = f"{printable(result.name):<{self._width}}"
        show(f"{name}  {word:<9}  {result.score:>+9.4f}  {result.p_value:>8.4f}{self._product_of(result)}")

    def add_error(self, name: str, error: ImageError) -> None:
        """Print nothing: the table is of verdicts."""

    def end(self, summary: str) -> None:
        """Print it; of the nearest products, also how many images each has."""
        show(summary)
        if self._is_nearest:
            show(f"nearest product: {', '.join(f'{name} {count}' for name, count in self._chosen.most_common())}")

    @property
    def _product_head(self) -> str:
        if not self._with_product:
            return ""
        named = f"  {'product':<{self._product_width}}"
        return (
            f"{named}  {'deviation':>9}  {'second':<{self._product_width}}  {'deviation':>9}"
            if self._is_nearest
            else named
        )

    def _product_of(self, result: Inspection) -> str:
        from onlygood.products.chosen import ProductInspection

        if not isinstance(result, ProductInspection):
            return ""
        self._chosen[result.product] += 1
        said = [f"{printable(result.product):<{self._product_width}}"]
        for each in result.nearest[:2]:
            if each is not result.nearest[0]:
                said.append(f"{printable(each.recipe.name):<{self._product_width}}")
            said.append(f"{each.deviation:>9.2f}")
        return "".join(f"  {each}" for each in said).rstrip()


class JsonLines(Output):
    """One JSON object a line."""

    def add(self, result: Inspection) -> None:
        """Print all but the map."""
        show_json(result.to_dict(), indent=None, flush=True)

    def add_error(self, name: str, error: ImageError) -> None:
        """Print name and error."""
        show_json({"name": name, "error": str(error)}, indent=None, flush=True)


class CsvLines(Output):
    """A header, and a row an image; of its regions the one with the highest peak.

    Args:
        with_product: whether each row says which product it is of.
    """

    def __init__(self, *, with_product: bool = False) -> None:
        self._columns = (*COLUMNS, *(PRODUCT_COLUMNS if with_product else ()))

    def begin(self, sentences: Sequence[str]) -> None:
        """Print the header."""
        super().begin(sentences)
        self._show(self._columns)

    def add(self, result: Inspection) -> None:
        """Print a row."""
        regions = result.regions or ()
        highest = (*regions[0].box, regions[0].peak) if regions else (None,) * 5
        verdict = "anomalous" if result.is_anomaly else "good"
        from onlygood.kind_notes import aspects_of

        differing = aspects_of(result.differences)
        latency_ms = round(result.latency_ms, 3)
        row = (result.name, verdict, result.score, result.p_value, len(regions), *highest, differing, latency_ms, None)
        self._show((*row, *_product_cells(result)))

    def add_error(self, name: str, error: ImageError) -> None:
        """Print a row with the name and the error alone."""
        behind = (None,) * (len(self._columns) - len(COLUMNS))
        self._show((name, *(None,) * (len(COLUMNS) - 2), str(error), *behind))

    def _show(self, row: Sequence[Any]) -> None:
        from onlygood._csv import csv_line

        show(csv_line(row), flush=True)


def _product_cells(result: Inspection) -> tuple[Any, ...]:
    """The values of PRODUCT_COLUMNS; none of an inspection by a model file alone."""
    from onlygood.products.chosen import ProductInspection

    if not isinstance(result, ProductInspection):
        return ()
    near = [each.to_dict() for each in result.nearest[:2]]
    first = near[0]["deviation"] if near else None
    second = (near[1]["product"], near[1]["deviation"]) if len(near) > 1 else (None, None)
    return (result.product, result.recipe, first, *second)
