"""Model files of a set that are written beside it, and put into it all at once or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onlygood._ending import before_ending
from onlygood._files import write_atomically
from onlygood.errors import WriteError
from onlygood.products.table import TABLE, ProductTable

# A folder of a process that was killed is removed by a later one, if nobody has written into it for so long.
ABANDONED_S = 7 * 24 * 3600.0
_NAME = re.compile(r"\.fitting-[0-9a-f]{8}")


class Staging:
    """A hidden folder in the folder of a set, in which models wait until all of them are there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting = folder / f".fitting-{secrets.token_hex(4)}"
        self._staged: dict[str, Path] = {}
        # What was done to the set so far: what was put where, and where what was there before is.
        self._moved: list[tuple[Path, Path | None]] = []

    def add(self, name: str, content: bytes) -> None:
        """Keep the model file of a product.

        Raises:
            WriteError: it cannot be written.
        """
        path = self._waiting / f"{len(self._staged)}.onnx"
        write_atomically(path, content)
        self._staged[name] = path

    def commit(self, table: ProductTable) -> None:
        """Put the files that were kept where the table names them, then the table; where that fails, all as before.

        Raises:
            WriteError: a file cannot be put there.
        """
        files = {each.name: each.file for each in table.products}
        try:
            for number, (name, staged) in enumerate(self._staged.items()):
                target = self.folder / files[name]
                before = self._waiting / f"{number}.before" if target.exists() else None
                self._moved.append((target, before))
                if before is not None:
                    os.replace(target, before)  # noqa: PTH105 - as below
                os.replace(staged, target)  # noqa: PTH105 - beside the line that undoes it
            table.write(self.folder)
        except OSError as error:
            self.undo()
            reason = (error.strerror or str(error)).lower()
            raise WriteError(f"{self.folder} cannot be written into: {reason}: choose another place") from error
        except BaseException:
            self.undo()
            raise
        self._moved.clear()

    def undo(self) -> None:
        """Put back what was there before."""
        while self._moved:
            target, before = self._moved.pop()
            with suppress(OSError):
                if before is None:
                    target.unlink(missing_ok=True)
                elif before.exists():
                    os.replace(before, target)  # noqa: PTH105

    def _begin(self) -> None:
        try:
            self._waiting.mkdir()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise WriteError(f"{self.folder} cannot be written into: {reason}: choose another place") from error

    def _end(self) -> None:
        self.undo()
        shutil.rmtree(self._waiting, ignore_errors=True)


@contextmanager
def staging(folder: Path) -> Iterator[Staging]:
    """A place in which models wait, in a folder that is made if it is not there, and removed again if it stays empty.

    Args:
        folder: of the set.

    Raises:
        WriteError: the folder cannot be made or written into.
    """
    is_new = not folder.exists()
    if is_new and not folder.parent.is_dir():
        raise WriteError(f"{folder} cannot be made: there is no folder {folder.parent}: make it first")
    if not is_new and not folder.is_dir():
        raise WriteError(f"a set of products must be a folder, got the file {folder}: choose another name")
    if is_new:
        try:
            folder.mkdir()
        except OSError as error:
            raise WriteError(f"{folder} cannot be made: {(error.strerror or str(error)).lower()}") from error
    _remove_abandoned(folder)
    place = Staging(folder)

    def end() -> None:
        place._end()
        if is_new and not (folder / TABLE).exists():
            with suppress(OSError):
                folder.rmdir()

    with before_ending(end):
        try:
            place._begin()
            yield place
        finally:
            end()


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(entry.path, ignore_errors=True)
