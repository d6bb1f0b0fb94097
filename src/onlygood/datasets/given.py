"""The images that a person names: folders, files, patterns, lists and ZIP archives, in any number and order."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from onlygood._paths import given_path
from onlygood._plurals import name_some, pluralize
from onlygood.datasets.folders import FoundImages, ImageFile, look_into
from onlygood.datasets.good_folders import named_as_defects
from onlygood.datasets.tree import ARCHIVE
from onlygood.errors import FolderError, NotAllGoodError
from onlygood.images.limits import reason
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits
from onlygood.images.signatures import HEAD_BYTES, format_of

LIST = ".txt"
# How many names a note gives.
_SHOWN_NAMES = 3
# Up to so many names of one letter each may be meant.
_FEW_NAMES = 8
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

OnePath = str | os.PathLike[str]


def find_given(
    given: OnePath | Sequence[OnePath], *, good: str | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> FoundImages:
    """The images that paths name, in the order given; of a folder, an archive or a pattern in that of their names.

    A path is a folder, a ZIP archive, an image, a text file (.txt) with a path a line (relative to that file's folder),
    or a pattern such as `lot*/*.png` (`**` for any folders), where nothing has that very name. Images of one folder or
    archive that is given alone are called by their paths in it, one image alone by its name; of several, with the path
    before it, and so is an image in a sequence of one.

    A path of several that leads nowhere is an image that cannot be read; one that cannot be listed or holds no images
    is noted. Only if none of them can be used is that an error. Of good images, one that is named twice is taken once.

    Args:
        given: one path, or several.
        good: the command that needs good images alone, as for `look_into`. What a person names by its own path is
            taken; what is only found below it is judged.
        limits: bounds on bytes and pages while pages are counted.

    Raises:
        FolderError: nothing there can be used.
        NotAllGoodError: good images are needed, and there are others.
    """
    paths = [given] if isinstance(given, str | os.PathLike) else list(given)
    if not paths:
        raise FolderError("images must be named by at least one path, got none: give a folder or images")
    for path in paths:
        given_path(path)
    named = [each for path in paths for each in _spelled_out(os.fspath(path), limits)]
    doubts = _doubts([each.path for each in named if not each.problem], good)
    is_alone = isinstance(given, str | os.PathLike) or not Path(named[0].path).is_file()
    if len(named) == 1 and named[0].is_literal and is_alone:
        found = look_into(named[0].path, allow_file=True, good=good, limits=limits)
        return FoundImages(found.images, [*found.notes, *doubts])
    images: list[ImageFile] = []
    notes: list[str] = []
    problems: list[str] = []
    for each in named:
        try:
            if each.problem:
                raise FolderError(each.problem)
            found = look_into(each.path, allow_file=True, good=good, limits=limits)
        except NotAllGoodError:
            raise
        except FolderError as error:
            problems.append(str(error))
            if Path(each.path).is_dir():
                notes.append(f"{error}.")
            else:
                images.append(ImageFile(Path(each.path), Path(each.shown).as_posix(), problem=str(error)))
            continue
        first = found.images[0]
        is_one_file = first.member is None and first.path == Path(each.path)
        above = Path(each.shown).parent if is_one_file else Path(each.shown)
        images += [replace(image, relative=(above / image.relative).as_posix()) for image in found.images]
        notes += found.notes
    if len(problems) == len(named):
        if len(problems) == 1:
            raise FolderError(problems[0])
        raise FolderError(f"none of {len(problems):,} paths given can be used, the first: {problems[0]}")
    if good is not None:
        once = list({image.place: image for image in reversed(images)}.values())[::-1]
        if len(once) < len(images):
            twice = len(images) - len(once)
            notes.append(f"{pluralize(twice, 'image', verb='is')} named more than once and taken once.")
        images = once
    return FoundImages(images, [*notes, *doubts])


def stands_for_several(given: object) -> TypeGuard[Sequence[OnePath]]:
    """Whether a list holds paths alone, at least one of them of a folder, an archive, a list or a pattern."""
    if not isinstance(given, list | tuple) or not all(isinstance(each, str | os.PathLike) for each in given):
        return False
    return any(
        Path(each).suffix.lower() in (ARCHIVE, LIST) or Path(each).is_dir() or glob.has_magic(os.fspath(each))
        for each in given
        if "\0" not in os.fspath(each)
    )


def paths_in_list(data: bytes, shown: str) -> list[str]:
    """The paths in a list, one a line, or separated by null characters as `find -print0` does.

    Args:
        data: the list, UTF-8, or UTF-16 with its byte order mark, as PowerShell writes it; that mark and blank lines do
            not count.
        shown: what errors call it.

    Raises:
        FolderError: there are none, what is there is an image, or it is no such text.
    """
    kind = format_of(data[:HEAD_BYTES])
    if kind is not None:
        raise FolderError(f"{shown} must list paths, one a line, got an image ({kind}): give its path")
    data = _in_utf_8(data, shown)
    separator, around = (b"\0", b"\r\n") if b"\0" in data else (b"\n", b" \t\r\n")
    lines = (line.strip(around) for line in data.removeprefix(b"\xef\xbb\xbf").split(separator))
    paths = [os.fsdecode(line) for line in lines if line]
    if not paths:
        raise FolderError(f"{shown} must list at least one path, one a line, got none")
    return paths


def _in_utf_8(data: bytes, shown: str) -> bytes:
    if not data.startswith(_UTF_16_MARKS):
        # Null characters between all letters are those of UTF-16, not of `find -print0`.
        names = data.split(b"\0")
        if len(names) > _FEW_NAMES and max(map(len, names)) == 1:
            raise FolderError(f"{shown} must be a list of paths in UTF-8, got what looks like UTF-16: save it as UTF-8")
        return data
    try:
        return data.decode("utf-16").encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise FolderError(f"{shown} begins as UTF-16 and is none: save the list as UTF-8") from error


@dataclass(frozen=True)
class _Named:
    """A path, and what it is called; literal where a person gave it as it is, not in a list or by a pattern.

    A pattern that matches nothing, and a list that names nothing, stands for itself with what is wrong about it.
    """

    path: str
    shown: str
    is_literal: bool = True
    problem: str = ""


def _spelled_out(path: str, limits: ReadingLimits) -> list[_Named]:
    """What one argument stands for: itself, the lines of a list, or the matches of a pattern."""
    exists = "\0" not in path and os.path.lexists(path)
    if exists and path.lower().endswith(LIST) and Path(path).is_file():
        try:
            listed = paths_in_list(_read_list(Path(path), limits), path)
        except FolderError as error:
            return [_Named(path, path, is_literal=False, problem=str(error))]
        return [_listed(Path(path).parent, each) for each in listed]
    if not exists and glob.has_magic(path):
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
        if not matches:
            problem = f"the pattern {path} must match images or folders, got no match: check it"
            return [_Named(path, path, is_literal=False, problem=problem)]
        return [_Named(each, each, is_literal=False) for each in matches]
    return [_Named(path, path)]


def _listed(folder: Path, written: str) -> _Named:
    """What a line of a list names: that very path, or the one without the quotes and backslashes of Windows."""
    bare = written[1:-1] if len(written) > 2 and written[0] == written[-1] == '"' else written
    readings = (written, written.replace("\\", "/"), bare, bare.replace("\\", "/"))
    meant = next((each for each in readings if os.path.lexists(folder / each)), written)
    return _Named(str(folder / meant), meant, is_literal=False)


def _read_list(path: Path, limits: ReadingLimits) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise FolderError(f"the list {path} cannot be read ({reason(error)}): check its permissions") from error
    if len(data) > limits.max_bytes:
        raise FolderError(f"the list {path} has more than {limits.max_bytes:,} bytes, the most that are read: split it")
    return data


def _doubts(paths: Sequence[str], good: str | None) -> list[str]:
    """What to say where a person names as good what is called as defects are."""
    if good is None:
        return []
    is_holder = {path: path.lower().endswith(ARCHIVE) or ("\0" not in path and Path(path).is_dir()) for path in paths}
    folders = dict.fromkeys(path if holds else str(Path(path).parent) for path, holds in is_holder.items())
    doubtful = named_as_defects(folders)
    if not doubtful:
        return []
    are, them = ("is", "it") if len(doubtful) == 1 else ("are", "them")
    return [
        f"{name_some(doubtful, _SHOWN_NAMES)} {are} called as defects or masks are, and {good} takes all images there "
        f"as good: leave {them} out if they are not."
    ]
