"""Find labelled images to measure a model with: good ones, defective ones, and masks of the defects.

Three layouts are taken:

    TEST/good/..., TEST/<type of defect>/...      folders; what lies deeper belongs to its folder at the top
    the same, and masks                           in `ground_truth` inside TEST, or beside it if TEST is called `test`:
                                                  ground_truth/<type of defect>/<stem>_mask.png; a folder that holds
                                                  `test` stands for it
    a CSV file                                    columns path and label, and as wished mask, defect and session

Upper and lower case make no difference in the names `good`, `test` and `ground_truth`. What a folder's name leaves in
doubt is refused rather than guessed: a wrong label is worse than none.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onlygood.datasets.csv_rows import Row, read_rows
from onlygood.datasets.folders import EXTENSIONS, MASKS_FOLDER, ImageFile, find_images, group_labels, other_files
from onlygood.datasets.masks import pair_masks
from onlygood.errors import FolderError, LabelledSetError, SettingError
from onlygood.images.limits import reason
from onlygood.images.reading import DEFAULT_LIMITS, ReadingLimits

GOOD = "good"
_TEST = "test"

# Names of folders that are no type of defect, without what is neither a letter nor a digit.
_OTHER_WORDS_FOR_GOOD = frozenset(
    {"0", "accepted", "clean", "correct", "defectfree", "faultless", "flawless", "free", "goods", "gut", "healthy"}
    | {"intact", "io", "negative", "negatives", "noanomaly", "nodefect", "nodefects", "nominal", "nonanomalous"}
    | {"nondefective", "normal", "normals", "notdefective", "ok", "okay", "pass", "passed", "perfect", "undamaged"}
)
_WORDS_FOR_MASKS = frozenset({"groundtruth", "groundtruths", "gt", "mask", "masks"})
_OTHER_SETS = frozenset({"train", "training", "val", "validation"})

_LAYOUT = (
    "arrange them as good/1.png, scratch/1.png and so on, with a folder for each type of defect, or list them in a CSV "
    "file with the columns path and label"
)

_NEEDED = ("path", "label")
_ALLOWED = ("mask", "defect", "session")
_LABELS = {"good": False, "0": False, "bad": True, "anomalous": True, "1": True}


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image, and what people say of it.

    Attributes:
        file: where to read it.
        is_anomalous: whether it is defective.
        defect: the type of defect; "good" if it has none.
        mask: the file that marks the anomalous pixels, for `read_mask`; None if there is none.
        session: images of one session, lot or part have the same; None if that is not known.
    """

    file: ImageFile
    is_anomalous: bool
    defect: str
    mask: Path | None
    session: str | None

    @property
    def name(self) -> str:
        """Relative to the folder, `good/0001.png`, or as in the CSV file; no other image of the set has it."""
        return self.file.name


@dataclass(frozen=True, kw_only=True)
class LabelledSet:
    """Labelled images; all of them may be good, or none.

    Attributes:
        images: at least one; sorted by name in folders, in the order of a CSV file.
        layout: "mvtec" (folders, with masks), "folders" (without), or "csv".
        notes: what to know about the set, a sentence each.
    """

    images: tuple[LabelledImage, ...]
    layout: str
    notes: tuple[str, ...]

    @property
    def has_masks(self) -> bool:
        """Whether any image has a mask."""
        return any(image.mask is not None for image in self.images)


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
        limits: bounds on bytes and pages while pages are pluralize, and on the bytes of a CSV file.

    Raises:
        LabelledSetError: if there are no images, or it is not certain which of them are good.
        SettingError: if `group_by` is no regular expression, or finds no session in some name.
    """
    root, shown = Path(path), os.fsdecode(path)
    try:
        mode = root.stat().st_mode
    except FileNotFoundError as error:
        raise LabelledSetError(f"{shown} does not exist: check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise LabelledSetError(f"{shown} cannot be opened ({reason(error)}): check its path and permissions") from error
    if stat.S_ISDIR(mode):
        return _from_folder(root, shown, group_by, limits)
    if stat.S_ISREG(mode) and root.suffix.lower() == ".csv":
        return _from_csv(root, shown, group_by, limits)
    raise LabelledSetError(
        f"labelled images must be a folder or a CSV file (.csv), got {shown}: give the folder that holds good/ and a "
        "folder for each type of defect"
    )


# Folders


def _from_folder(root: Path, shown: str, group_by: str | None, limits: ReadingLimits) -> LabelledSet:
    inner, has_good = _child(root, _TEST), _child(root, GOOD) is not None
    if inner is not None and has_good:
        raise LabelledSetError(
            f"{shown} holds {inner.name} beside good, and only one of them can be the test images: give "
            f"{inner}, or rename {inner.name} if it is a type of defect"
        )
    if inner is not None:
        root, shown = inner, os.fsdecode(inner)
    folders, loose = _top_level(root, shown)
    truth = next((folder for folder in folders if folder.name.casefold() == MASKS_FOLDER), None)
    folders = [folder for folder in folders if folder != truth]
    _check_top_level(folders, loose, shown)
    # As it was named, and where links and .. lead.
    for place in (root.absolute(), root.resolve()):
        if truth is None and place.name.casefold() == _TEST:
            truth = _child(place.parent, MASKS_FOLDER)

    found: list[ImageFile] = []
    notes: list[str] = []
    passed_over: list[str] = []
    for folder in folders:
        images, others = _look_into(folder, limits)
        found += [replace(one, relative=f"{folder.name}/{one.relative}") for one in images]
        passed_over += [f"{folder.name}/{other}" for other in others]
        if not images:
            notes.append(f"The folder {folder.name} holds no images.")
    if not found:
        raise LabelledSetError(f"{shown} must hold folders of labelled images, got none: {_LAYOUT}")
    found.sort(key=lambda file: (file.relative, file.page or 0))
    _check_nested(found, shown)

    masks: dict[ImageFile, Path] = {}
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
            mask=masks.get(file),
            session=session,
        )
        for file, session in zip(found, sessions, strict=True)
    ]
    if not any(folder.name.casefold() == GOOD for folder in folders):
        notes.append(f"No folder is called good: all {len(found):,} images count as anomalous.")
    if passed_over:
        notes.append(
            f"{_count(passed_over, 'other file')} in {shown} {_is_are(passed_over)} not looked at, the first: "
            f"{passed_over[0]}."
        )
    if left_over:
        verb = "belongs" if len(left_over) == 1 else "belong"
        notes.append(
            f"{_count(left_over, 'mask')} in {MASKS_FOLDER} {verb} to no anomalous image, the first: {left_over[0]}."
        )
    return _checked_set(labelled, "mvtec" if masks else "folders", notes, shown)


def _child(folder: Path, name: str) -> Path | None:
    """The sub-folder of this name, in any case; None if there is none or the folder may not be listed."""
    try:
        named = sorted(entry for entry in folder.iterdir() if entry.name.casefold() == name and entry.is_dir())
    except OSError:
        return None
    return named[0] if named else None


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
    return [folder for folder in folders if folder.name != "__MACOSX"], loose


def _check_top_level(folders: Sequence[Path], loose: Sequence[str], shown: str) -> None:
    """Nothing, if the names of the folders leave no doubt which images are good."""
    if loose and not folders:
        raise LabelledSetError(
            f"{shown} holds {_count(loose, 'image')} and no folders that say which are good: {_LAYOUT}"
        )
    if loose:
        raise LabelledSetError(
            f"{shown} holds {_count(loose, 'image')} beside its folders, the first: {loose[0]}, and nothing says "
            f"whether {'it is' if len(loose) == 1 else 'they are'} good: {_LAYOUT}"
        )
    has_good = any(folder.name.casefold() == GOOD for folder in folders)
    for folder in folders:
        name = folder.name
        plain = re.sub(r"[\W_]", "", name.casefold())
        is_good_and_more = name.casefold() != GOOD and re.match(r"good(?![a-z])", name.casefold()) is not None
        if is_good_and_more or plain in _OTHER_WORDS_FOR_GOOD:
            remedy = "move its images into good" if has_good else "rename it to good"
            raise LabelledSetError(
                f"good images must lie in a folder called good, and {shown} holds {name}, which would count as a "
                f"type of defect: {remedy}, or list the images in a CSV file with the columns path and label"
            )
        if plain in _WORDS_FOR_MASKS:
            raise LabelledSetError(
                f"masks must lie in a folder called {MASKS_FOLDER}, and {shown} holds {name}, which would count as a "
                f"type of defect: rename it to {MASKS_FOLDER}, with a folder for each type of defect in it"
            )
        if plain in _OTHER_SETS:
            raise LabelledSetError(
                f"the folders of {shown} must be good and types of defects, got {name}: give the folder of the test "
                f"images alone, or move {name} away"
            )


def _look_into(folder: Path, limits: ReadingLimits) -> tuple[list[ImageFile], list[str]]:
    """The images of a folder, which may be none, and its other files."""
    try:
        others = other_files(folder)  # here a folder that may not be listed is told from one without images
    except FolderError as error:
        raise LabelledSetError(str(error)) from error
    try:
        return find_images(folder, limits=limits), others
    except FolderError:
        return [], others


def _check_nested(found: Sequence[ImageFile], shown: str) -> None:
    """Nothing, if no folder called good lies in a type of defect: then the layout is another one."""
    for file in found:
        folders = file.relative.split("/")[:-1]
        below = [folder.casefold() for folder in folders[1:]]
        if _is_anomalous(file) and GOOD in below:
            above = "/".join(folders[: below.index(GOOD) + 1])
            raise LabelledSetError(
                f"the folder good must lie at the top, and {shown} holds {above}/{folders[below.index(GOOD) + 1]}, so "
                f"that {folders[0]} is no type of defect: give {Path(shown, above)}, or {_LAYOUT}"
            )


def _masks(found: Sequence[ImageFile], truth: Path, limits: ReadingLimits) -> tuple[dict[ImageFile, Path], list[str]]:
    files, _ = _look_into(truth, limits)
    anomalous = [file for file in found if _is_anomalous(file)]
    masks, left_over = pair_masks(anomalous, files)
    single = [file.relative for file in anomalous if file.pages == 1]
    if files and single and not masks:
        stem = single[0].rpartition(".")[0]
        raise LabelledSetError(
            f"masks must have the names of their images, and none in {truth} has, the first: {files[0].relative}: "
            f"name the mask of {single[0]}, for example, {MASKS_FOLDER}/{stem}_mask.png, and so with all"
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
    return _top(file).casefold() != GOOD


# CSV files


def _from_csv(path: Path, shown: str, group_by: str | None, limits: ReadingLimits) -> LabelledSet:
    rows, unknown = read_rows(path, needed=_NEEDED, allowed=_ALLOWED, max_bytes=limits.max_bytes)
    labelled: list[LabelledImage] = []
    listed: dict[Path, tuple[Row, bool]] = {}
    for row in rows:
        written, file = _existing(row, "path", path.parent)
        is_anomalous = _is_labelled_anomalous(row)
        # Not the file that a link leads to: data stores link all images of one content to one file.
        place = Path(os.path.realpath(file.parent), file.name)
        if place in listed:
            first, first_is_anomalous = listed[place]
            contradiction = "" if is_anomalous == first_is_anomalous else ", with another label"
            raise LabelledSetError(
                f"{row.where}: each image must be listed once, and {written} is in {first.where} too{contradiction}: "
                "remove one of them"
            )
        listed[place] = row, is_anomalous
        labelled += _labelled_row(row, written, file, is_anomalous, path.parent, limits)
    if group_by is not None:
        sessions = group_labels([image.file for image in labelled], group_by)
        labelled = [replace(one, session=session) for one, session in zip(labelled, sessions, strict=True)]
    columns = "column" if len(unknown) == 1 else "columns"
    used = ", ".join((*_NEEDED, *_ALLOWED))
    notes = [f"The {columns} {', '.join(unknown)} {_is_are(unknown)} not used; {used} are."] if unknown else []
    return _checked_set(labelled, "csv", notes, shown)


def _is_labelled_anomalous(row: Row) -> bool:
    label = row.cells["label"]
    if label.casefold() not in _LABELS:
        raise LabelledSetError(
            f"{row.where}: a label must be good or 0, or bad, anomalous or 1, got {label!r}: write one of these, and "
            "the type of defect, if that is what it is, into a column defect"
        )
    return _LABELS[label.casefold()]


def _existing(row: Row, column: str, folder: Path) -> tuple[str, Path]:
    """A path as it is written, with forward slashes, and the file that is there."""
    text = row.cells[column]
    what = "image" if column == "path" else column
    if not text:
        raise LabelledSetError(f"{row.where}: the path of an image must be given, got an empty cell: fill it in")
    problem = ""
    for written in (text.replace("\\", "/"), text):
        try:
            mode = (folder / written).stat().st_mode
        except (OSError, ValueError) as error:  # ValueError: a null character
            problem = problem or reason(error)
            continue
        if stat.S_ISREG(mode):
            return written, folder / written
        problem = "it is a folder or a device"
    raise LabelledSetError(
        f"{row.where}: the {what} {text} is not a file that can be read ({problem}): give its path from the folder of "
        "the CSV file, or its whole path"
    )


def _labelled_row(
    row: Row, written: str, file: Path, is_anomalous: bool, folder: Path, limits: ReadingLimits
) -> list[LabelledImage]:
    """The image of a row, or all pages of its file."""
    defect, has_mask = row.cells.get("defect", ""), bool(row.cells.get("mask"))
    if not is_anomalous and has_mask:
        raise LabelledSetError(
            f"{row.where}: a good image must have no mask, got {row.cells['mask']}: correct the label or "
            "remove the mask"
        )
    if not is_anomalous and defect.casefold() not in ("", GOOD):
        raise LabelledSetError(
            f"{row.where}: a good image must have no type of defect, got {defect!r}: correct the label or "
            "empty the cell"
        )
    if is_anomalous and defect.casefold() == GOOD:
        raise LabelledSetError(
            f"{row.where}: an anomalous image must have another type of defect than {defect!r}: correct one of them"
        )
    mask = _existing(row, "mask", folder)[1] if has_mask else None
    pages = find_images(file, allow_file=True, limits=limits)
    if mask is not None and pages[0].pages > 1:
        raise LabelledSetError(
            f"{row.where}: a mask must belong to one image, and {written} holds {pages[0].pages}: save each page "
            "as a file, or remove the mask"
        )
    return [
        LabelledImage(
            file=replace(page, relative=written),
            is_anomalous=is_anomalous,
            defect=(defect or "bad") if is_anomalous else GOOD,
            mask=mask,
            session=row.cells.get("session") or None,
        )
        for page in pages
    ]


# Both


def _checked_set(labelled: Sequence[LabelledImage], layout: str, notes: list[str], shown: str) -> LabelledSet:
    first: dict[tuple[str, int], LabelledImage] = {}
    again: list[str] = []
    for image in labelled:
        same = first.setdefault((os.path.realpath(image.file.path), image.file.page or 0), image)
        if same.is_anomalous != image.is_anomalous:
            good, anomalous = (image, same) if same.is_anomalous else (same, image)
            raise LabelledSetError(
                f"an image must be good or anomalous, and in {shown} one file is both {good.name} (good) and "
                f"{anomalous.name} (anomalous): remove the wrong one"
            )
        if same is not image:
            again.append(image.name)
    if again:
        verb = "is" if len(again) == 1 else "are"
        notes.append(
            f"{_count(again, 'image')} {verb} the same file as another by a link and pluralize again, the first: "
            f"{again[0]}."
        )
    result = LabelledSet(images=tuple(labelled), layout=layout, notes=())
    without = [image.name for image in labelled if image.is_anomalous and image.mask is None]
    if result.has_masks and without:
        verb = "has" if len(without) == 1 else "have"
        notes.append(
            f"{_count(without, 'anomalous image')} {verb} no mask and {_is_are(without)} left out of the pixel "
            f"metrics, the first: {without[0]}."
        )
    return replace(result, notes=tuple(notes))


def _count(things: Sequence[str], noun: str) -> str:
    return f"{len(things):,} {noun}{'s' * (len(things) != 1)}"


def _is_are(things: Sequence[str]) -> str:
    return "is" if len(things) == 1 else "are"
