"""The history for other programs: a table, and a set of images in MVTec's layout."""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from onlygood._csv import csv_line
from onlygood._files import make_folder
from onlygood._paths import given_path
from onlygood.errors import StoreError, WriteError
from onlygood.station.schemas import InspectionRecord, Label, TaughtImage
from onlygood.station.store.images import reason_of

COLUMNS = (
    "id",
    "at",
    "model",
    "model_sha256",
    "source",
    "name",
    "verdict",
    "score",
    "p_value",
    "latency_ms",
    "width",
    "height",
    "regions",
    "notes",
    "image_sha256",
    "has_image",
    "label",
    "labelled_at",
    "labelled_by",
    "label_note",
    "learned_in",
)
SET_COLUMNS = ("file", "set", "what", "why", "id", "at", "model", "name", "verdict", "score", "p_value", "note")
SET_TABLE = "images.csv"
# Spreadsheets take a file for UTF-8 that begins with it.
_MARK = "\ufeff"
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_EPOCH_OF_ZIP = 1980

_log = logging.getLogger("onlygood.station")

Content = Callable[[str], bytes | None]


def table_lines(records: Iterable[InspectionRecord]) -> Iterator[str]:
    """A CSV file with one inspection a line, as it is written; each with its end.

    Args:
        records: in the order of the lines.
    """
    yield f"{_MARK}{csv_line(COLUMNS)}\r\n"
    for record in records:
        yield f"{csv_line(_row_of(record))}\r\n"


def _row_of(record: InspectionRecord) -> list[Any]:
    said = record.feedback
    return [
        record.id,
        record.at.isoformat(),
        record.model,
        record.model_sha256,
        record.source,
        record.name,
        record.verdict.value,
        record.score,
        record.p_value,
        record.latency_ms,
        record.width,
        record.height,
        "; ".join(f"{r.top} {r.left} {r.bottom} {r.right}" for r in record.regions),
        "; ".join(record.notes),
        record.image_sha256,
        "yes" if record.has_image else "no",
        None if said is None else said.label.value,
        None if said is None else said.at.isoformat(),
        None if said is None else said.by,
        None if said is None else said.note,
        record.learned_in,
    ]


class Into(Protocol):
    """Where the files of a set go."""

    def put(self, name: str, content: bytes, at: datetime) -> None:
        """Write one file.

        Args:
            name: with slashes; made here, of numbers and checked words alone.
            content: of the file.
            at: when it was made.
        """


class IntoFolder:
    """A folder, which must be empty or not there.

    Args:
        folder: the path.

    Raises:
        StoreError: something is in it, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = given_path(folder, error=StoreError)
        try:
            make_folder(self._folder)
            is_empty = next(self._folder.iterdir(), None) is None
        except (WriteError, OSError) as error:
            raise StoreError(f"the images cannot be exported to {folder}: {error}") from error
        if not is_empty:
            raise StoreError(f"a folder to export to must be empty, got {folder}, which is not: name a new one")

    def put(self, name: str, content: bytes, at: datetime) -> None:
        """Write one file.

        Args:
            name: with slashes.
            content: of the file.
            at: when it was made.

        Raises:
            StoreError: it cannot be written.
        """
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written ({reason_of(error)}): make room, or name another folder"
            ) from error


class IntoZip:
    """A ZIP file, also one that is sent while it is made.

    Args:
        stream: that takes bytes; it need not be able to seek.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)

    def put(self, name: str, content: bytes, at: datetime) -> None:
        """Write one file.

        Args:
            name: with slashes.
            content: of the file.
            at: when it was made.
        """
        made = max(at.timetuple()[:6], (_EPOCH_OF_ZIP, 1, 1, 0, 0, 0))
        info = zipfile.ZipInfo(name, date_time=made)
        info.external_attr = 0o644 << 16
        self._zip.writestr(info, content)

    def close(self) -> None:
        """Write the list of what is in it."""
        self._zip.close()


def put_set(
    into: Into,
    *,
    marked: Iterable[tuple[InspectionRecord, str]],
    taught: Iterable[tuple[TaughtImage, str]],
    with_taught: bool,
    content: Content,
    at: datetime,
) -> Iterator[None]:
    """Write images that people know the truth of, in MVTec's layout, one a step, and a table of what is what.

    To MODEL/train/good go the images that were taught and the false alarms that a version has learned from: they are
    what a model may learn from, and measure nothing. To MODEL/test/good and MODEL/test/defect go the others that a
    person marked. What nobody marked stays out, whatever the verdict was: a verdict is no truth. An image that was
    inspected and marked several times is there once, where the first of these inspections belongs; the table has all.

    Args:
        into: where the files go.
        marked: inspections with feedback, each with the suffix of its image's file.
        taught: images that are learned from, with theirs: none of them tests anything.
        with_taught: whether they are part of the set.
        content: of an image, by its digest; None where it is not kept.
        at: the time.
    """
    lines = [f"{_MARK}{csv_line(SET_COLUMNS)}\r\n"]
    # An image of both stands in the set that it was learned from: it cannot test what has seen it.
    learned: set[tuple[str, str]] = set()
    written: dict[tuple[str, str], str] = {}
    for image, suffix in taught:
        if image.is_left_out:
            continue
        learned.add((image.model, image.image_sha256))
        found = _read(content, image.image_sha256) if with_taught else None
        if found is None:
            continue
        name = f"{image.model}/train/good/taught-{image.id:06d}{_safe(suffix)}"
        into.put(name, found, image.at)
        known = [name, "train", "good", "taught", None, image.at.isoformat(), image.model, image.name]
        lines.append(f"{csv_line([*known, None, None, None, None])}\r\n")
        yield
    for record, suffix in marked:
        said, digest = record.feedback, record.image_sha256
        if said is None or digest is None or not record.has_image or (record.model, digest) in learned:
            continue
        found = _read(content, digest)
        if found is None:
            continue
        is_learned = said.label is Label.GOOD and record.learned_in is not None
        which = "train" if is_learned else "test"
        why = f"marked, learned in version {record.learned_in}" if is_learned else "marked"
        place = (record.model, digest)
        if place in written:
            name, why = written[place], f"{why}, the same image as one before"
        else:
            name = f"{record.model}/{which}/{said.label.value}/{record.id:08d}{_safe(suffix)}"
            written[place] = name
            into.put(name, found, record.at)
        row: list[Any] = [
            name,
            which,
            said.label.value,
            why,
            record.id,
            record.at.isoformat(),
            record.model,
            record.name,
        ]
        row += [record.verdict.value, record.score, record.p_value, said.note]
        lines.append(f"{csv_line(row)}\r\n")
        yield
    into.put(SET_TABLE, "".join(lines).encode(), at)
    yield


class Sink(io.RawIOBase):
    """Takes bytes and gives them away: what lies between a ZIP file that is made and one that is sent."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, block: Any) -> int:
        """Take some.

        Args:
            block: bytes, or what holds some.
        """
        taken = bytes(block)
        self._blocks.append(taken)
        self._size += len(taken)
        return len(taken)

    def tell(self) -> int:
        """How many were taken."""
        return self._size

    def seekable(self) -> bool:
        """False."""
        return False

    def given(self) -> bytes:
        """All that were taken since the last time."""
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


def _read(content: Content, digest: str) -> bytes | None:
    """An image; None, and a line in the log, for one that is damaged: the others are exported all the same."""
    try:
        return content(digest)
    except StoreError as error:
        _log.warning("an image is left out of the export: %s", error)
        return None


def _safe(suffix: str) -> str:
    """The suffix of a file as someone gave it, if it is one."""
    return suffix.lower() if _SUFFIX.fullmatch(suffix) else ""
