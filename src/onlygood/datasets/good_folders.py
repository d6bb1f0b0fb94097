"""Whether a folder that is to hold good images alone does: what looks like defects, masks or test images is refused.

What a person names is taken as named: only what lies below it is judged, by the names of folders and files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from onlygood._plurals import pluralize
from onlygood.datasets.folder_names import FolderKind, folder_kind, masks_beside
from onlygood.errors import NotAllGoodError

# How many folders a sentence names.
_SHOWN = 3
_TOP = PurePosixPath(".")
_GOODS = (FolderKind.GOOD, FolderKind.MAYBE_GOOD)


@dataclass(frozen=True)
class _Suspect:
    """A folder below the given one that should not be learned from.

    Attributes:
        path: of the folder, or of the first mask or defect among files.
        why: what its name says.
        images: how many there are.
    """

    path: str
    why: str
    images: int


def check_good(relatives: Sequence[str], shown: str, *, command: str) -> None:
    """Nothing, if no name below the folder says that an image there is no good one.

    Args:
        relatives: of all images below the folder, with forward slashes.
        shown: the folder.
        command: which needs good images.

    Raises:
        NotAllGoodError: with what is there, and which folder to give instead.
    """
    suspects = _suspects(relatives)
    if not suspects:
        return
    found = ", ".join(f"{each.path} ({each.why}, {pluralize(each.images, 'image')})" for each in suspects[:_SHOWN])
    if len(suspects) > _SHOWN:
        found += f" and {len(suspects) - _SHOWN} more"
    raise NotAllGoodError(
        f"{command} needs good images alone, and below {shown} there is what does not look so: {found}: "
        f"{_remedy(relatives, suspects, shown)}"
    )


def named_as_defects(folders: Iterable[str]) -> list[str]:
    """Those of the folders that a person named whose own names say that they hold defects or masks."""
    kinds = (FolderKind.DEFECTS, FolderKind.MASKS)
    named = ((each, PurePosixPath(each.replace("\\", "/"))) for each in folders)
    return [each for each, path in named if folder_kind(path.stem if path.suffix == ".zip" else path.name) in kinds]


def _suspects(relatives: Sequence[str]) -> list[_Suspect]:
    counts: dict[PurePosixPath, int] = {}
    for relative in relatives:
        for folder in PurePosixPath(relative).parents:
            counts[folder] = counts.get(folder, 0) + 1
    children: dict[PurePosixPath, list[PurePosixPath]] = {}
    for folder in sorted(counts):
        if folder != _TOP:
            children.setdefault(folder.parent, []).append(folder)
    found: list[_Suspect] = []

    def look(folder: PurePosixPath) -> None:
        below = children.get(folder, [])
        kinds = {each: folder_kind(each.name) for each in below}
        has_good = any(kind in _GOODS for kind in kinds.values()) and len(below) > 1
        if has_good and FolderKind.GOOD not in kinds.values() and {each.name for each in below} != {"0", "1"}:
            # "clean" beside "dirty" is a label; 0 beside 7 and 12 is a number
            has_good = any(kind is FolderKind.MAYBE_GOOD and not each.name.isdigit() for each, kind in kinds.items())
        has_train = FolderKind.TRAIN in kinds.values()
        for each, kind in kinds.items():
            why = None
            if kind is FolderKind.DEFECTS:
                why = "defects"
            elif kind is FolderKind.MASKS:
                why = "masks"
            elif kind is FolderKind.TEST and has_train:
                why = "test images"
            elif has_good and kind not in _GOODS:
                beside = next(other.name for other, other_kind in kinds.items() if other_kind in _GOODS)
                why = f"beside {beside}"
            if why is None:
                look(each)
            else:
                found.append(_Suspect(str(each), why, counts[each]))

    look(_TOP)
    refused = [suspect.path for suspect in found]
    masks = [each for each in masks_beside(relatives) if not _is_below(each, refused)]
    if masks:
        found.append(_Suspect(masks[0], "named as the mask of an image", len(masks)))
    return found + _defects_among_files(relatives, [suspect.path for suspect in found])


def _defects_among_files(relatives: Sequence[str], refused: Sequence[str]) -> list[_Suspect]:
    """Files called as defects in a folder where others are called good; alone, such a name may mean anything."""
    named: dict[PurePosixPath, dict[FolderKind | None, list[PurePosixPath]]] = {}
    for path in map(PurePosixPath, relatives):
        named.setdefault(path.parent, {}).setdefault(folder_kind(path.stem), []).append(path)
    found = []
    for kinds in named.values():
        good = next((kinds[kind][0] for kind in _GOODS if kind in kinds), None)
        defects = kinds.get(FolderKind.DEFECTS, [])
        if good is not None and not good.stem.isdigit() and defects and not _is_below(str(defects[0]), refused):
            found.append(_Suspect(str(defects[0]), f"named as a defect beside {good.name}", len(defects)))
    return found


def _remedy(relatives: Sequence[str], suspects: Sequence[_Suspect], shown: str) -> str:
    """What to give instead: the folders called good that are no part of what is refused; those to learn from first."""
    refused = [suspect.path for suspect in suspects]
    outside = [each for each in relatives if not _is_below(each, refused)]
    good: dict[str, bool] = {}
    training: dict[str, bool] = {}
    for relative in outside:
        parts = PurePosixPath(relative).parts[:-1]
        kinds = [folder_kind(part) for part in parts]
        at = next((at for at, kind in enumerate(kinds) if kind in _GOODS), None)
        train = next((at for at, kind in enumerate(kinds) if kind is FolderKind.TRAIN), None)
        if at is not None:
            good["/".join(parts[: at + 1])] = train is not None
        elif train is not None:
            training["/".join(parts[: train + 1])] = True
    counted = {*outside, suspects[-1].path}
    masks = [each for each in masks_beside(relatives) if each in counted]
    for found in (good, training):  # a folder with masks in it would be refused as well
        for each in [folder for folder in found if any(_is_below(mask, [folder]) for mask in masks)]:
            del found[each]
    to_learn = [each for each, is_training in good.items() if is_training] or list(good) or list(training)
    if not to_learn:
        theirs = ", and the images whose masks mark a defect" if masks else ""
        return f"give the folders of good images by their names, or move the others away{theirs}"
    names = [f"{shown.rstrip('/')}/{each}" for each in to_learn[:_SHOWN]]
    if len(to_learn) > _SHOWN:
        return f"give the folders of good images by their names, such as {names[0]}"
    return f"give {' '.join(names)}"


def _is_below(relative: str, folders: Sequence[str]) -> bool:
    return any(relative == each or relative.startswith(f"{each}/") for each in folders)
