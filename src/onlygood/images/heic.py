"""HEIC: a still image in HEIF, decoded by libheif through pi-heif or pillow-heif, where one of them is installed.

Neither is a dependency of ours: their wheels hold libraries under the LGPL, pillow-heif's also one under the
GPL, which whoever installs them agrees to. libheif turns the image as its properties say.
"""

import io
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError
from onlygood.images._isobmff import boxes
from onlygood.images.extensions import HEIC_DECODERS, NEEDED
from onlygood.images.limits import ReadingLimits, check_no_zeros, check_size, damaged
from onlygood.images.pixels import ImageArray, split_alpha

_KIND = "HEIC"
# So many zeros in a row stand in no sound image's compressed pixels.
_ZEROS = 128
# Brands of files that hold frames over time.
_SEQUENCES = (b"hevc", b"hevx", b"hevm", b"hevs", b"msf1")
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def read_heic(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black, upright: 8 bits a channel, 10 and 12 stay as they are.

    Raises:
        ImageTooLargeError: if it exceeds a limit.
        ImageError: if no decoder is installed, the file is damaged, or it holds something other than one still image.
    """
    if data[8:12] in _SEQUENCES:
        raise ImageError(f"{name} is an animation, and one still image is required: save its frames as files")
    module = next((each for each in HEIC_DECODERS if find_spec(each) is not None), None)
    if module is None:
        raise ImageError(NEEDED["heic"].sentence(name))
    parts = list(boxes(data, 0, len(data), name, _KIND))
    file = import_module(module).open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    if len(file) != 1:
        raise ImageError(f"{name} holds {len(file)} images where one is meant: save each as a file of its own")
    image = file[0]
    width, height = image.size
    check_size(width, height, name, limits)
    if not any(b"Exif" in data[part.start : part.end] for part in parts if part.kind == b"meta"):
        # such a block has zeros of its own
        for part in parts:
            if part.kind == b"mdat":
                check_no_zeros(data, part.start, part.end, _ZEROS, name, _KIND)
    return _pixels(image, name, limits)


def _pixels(image: Any, name: str, limits: ReadingLimits) -> ImageArray:
    mode, _, bits = image.mode.partition(";")
    channels = _CHANNELS.get(mode)
    if channels is None:
        raise ImageError(f"{name} is a HEIC image of a kind that is not read ({image.mode}): save it as PNG")
    # A copy: the decoder's memory is gone with its image, whatever arrays are made of it.
    stored: NDArray[Any] = np.array(image, copy=True)
    pixels: ImageArray = stored[:, :, None] if stored.ndim == 2 else stored
    width, height = image.size
    if pixels.shape != (height, width, channels):
        raise damaged(name, _KIND, "its pixels are not of the size that it says")
    return split_alpha(pixels, 2 ** int(bits or 8) - 1, limits) if channels in (2, 4) else pixels
