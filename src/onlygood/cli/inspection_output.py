"""What `inspect` prints: a table to read, or lines of JSON or CSV for programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(len(printable(name)) for name in names)

    def begin(self, sentences: Sequence[str]) -> None:
        """Print the sentences and the head of the table."""
        for sentence in sentences:
            show(sentence)
        show(f"{'image':<{self._width}}  verdict    {'score':>9}  {'p-value':>8}")

    def add(self, result: Inspection) -> None:
        """Print a row."""
        word = "ANOMALOUS" if result.is_anomaly else "good"
        name = f"{printable(result.name):<{self._width}}"
        show(f"{name}  {word:<9}  {result.score:>+9.4f}  {result.p_value:>8.4f}")

    def add_error(self, name: str, error: ImageError) -> None:
        """Print nothing: the table is of verdicts."""

    def end(self, summary: str) -> None:
        """Print it."""
        show(summary)


class JsonLines(Output):
    """One JSON object a line."""

    def add(self, result: Inspection) -> None:
        """Print all but the map."""
        show_json(result.to_dict(), indent=None, flush=True)

    def add_error(self, name: str, error: ImageError) -> None:
        """Print name and error."""
        show_json({"name": name, "error": str(error)}, indent=None, flush=True)


class CsvLines(Output):
    """A header, and a row an image; of its regions the one with the highest peak."""

    def begin(self, sentences: Sequence[str]) -> None:
        """Print the header."""
        super().begin(sentences)
        self._show(COLUMNS)

    def add(self, result: Inspection) -> None:
        """Print a row."""
        regions = result.regions or ()
        highest = (*regions[0].box, regions[0].peak) if regions else (None,) * 5
        verdict = "anomalous" if result.is_anomaly else "good"
        from onlygood.kind_notes import aspects_of

        differing = aspects_of(result.differences)
        latency_ms = round(result.latency_ms, 3)
        row = (result.name, verdict, result.score, result.p_value, len(regions), *highest, differing, latency_ms, None)
        self._show(row)

    def add_error(self, name: str, error: ImageError) -> None:
        """Print a row with the name and the error alone."""
        self._show((name, *(None,) * (len(COLUMNS) - 2), str(error)))

    def _show(self, row: Sequence[Any]) -> None:
        from onlygood._csv import csv_line

        show(csv_line(row), flush=True)
