"""Whether bilevel data of a TIFF, as fax machines send them, are whole: decoders take any bits for pixels.

The codes are fixed and so is the choice among them, so pixels have one code only. They are encoded again, by libtiff,
and must give the bits that the file has.
"""

import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.images.limits import damaged

_NAMES = {2: "tiff_ccitt", 3: "group3", 4: "group4"}
_LINE_END = re.compile("0{11,}1")


def check_ccitt_part(data: bytes, bits: NDArray[Any], compression: int, name: str) -> None:
    """Nothing, if the data of a strip or tile are the code of the pixels that a decoder made of them.

    Args:
        data: the part, the first pixel in the highest bit.
        bits: its pixels `[H, W]`, 0 or 1.
        compression: 2 (lines of whole bytes), 3 (Group 3 in one dimension) or 4 (Group 4), as TIFF counts them.
        name: what errors call the image.

    Raises:
        ImageError: if they are not.
    """
    again = _encoded(bits, compression)
    if compression == 3:
        # ends of lines may be filled up, or left out
        same = _LINE_END.sub("", _digits(data)).rstrip("0") == _LINE_END.sub("", _digits(again)).rstrip("0")
    else:
        # the end of the data is marked or not, by 24 bits at most
        same = again.startswith(data.rstrip(b"\0")) and len(again) - len(data.rstrip(b"\0")) <= 4
    if not same:
        raise damaged(name, "TIFF", "its pixels are not whole")


def _encoded(bits: NDArray[Any], compression: int) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    rows = {278: len(bits)}  # one strip
    Image.fromarray(bits.astype(bool)).save(buffer, "TIFF", compression=_NAMES[compression], tiffinfo=rows)
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as tiff:
        page = tiff.pages.first
        offsets, counts = page.dataoffsets, page.databytecounts
    data = buffer.getvalue()
    return b"".join(data[offset : offset + count] for offset, count in zip(offsets, counts, strict=True))


def _digits(data: bytes) -> str:
    return (np.unpackbits(np.frombuffer(data, np.uint8)) + ord("0")).tobytes().decode()
