"""Image files below a folder, masks, and what an error of the operating system or a decoder said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onlygood import FolderError, ImageError, read_image

IMAGE_SUFFIXES = (".bmp", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_LOSSY = (".jpe", ".jpeg", ".jpg", ".webp")


def images_below(folder: Path) -> list[Path]:
    """Image files of a folder and its sub-folders, sorted by their paths below it; hidden ones are left out.

    Raises:
        FolderError: there are none.
    """
    found = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    }
    shown = [name for name in sorted(found) if not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))]
    if not shown:
        raise FolderError(f"{folder} must hold images ({', '.join(IMAGE_SUFFIXES)}), got none: put images into it")
    return [found[name] for name in shown]


def read_mask(path: Path, *, height: int, width: int) -> NDArray[np.bool_] | None:
    """The pixels that a mask marks, bool [H, W]; None if it cannot be read, has another size or marks nothing.

    A pixel is marked if one of its channels is above 0, and in formats whose compression leaves a halo, above 127.
    """
    try:
        pixels = read_image(path)
    except ImageError:
        return None
    marked = np.asarray((pixels > (127 if path.suffix.lower() in _LOSSY else 0)).any(axis=2))
    return marked if marked.shape == (height, width) and marked.any() else None


def reason(error: Exception) -> str:
    """One line of what the operating system or a decoder said."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
