"""The heat maps that `inspect` writes: what each is called, and what happens to one that cannot be written."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from onlygood._files import make_folder, write_atomically
from onlygood._plurals import pluralize
from onlygood._printable import printable
from onlygood.cli.console import complain
from onlygood.errors import WriteError

if TYPE_CHECKING:
    from onlygood.results import Inspection

SUFFIX = "_heatmap.png"
# What some file systems allow in no name, the two slashes among them, and names that Windows keeps for devices.
_RESERVED = re.compile(r'[<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
# Bytes that file systems have room for in one name.
_MOST_BYTES = 255
# Hexadecimal digits of a digest that tells names apart.
_DIGITS = 8


class Heatmaps:
    """A folder of heat maps, one for each image that is inspected.

    Args:
        folder: made if it is not there.
        names: of all images.

    Raises:
        WriteError: the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], names: Iterable[str]) -> None:
        self._folder = make_folder(folder)
        self._paths = heatmap_paths(names)
        self._failed = 0
        self._lock = Lock()

    def write(self, inspection: Inspection) -> None:
        """Write one, from any thread. Of those that cannot be written the first is reported at once."""
        from onlygood.heatmap import to_png

        drawn = inspection.heatmap()  # the inspector was made with maps
        target = self._folder / self._paths[inspection.name]
        try:
            make_folder(target.parent)
            write_atomically(target, to_png(drawn))
        except WriteError as error:
            with self._lock:
                self._failed += 1
                if self._failed == 1:
                    complain(f"onlygood: a heat map is missing, and the verdicts go on: {error}")

    def report(self) -> bool:
        """Whether all could be written; how many could not is said where there are several."""
        if self._failed > 1:
            count = pluralize(self._failed, "heat map")
            complain(f"onlygood: {count} could not be written, of which the first is named above")
        return not self._failed


def heatmap_paths(names: Iterable[str]) -> dict[str, Path]:
    """Where the heat map of each image goes, relative to their folder: no two on one file, whatever the file system.

    Args:
        names: of the images: paths, relative or not.
    """
    plain = {name: _path(name) for name in names}
    sharing: dict[str, list[str]] = defaultdict(list)
    for name, path in plain.items():
        # File systems that tell neither A from a nor two ways of writing an accent.
        sharing[unicodedata.normalize("NFC", path.as_posix().casefold())].append(name)
    told_apart = {name for group in sharing.values() if len(group) > 1 for name in group}
    return {name: _path(name, with_digest=True) if name in told_apart else path for name, path in plain.items()}


def _path(name: str, *, with_digest: bool = False) -> Path:
    # A name may be an absolute path or lead upwards; a heat map stays below its folder.
    whole = Path(name)
    *folders, last = [part for part in whole.parts if part != whole.anchor] or [name]
    last = re.sub(r"\.png\Z", "", last, flags=re.IGNORECASE)
    below = ["(up)" if part == ".." else _portable(part, part) for part in folders]
    return Path(*below, _portable(last, name, suffix=SUFFIX, with_digest=with_digest))


def _portable(part: str, name: str, *, suffix: str = "", with_digest: bool = False) -> str:
    """A part of a path as every file system takes it.

    Args:
        part: as it is.
        name: what a digest is made of, where part of a name has to go or with_digest is set.
        suffix: to stand behind it.
        with_digest: whether two would be called the same without.
    """
    text = _RESERVED.sub("_", printable(part))
    if not suffix and (text[-1:] in (".", " ") or _DEVICES.fullmatch(text)):
        text += "_"
    if with_digest or len(os.fsencode(text + suffix)) > _MOST_BYTES:
        suffix = f"-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}{suffix}"
        while len(os.fsencode(text + suffix)) > _MOST_BYTES:
            text = text[:-1]
    return text + suffix
