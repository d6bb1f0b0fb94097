"""Whether the file of an image is whole: what another program has written so far may lack its end."""

from __future__ import annotations

from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images.limits import ReadingLimits
from onlygood.images.reading import image_pages, read_image

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


def why_not_whole(content: bytes, name: str, limits: ReadingLimits) -> str:
    """A sentence on why the file cannot be read as an image that is whole; empty where it can.

    JPEG and PNG files that end as they must are not decoded for it; all others are.

    Args:
        content: of the file, as far as it is written.
        name: what the sentence calls it.
        limits: bounds on what is decoded; an image beyond them is not made whole by waiting.
    """
    if not content:
        return f"{name} must be an image file, and is empty: write it again"
    if content.startswith(_JPEG) and content.endswith(_JPEG_END):
        return ""
    if content.startswith(_PNG) and content.endswith(_PNG_END):
        return ""
    try:
        for page in image_pages(content, name=name, limits=limits):
            read_image(content, name=name, page=page, limits=limits)
    except ImageTooLargeError:
        return ""
    except ImageError as error:
        return str(error)
    return ""
