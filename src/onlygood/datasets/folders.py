"""Find the images of a folder, in one order for every machine, and say which of them belong together."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onlygood._paths import given_path, missing
from onlygood._plurals import name_some, pluralize
from onlygood.datasets.folder_names import FolderKind, folder_kind, masks_beside
from onlygood.datasets.good_folders import check_good
from onlygood.datasets.tree import ARCHIVE, FileTree, Member, archive_tree, folder_tree
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.images.extensions import READ_EXTENSIONS, extension_of, why_not_taken
from onlygood.images.kinds import format_of_source
from onlygood.images.named import NamedImage
from onlygood.images.reading import DEFAULT_LIMITS, ImageArray, ImageSource, ReadingLimits, image_pages, read_image
from onlygood.images.signatures import format_of

EXTENSIONS = READ_EXTENSIONS
_TIFF_EXTENSIONS = (".tif", ".tiff")
# How many names a note gives.
_SHOWN_NAMES = 3
# Of how many files whose names say nothing the first bytes are read.
_MOST_HEADS = 200


@dataclass(frozen=True)
class ImageFile:
    """One image in a folder: a file, or one page of a multi-page TIFF.

    Attributes:
        path: where to read it; of a file in an archive, the archive's.
        relative: its path from the folder, with forward slashes; the file's name if a file was given.
        page: which page to read, from 0; None for a file that is to hold one image.
        pages: how many images the file holds.
        member: the file in the archive at `path`; None for a file of its own.
        problem: why it cannot be read, as a sentence, where that was found already; else None.
    """

    path: Path
    relative: str
    page: int | None = None
    pages: int = 1
    member: Member | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The relative path, and in a file of several images `#` and the page counted from 1: `lot7/stack.tif#3`."""
        return self.relative if self.pages == 1 or self.page is None else f"{self.relative}#{self.page + 1}"

    @property
    def first_folder(self) -> str:
        """The first sub-folder that it is in, such as its class; empty if it is in none."""
        head, slash, _ = self.relative.partition("/")
        return head if slash else ""

    @property
    def place(self) -> tuple[str, str, int]:
        """Two of the same image, by whatever links, have the same."""
        return os.path.realpath(self.path), self.member.name if self.member else "", self.page or 0

    def source(self, limits: ReadingLimits = DEFAULT_LIMITS) -> ImageSource:
        """What `read_image` reads: its path, or its bytes, which are taken out of an archive now.

        Raises:
            ImageError: it has a problem, or the archive cannot be read.
        """
        try:
            if self.problem is not None:
                raise ImageError(self.problem)
            return self.path if self.member is None else self.member.read(self.name, limits)
        except ImageError as error:
            error.name = self.name
            raise

    def named(self, limits: ReadingLimits = DEFAULT_LIMITS) -> NamedImage:
        """The image with its name, for an Inspector.

        Raises:
            ImageError: as `source`.
        """
        return NamedImage(self.name, self.source(limits), self.page)

    def file_format(self) -> str | None:
        """By its first bytes, as `format_of_source` gives it."""
        return format_of_source(self.path if self.member is None else self.member.head())

    def read(self, limits: ReadingLimits = DEFAULT_LIMITS) -> ImageArray:
        """Its pixels, as `read_image` gives them.

        Raises:
            ImageError: as `read_image`.
        """
        return read_image(self.source(limits), name=self.name, page=self.page, limits=limits)


@dataclass(frozen=True)
class FoundImages:
    """The images of a folder, and what else lies there.

    Attributes:
        images: sorted by relative path (code points) and page.
        notes: what was left out, a sentence each.
    """

    images: list[ImageFile]
    notes: list[str]


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
    files = find_images(folder, limits=limits)
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


def find_images(
    folder: str | os.PathLike[str], *, allow_file: bool = False, limits: ReadingLimits = DEFAULT_LIMITS
) -> list[ImageFile]:
    """The images that `look_into` finds.

    Args:
        folder: the folder or ZIP archive, or with `allow_file` one image file, whatever its extension.
        allow_file: whether a file may be given.
        limits: bounds on bytes and pages while pages are counted.

    Raises:
        FolderError: as `look_into`.
    """
    return look_into(folder, allow_file=allow_file, limits=limits).images


def look_into(
    folder: str | os.PathLike[str],
    *,
    allow_file: bool = False,
    good: str | None = None,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> FoundImages:
    """All images below a folder or in a ZIP archive, by extension; at least one.

    Left out are hidden files and folders (a name that begins with a dot), service folders of storage systems and
    archives (`@eaDir`, `#recycle`, `lost+found`, `__MACOSX`, ...), and masks, by the names of their folders
    (`ground_truth`, `masks`, ...) or their own (`7_mask.png` beside `7.png`); the notes say so. Links are followed, but
    each folder is listed once, under its own path rather than a link's where it has both: an image under two names
    would stand on both sides of a split. A TIFF whose pages cannot be counted is listed as one image, so that reading
    it reports what is wrong; so are links that lead nowhere.

    Args:
        folder: the folder or archive, or with `allow_file` one image file, whatever its extension.
        allow_file: whether a file may be given.
        good: the command that needs good images alone, such as "fit": a folder that holds what looks like defects,
            masks or test images is refused then. None where any images will do.
        limits: bounds on bytes and pages while pages are counted.

    Raises:
        FolderError: if it is missing, is a file where a folder is meant, may not be listed, or holds no images.
        NotAllGoodError: good images are needed, and there are others.
    """
    root, shown = given_path(folder), os.fsdecode(folder)
    mode = _mode_of(root, shown)
    if not stat.S_ISDIR(mode):
        if stat.S_ISREG(mode) and root.suffix.lower() == ARCHIVE:
            return _of_tree(archive_tree(root, shown), good, limits)
        if not allow_file:
            raise FolderError(f"{shown} is a file where a folder of images is meant: give its folder")
        return FoundImages(_listed({root.name: root}, limits), [])
    return _of_tree(folder_tree(root, shown), good, limits)


def find_masks(folder: Path, *, limits: ReadingLimits = DEFAULT_LIMITS) -> FoundImages:
    """The masks below a folder of masks: all of its images, of which there may be none.

    Raises:
        FolderError: it may not be listed.
    """
    tree = folder_tree(folder, os.fsdecode(folder))
    return FoundImages(_listed(tree.images(), limits), left_out_notes(tree, []))


def images_of(tree: FileTree, limits: ReadingLimits) -> FoundImages:
    """The images of a folder or an archive, of which there may be none here, without masks.

    Args:
        tree: what lies there.
        limits: bounds on bytes and pages while pages are counted.
    """
    images = tree.images()
    named = masks_beside(images)
    masks = [each for each in images if each in named or _is_below_masks(each)]
    for each in masks:
        del images[each]
    return FoundImages(_listed(images, limits), left_out_notes(tree, masks))


def left_out_notes(tree: FileTree, masks: Sequence[str]) -> list[str]:
    """What was left out of a folder or an archive, a sentence each.

    Args:
        tree: of it.
        masks: relative paths of images that were left out as masks.
    """
    notes = []
    if tree.service_folders:
        count = len(tree.service_folders)
        holding = f", with {pluralize(tree.service_images, 'image')}" if tree.service_images else ""
        notes.append(
            f"{pluralize(count, 'folder', verb='is')} left out of {tree.shown} as what a storage system keeps for "
            f"itself ({name_some(tree.service_folders, _SHOWN_NAMES)}){holding}."
        )
    if masks:
        notes.append(
            f"{pluralize(len(masks), 'image', verb='is')} left out of {tree.shown} as masks, by the names: "
            f"{name_some(masks, _SHOWN_NAMES)}; to use them as images, give their folder itself."
        )
    others = tree.others()
    reasons = {each: why_not_taken(each) for each in others}
    unread = {each: sentence for each, sentence in reasons.items() if sentence is not None}
    if unread:
        by_extension: dict[str, list[str]] = {}
        for name, sentence in unread.items():
            by_extension.setdefault(extension_of(name), []).append(sentence)
        said = [
            sentences[0] + (f" ({len(sentences) - 1:,} more {extension})" if len(sentences) > 1 else "")
            for extension, sentences in by_extension.items()
        ]
        is_one = len(unread) == 1
        more = f"; and {len(said) - _SHOWN_NAMES} other kinds" if len(said) > _SHOWN_NAMES else ""
        notes.append(
            f"{pluralize(len(unread), 'file')} in {tree.shown} {'looks' if is_one else 'look'} like images and "
            f"{'is' if is_one else 'are'} not read: {'; '.join(said[:_SHOWN_NAMES])}{more}."
        )
    plain = [each for each in others if each not in unread]
    misnamed = {each: kind for each in plain[:_MOST_HEADS] if (kind := format_of(tree.head(each))) is not None}
    if misnamed:
        named = name_some([f"{each} ({kind})" for each, kind in misnamed.items()], _SHOWN_NAMES)
        notes.append(
            f"Images by their first bytes, but not by the endings of their names, are left out of {tree.shown}: "
            f"{named}; rename them, or give them by their own paths."
        )
        plain = [each for each in plain if each not in misnamed]
    if plain:
        notes.append(
            f"{pluralize(len(plain), 'other file', verb='is')} not looked at in {tree.shown}: "
            f"{name_some(plain, _SHOWN_NAMES)}."
        )
    return notes


def group_labels(images: Sequence[ImageFile], group_by: str | None, *, called: str = "group_by") -> list[str]:
    """A label for each image; images of one label (one part, session or lot) stay on one side of every split.

    Args:
        images: as `find_images` returns them.
        group_by: None for a group an image; "folder" for a group a sub-folder ("." is the folder itself); else a
            regular expression, searched in the image's name, whose first group, or whole match if it has no groups,
            is the label: `lot([0-9]+)`; `^[^#]*` puts the pages of one file together.
        called: what messages call that setting.

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
            f"{called} must be 'folder' or a regular expression, got {group_by!r}, which is not one ({error})"
        ) from error
    labels = [_label(pattern, image.name) for image in images]
    unlabelled = [image.name for image, label in zip(images, labels, strict=True) if not label]
    if unlabelled:
        raise SettingError(
            f"{called} must find a label in the name of every image, and {group_by!r} finds none in "
            f"{unlabelled[0]!r} ({len(unlabelled):,} of {len(images):,} images): change the pattern or the names"
        )
    return labels


def _label(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    if match is None:
        return ""
    return match[1 if pattern.groups else 0] or ""


def _mode_of(root: Path, shown: str) -> int:
    """What kind of thing a path leads to, as the system says it.

    Raises:
        FolderError: it leads nowhere.
    """
    try:
        return root.stat().st_mode
    except FileNotFoundError as error:
        raise FolderError(missing(shown)) from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise FolderError(f"{shown} cannot be opened ({error}): check its path and permissions") from error


def _of_tree(tree: FileTree, good: str | None, limits: ReadingLimits) -> FoundImages:
    images = tree.images()
    if good is not None:
        check_good(list(images), tree.shown, command=good)
    if not tree.files:
        inside = f" but {name_some(tree.service_folders, _SHOWN_NAMES)}" if tree.service_folders else ""
        raise FolderError(f"{tree.shown} is empty{inside}: put images into it")
    found = images_of(tree, limits)
    if not found.images and images:
        raise FolderError(
            f"{tree.shown} must hold images, got {pluralize(len(images), 'mask')} alone ({next(iter(images))}): give "
            "the folder with the images"
        )
    if not found.images:
        raise FolderError(
            f"{tree.shown} holds {pluralize(len(tree.files), 'other file')} but no images: {' '.join(found.notes)} "
            f"Read are files that end in {', '.join(EXTENSIONS)}"
        )
    return found


def _is_below_masks(relative: str) -> bool:
    return any(folder_kind(each) is FolderKind.MASKS for each in relative.split("/")[:-1])


def _listed(images: Mapping[str, Path | Member], limits: ReadingLimits) -> list[ImageFile]:
    found: list[ImageFile] = []
    for relative, place in images.items():
        # By their content, files of unknown extensions may be stacks, too.
        if relative.lower().endswith(_TIFF_EXTENSIONS) or not relative.lower().endswith(EXTENSIONS):
            found.extend(_pages_of(place, relative, limits))
        else:
            found.append(_image_file(place, relative))
    return found


def _image_file(place: Path | Member, relative: str, page: int | None = None, pages: int = 1) -> ImageFile:
    if isinstance(place, Member):
        return ImageFile(place.archive, relative, page, pages, member=place)
    return ImageFile(place, relative, page, pages)


def _pages_of(place: Path | Member, relative: str, limits: ReadingLimits) -> list[ImageFile]:
    try:
        pages = image_pages(place if isinstance(place, Path) else place.read(relative, limits), limits=limits)
    except ImageError:
        return [_image_file(place, relative)]
    return [_image_file(place, relative, page, len(pages)) for page in pages]
