"""An image with what it is called, where it has no path or another name is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

from onlygood._plain import plain
from onlygood.images.reading import ImageSource


@dataclass(frozen=True)
class NamedImage:
    """An image, and what results and errors call it.

    Attributes:
        name: of the image.
        image: a path, the bytes of a file, a PIL image, or an array uint8 or uint16 [H, W] or [H, W, C].
        page: of a multi-page TIFF, from 0.

    Example:
        >>> import onlygood
        >>> image = onlygood.NamedImage("camera 2", "new/0.png")
        >>> [inspection.name for inspection in onlygood.Inspector("part.onnx").map([image])]
        ['camera 2']
    """

    name: str
    image: ImageSource = field(repr=False)
    page: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "page", plain(self.page))
