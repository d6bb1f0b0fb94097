"""Find the images of a folder, in one order for every machine, and say which of them belong together."""

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from onlygood._paths import given_path
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits, image_pages

EXTENSIONS = (".bmp", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_TIFF_EXTENSIONS = (".tif", ".tiff")
# Where data sets laid out as MVTec AD keep the masks of their defects.
MASKS_FOLDER = "ground_truth"
_SKIPPED_FOLDERS = ("__MACOSX",)  # archives of macOS keep resource forks there, under the images' own names


@dataclass(frozen=True)
class ImageFile:
    """One image in a folder: a file, or one page of a multi-page TIFF.

    Attributes:
        path: where to read it.
        relative: its path from the folder, with forward slashes; the file's name if a file was given.
        page: which page to read, from 0; None for a file that is to hold one image.
        pages: how many images the file holds.
    """

    path: Path
    relative: str
    page: int | None = None
    pages: int = 1

    @property
    def name(self) -> str:
        """The relative path, and in a file of several images `#` and the page counted from 1: `lot7/stack.tif#3`."""
        return self.relative if self.pages == 1 or self.page is None else f"{self.relative}#{self.page + 1}"

    @property
    def first_folder(self) -> str:
        """The first sub-folder that it is in, such as its class; empty if it is in none."""
        head, slash, _ = self.relative.partition("/")
        return head if slash else ""


def find_by_class(
    folder: str | os.PathLike[str], *, limits: ReadingLimits = DEFAULT_LIMITS
) -> dict[str, list[ImageFile]]:
    """The images below a folder of reference images, by class: by its first sub-folders.

    Args:
        folder: to search, as `find_images` does.
        limits: bounds on pixels and bytes, as for `find_images`.

    Returns:
        At least one class, in the order of their names, each with at least one image.

    Raises:
        FolderError: as `find_images`, or images beside the sub-folders.
    """
    files = find_without_masks(folder, limits=limits)
    loose = [file.name for file in files if not file.first_folder]
    if loose:
        raise FolderError(
            f"reference images must lie in one sub-folder a class, got {len(loose)} of {len(files)} in "
            f"{os.fsdecode(folder)} itself, such as {loose[0]}: make a sub-folder for each class, or give the folder "
            "above"
        )
    return by_first_folder(files)


def by_first_folder(files: Sequence[ImageFile]) -> dict[str, list[ImageFile]]:
    """Images by the first sub-folder that they are in, in the order of its name; those in none are under ""."""
    folders: dict[str, list[ImageFile]] = {}
    for file in files:
        folders.setdefault(file.first_folder, []).append(file)
    return {name: folders[name] for name in sorted(folders)}


def find_without_masks(folder: str | os.PathLike[str], *, limits: ReadingLimits = DEFAULT_LIMITS) -> list[ImageFile]:
    """The images of a folder, as `find_images` finds them, without the masks of data sets laid out as MVTec AD.

    Raises:
        FolderError: as `find_images`, or there are masks alone.
    """
    found = find_images(folder, limits=limits)
    images = [file for file in found if MASKS_FOLDER not in file.relative.casefold().split("/")[:-1]]
    if not images:
        raise FolderError(
            f"{os.fsdecode(folder)} must hold images, got {len(found)} in {MASKS_FOLDER} alone, where masks lie: "
            "give the folder with the images"
        )
    return images


def find_images(
    folder: str | os.PathLike[str], *, allow_file: bool = False, limits: ReadingLimits = DEFAULT_LIMITS
) -> list[ImageFile]:
    """All images below a folder, by extension, sorted by relative path (code points) and page; at least one.

    Hidden files and folders (a name that begins with a dot) and `__MACOSX` are skipped. Links are followed, but each
    folder is listed once, under its own path rather than a link's where it has both: an image under two names would
    stand on both sides of a split. A TIFF whose pages cannot be counted is listed as one image, so that reading it
    reports what is wrong; so are links that lead nowhere.

    Args:
        folder: the folder, or with `allow_file` one image file, whatever its extension.
        allow_file: whether a file may be given.
        limits: bounds on bytes and pages while pages are counted.

    Raises:
        FolderError: if it is missing, is a file where a folder is meant, may not be listed, or holds no images.
    """
    root, shown = given_path(folder), os.fsdecode(folder)
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError as error:
        raise FolderError(f"{shown} does not exist: check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise FolderError(f"{shown} cannot be opened ({error}): check its path and permissions") from error
    if not is_folder:
        if not allow_file:
            raise FolderError(f"{shown} is a file where a folder of images is meant: give its folder")
        return _pages_of(root, root.name, limits)
    files = _files_below(root, shown)
    images = {
        relative: path for relative, path in files.items() if PurePosixPath(relative).suffix.lower() in EXTENSIONS
    }
    if not files:
        raise FolderError(f"{shown} is empty: put images into it")
    if not images:
        others = "1 other file" if len(files) == 1 else f"{len(files):,} other files"
        raise FolderError(f"{shown} holds {others} but no images: files that end in {', '.join(EXTENSIONS)} are read")
    found: list[ImageFile] = []
    for relative in sorted(images):
        if relative.lower().endswith(_TIFF_EXTENSIONS):
            found.extend(_pages_of(images[relative], relative, limits))
        else:
            found.append(ImageFile(images[relative], relative))
    return found


def other_files(folder: str | os.PathLike[str]) -> list[str]:
    """Relative paths of a folder's files that `find_images` passes over by their extension; none for a file.

    Hidden files are not among them.

    Raises:
        FolderError: if the folder may not be listed.
    """
    root = Path(folder)
    if not root.is_dir():
        return []
    files = _files_below(root, os.fsdecode(folder))
    return sorted(name for name in files if PurePosixPath(name).suffix.lower() not in EXTENSIONS)


def group_labels(images: Sequence[ImageFile], group_by: str | None) -> list[str]:
    """A label for each image; images of one label (one part, session or lot) stay on one side of every split.

    Args:
        images: as `find_images` returns them.
        group_by: None for a group an image; "folder" for a group a sub-folder ("." is the folder itself); else a
            regular expression, searched in the image's name, whose first group, or whole match if it has no groups,
            is the label: `lot([0-9]+)`; `^[^#]*` puts the pages of one file together.

    Raises:
        SettingError: if the regular expression is not one, or finds no label, or an empty one, in some name.
    """
    if group_by is None:
        return [image.name for image in images]
    if group_by == "folder":
        return [image.relative.rpartition("/")[0] or "." for image in images]
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise SettingError(
            f"group_by must be 'folder' or a regular expression, got {group_by!r}, which is not one ({error})"
        ) from error
    labels = [_label(pattern, image.name) for image in images]
    unlabelled = [image.name for image, label in zip(images, labels, strict=True) if not label]
    if unlabelled:
        raise SettingError(
            f"group_by must find a label in the name of every image, and {group_by!r} finds none in "
            f"{unlabelled[0]!r} ({len(unlabelled):,} of {len(images):,} images): change the pattern or the names"
        )
    return labels


def _label(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    if match is None:
        return ""
    return match[1 if pattern.groups else 0] or ""


def _pages_of(path: Path, relative: str, limits: ReadingLimits) -> list[ImageFile]:
    try:
        pages = image_pages(path, limits=limits)
    except ImageError:
        return [ImageFile(path, relative)]
    return [ImageFile(path, relative, page, len(pages)) for page in pages]


def _files_below(root: Path, shown: str) -> dict[str, Path]:
    """Files that are not hidden, by relative path. Linked folders wait until all real ones have been listed."""
    files: dict[str, Path] = {}
    seen: set[tuple[int, int]] = set()
    real: list[tuple[str, Path]] = [("", root)]
    linked: list[tuple[str, Path]] = []
    while real or linked:
        prefix, folder = real.pop() if real else linked.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not _is_folder(entry):
                    files[prefix + entry.name] = folder / entry.name
                elif entry.name not in _SKIPPED_FOLDERS:
                    (linked if entry.is_symlink() else real).append((f"{prefix}{entry.name}/", folder / entry.name))
        except OSError as error:
            where = f"{prefix[:-1]} in {shown}" if prefix else shown
            reason = error.strerror or type(error).__name__
            raise FolderError(f"{where} cannot be listed ({reason}): change its permissions or move it away") from error
    return files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
