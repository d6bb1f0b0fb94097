"""Find labelled images to measure a model with: good ones, defective ones, and masks of the defects.

Three layouts are taken:

    TEST/good/..., TEST/<type of defect>/...      folders; what lies deeper belongs to its folder at the top
    the same, and masks                           in `ground_truth` inside TEST, or beside it if TEST is called `test`:
                                                  ground_truth/<type of defect>/<stem>_mask.png, or several in a
                                                  folder ground_truth/<type of defect>/<stem>/; a folder that holds
                                                  `test` stands for it
    a CSV file                                    columns path and label, and, if known, mask, defect and session

Upper and lower case make no difference in the names `good`, `test` and `ground_truth`. What a folder's name leaves in
doubt is refused rather than guessed: a wrong label is worse than none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onlygood._paths import given_path, missing
from onlygood._plurals import pluralize
from onlygood.datasets.folder_names import FolderKind, folder_kind
from onlygood.datasets.folders import EXTENSIONS, ImageFile, find_masks, group_labels, images_of
from onlygood.datasets.labelled_csv import labelled_from_csv
from onlygood.datasets.labelled_set import GOOD, LabelledImage, LabelledSet, checked_set
from onlygood.datasets.masks import pair_masks
from onlygood.datasets.tree import FileTree, folder_tree, service_tree
from onlygood.errors import FolderError, LabelledSetError, SettingError
from onlygood.images.limits import reason
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits

_TEST = "test"
# Folders of test images in data sets that keep the masks beside them: MVTec AD, BTAD; VisA.
_WITH_MASKS_BESIDE = ("test", "images")

# What the folder of masks is called in MVTec AD, and in what is said here.
MASKS_FOLDER = "ground_truth"

_LAYOUT = (
    "arrange them as good/1.png, scratch/1.png and so on, with a folder for each type of defect, or list them in a CSV "
    "file with the columns path and label"
)


def find_labelled(
    path: str | os.PathLike[str], *, group_by: str | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> LabelledSet:
    """The labelled images of a folder or a CSV file, in one order for every machine. No pixel is read.

    Folders: exactly what lies in the folder `good` is good. Hidden files and links are treated as by `find_images`.

    CSV files: UTF-8, with a header, separated by commas or semicolons. A label is good or 0, bad, anomalous or 1. Paths
    are absolute or relative to the CSV file; forward slashes work everywhere, and backslashes too. Blank rows are
    skipped, and so are rows with nothing in any cell, which spreadsheets leave at the end.

    Args:
        path: the folder of test images, a folder that holds it as `test`, or a CSV file (.csv).
        group_by: where the session of an image comes from. "folder": its sub-folder below `good` or the type of defect
            (`lot3` for `good/lot3/a.png` as for `scratch/lot3/b.png`, "." for `good/a.png`), in a CSV file the folder
            of its path. Else a regular expression for its name, as in `group_labels`. None: the column session of a
            CSV file, and no sessions in folders.
        limits: bounds on bytes and pages while pages are counted, and on the bytes of a CSV file.

    Raises:
        LabelledSetError: if there are no images, or it is not certain which of them are good.
        SettingError: if `group_by` is no regular expression, or finds no session in some name.
    """
    root, shown = given_path(path), os.fsdecode(path)
    try:
        mode = root.stat().st_mode
    except FileNotFoundError as error:
        raise LabelledSetError(missing(shown)) from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise LabelledSetError(f"{shown} cannot be opened ({reason(error)}): check its path and permissions") from error
    if stat.S_ISDIR(mode):
        return _from_folder(root, shown, group_by, limits)
    if stat.S_ISREG(mode) and root.suffix.lower() == ".csv":
        return labelled_from_csv(root, shown, group_by, limits)
    raise LabelledSetError(
        f"labelled images must be a folder or a CSV file (.csv), got {shown}: give the folder that holds good/ and a "
        "folder for each type of defect"
    )


# Folders


def _from_folder(root: Path, shown: str, group_by: str | None, limits: ReadingLimits) -> LabelledSet:
    inner = child_folder(root, _TEST)
    if inner is not None and child_folder(root, GOOD) is not None:
        raise LabelledSetError(
            f"{shown} holds {inner.name} beside good, and only one of them can be the test images: give "
            f"{inner}, or rename {inner.name} if it is a type of defect"
        )
    if inner is not None:
        root, shown = inner, os.fsdecode(inner)
    folders, loose = _top_level(root, shown)
    truth = _truth(folders, root, shown)
    folders = [folder for folder in folders if folder != truth]
    _check_top_level(folders, loose, shown)
    tree = _tree_of(root, shown, [folder.name for folder in folders])
    listed = images_of(tree, limits)
    found = listed.images
    tops = {_top(file) for file in found}
    notes = [f"The folder {folder.name} holds no images." for folder in folders if folder.name not in tops]
    if not found:
        raise LabelledSetError(f"{shown} must hold folders of labelled images, got none: {_LAYOUT}")
    found.sort(key=lambda file: (file.relative, file.page or 0))
    _check_nested(found, shown)

    masks: dict[ImageFile, tuple[Path, ...]] = {}
    left_over: list[str] = []
    if truth is not None:
        masks, left_over = _masks(found, truth, limits)
        if not masks and not left_over:
            notes.append(f"{truth.name} holds no masks.")
    sessions = _folder_sessions(found, group_by, shown)
    labelled = [
        LabelledImage(
            file=file,
            is_anomalous=_is_anomalous(file),
            defect=_top(file) if _is_anomalous(file) else GOOD,
            mask=masks[file][0] if file in masks else None,
            session=session,
            more_masks=masks[file][1:] if file in masks else (),
        )
        for file, session in zip(found, sessions, strict=True)
    ]
    good = [folder.name for folder in folders if folder_kind(folder.name) is FolderKind.GOOD]
    if not good:
        notes.append(f"No folder is called good: all {len(found):,} images count as anomalous.")
    elif [name.casefold() for name in good] != [GOOD]:
        notes.append(f"The images in {', '.join(good)} count as good, and those in all other folders as anomalous.")
    notes += listed.notes
    if left_over:
        verb = "belongs" if len(left_over) == 1 else "belong"
        notes.append(
            f"{pluralize(len(left_over), 'mask')} in {MASKS_FOLDER} {verb} to no anomalous image, the first: "
            f"{left_over[0]}."
        )
    return checked_set(labelled, "mvtec" if masks else "folders", notes, shown)


def child_folder(folder: Path, name: str) -> Path | None:
    """The sub-folder of this name, in any case; None if there is none or the folder may not be listed."""
    try:
        named = sorted(entry for entry in folder.iterdir() if entry.name.casefold() == name and entry.is_dir())
    except OSError:
        return None
    return named[0] if named else None


def good_folders(folder: Path) -> list[Path]:
    """The sub-folders whose names say that their images are good; none where the folder may not be listed."""
    return _of_kind(folder, FolderKind.GOOD)


def _top_level(root: Path, shown: str) -> tuple[list[Path], list[str]]:
    """The folders at the top, and the images that lie beside them."""
    try:
        entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
        folders = [entry for entry in entries if entry.is_dir()]
    except OSError as error:
        raise LabelledSetError(
            f"{shown} cannot be listed ({reason(error)}): change its permissions or copy it"
        ) from error
    known = set(folders)
    loose = [entry.name for entry in entries if entry not in known and entry.suffix.lower() in EXTENSIONS]
    return [folder for folder in folders if folder_kind(folder.name) is not FolderKind.SERVICE], loose


def _truth(folders: Sequence[Path], root: Path, shown: str) -> Path | None:
    """The folder of masks: within the test images, or beside them where their folder's name says that it may be.

    Raises:
        LabelledSetError: several may be it.
    """
    within = [folder for folder in folders if folder_kind(folder.name) is FolderKind.MASKS]
    if not within:
        # As it was named, and where links and .. lead.
        for place in (root.absolute(), root.resolve()):
            if place.name.casefold() in _WITH_MASKS_BESIDE:
                within = within or _of_kind(place.parent, FolderKind.MASKS)
    if len(within) > 1:
        names = " and ".join(folder.name for folder in within[:2])
        raise LabelledSetError(
            f"masks must lie in one folder, and {within[0].parent} holds {names}: leave one, called {MASKS_FOLDER}, "
            "with a folder for each type of defect in it"
        )
    return within[0] if within else None


def _of_kind(folder: Path, kind: FolderKind) -> list[Path]:
    """The sub-folders whose names say one thing; none where the folder may not be listed."""
    try:
        return sorted(each for each in folder.iterdir() if folder_kind(each.name) is kind and each.is_dir())
    except OSError:
        return []


def _tree_of(root: Path, shown: str, names: Sequence[str]) -> FileTree:
    """What lies in some folders of one, and the service folders beside them.

    Raises:
        LabelledSetError: a folder may not be listed.
    """
    try:
        trees = {name: folder_tree(root / name, os.fsdecode(root / name)) for name in names}
        beside = service_tree(root, shown)
    except FolderError as error:
        raise LabelledSetError(str(error)) from error
    for name, tree in trees.items():
        beside.files.update({f"{name}/{relative}": place for relative, place in tree.files.items()})
        beside.service_folders += [f"{name}/{each}" for each in tree.service_folders]
        beside.service_images += tree.service_images
    return beside


def _check_top_level(folders: Sequence[Path], loose: Sequence[str], shown: str) -> None:
    """Nothing, if the names of the folders leave no doubt which images are good."""
    if loose and not folders:
        raise LabelledSetError(
            f"{shown} holds {pluralize(len(loose), 'image')} and no folders that say which are good: {_LAYOUT}"
        )
    if loose:
        raise LabelledSetError(
            f"{shown} holds {pluralize(len(loose), 'image')} beside its folders, the first: {loose[0]}, and nothing "
            f"says whether {'it is' if len(loose) == 1 else 'they are'} good: {_LAYOUT}"
        )
    kinds = {folder.name: folder_kind(folder.name) for folder in folders}
    has_good = FolderKind.GOOD in kinds.values()
    for name, kind in kinds.items():
        if kind is FolderKind.MAYBE_GOOD:
            remedy = "move its images into good" if has_good else "rename it to good"
            raise LabelledSetError(
                f"good images must lie in a folder called good, and {shown} holds {name}, which would count as a "
                f"type of defect: {remedy}, or list the images in a CSV file with the columns path and label"
            )
        if kind in (FolderKind.TRAIN, FolderKind.TEST):
            raise LabelledSetError(
                f"the folders of {shown} must be good and types of defects, got {name}: give the folder of the test "
                f"images alone, or move {name} away"
            )


def _check_nested(found: Sequence[ImageFile], shown: str) -> None:
    """Nothing, if no folder called good lies in a type of defect: then the layout is another one."""
    places = []
    for file in found:
        folders = file.relative.split("/")[:-1]
        below = [folder_kind(folder) for folder in folders[1:]]
        if _is_anomalous(file) and FolderKind.GOOD in below:
            places.append(folders[: below.index(FolderKind.GOOD) + 2])
    if places:
        # of a data set with parts for training and testing, the ones for testing
        place = max(places, key=lambda each: FolderKind.TEST in map(folder_kind, each[:-1]))
        raise LabelledSetError(
            f"the folder good must lie at the top, and {shown} holds {'/'.join(place)}, so that {place[0]} is no type "
            f"of defect: give {Path(shown, *place[:-1])}, or {_LAYOUT}"
        )


def _masks(
    found: Sequence[ImageFile], truth: Path, limits: ReadingLimits
) -> tuple[dict[ImageFile, tuple[Path, ...]], list[str]]:
    try:
        files = find_masks(truth, limits=limits).images
    except FolderError as error:
        raise LabelledSetError(str(error)) from error
    anomalous = [file for file in found if _is_anomalous(file)]
    masks, left_over = pair_masks(anomalous, files)
    single = [file.relative for file in anomalous if file.pages == 1]
    if files and single and not masks:
        stem = single[0].rpartition(".")[0]
        raise LabelledSetError(
            f"masks must have the names of their images, and none in {truth} has, the first: {files[0].relative}: "
            f"name the mask of {single[0]}, for example, {MASKS_FOLDER}/{stem}_mask.png, and so with all; several of "
            f"one image go into a folder {MASKS_FOLDER}/{stem}"
        )
    return masks, [mask.relative for mask in left_over]


def _folder_sessions(found: Sequence[ImageFile], group_by: str | None, shown: str) -> Sequence[str | None]:
    if group_by is None:
        return [None] * len(found)
    if group_by != "folder":
        return group_labels(found, group_by)
    below = [replace(file, relative=file.relative.partition("/")[2]) for file in found]
    sessions = group_labels(below, "folder")
    if set(sessions) == {"."}:
        raise SettingError(
            f"group_by='folder' needs a folder for each session below good and the types of defects, and {shown} has "
            f"none: move the images into such folders, as {_top(found[0])}/lot1, or give a regular expression"
        )
    return sessions


def _top(file: ImageFile) -> str:
    return file.relative.partition("/")[0]


def _is_anomalous(file: ImageFile) -> bool:
    return folder_kind(_top(file)) is not FolderKind.GOOD


# CSV files


# Both
