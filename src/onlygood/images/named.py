"""An image with what it is called, where it has no path or another name is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

from onlygood._plain import plain
from onlygood.images.reading import ChannelOrder, ImageSource


@dataclass(frozen=True)
class NamedImage:
    """An image, and what results and errors call it.

    Attributes:
        name: of the image.
        image: a path, the bytes of a file, a PIL image, or an array uint8 or uint16 of shape [H, W], [H, W, 1],
            [H, W, 3] (R, G, B) or [H, W, 4] (R, G, B, alpha).
        page: of a multi-page TIFF, from 0.
        channel_order: of an array with colour; "bgr" says that it is B, G, R or B, G, R, alpha, as OpenCV has it. That
            of the Inspector unless given.

    Example:
        >>> import onlygood
        >>> image = onlygood.NamedImage("camera 2", "new/0.png")
        >>> [inspection.name for inspection in onlygood.Inspector("part.onnx").map([image])]
        ['camera 2']
    """

    name: str
    image: ImageSource = field(repr=False)
    page: int | None = None
    channel_order: ChannelOrder | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "page", plain(self.page))
