"""DICOM: one frame of grey values, uncompressed, as they are stored; parsed by pydicom, which is an extra."""

import io
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError
from onlygood.images._quiet import quiet_decoders
from onlygood.images.extensions import NEEDED
from onlygood.images.limits import RESCALE, ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray

_TAGS = [
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "PixelData",
]
_DEFLATED = "1.2.840.10008.1.2.1.99"
_UNCOMPRESSED = {
    "1.2.840.10008.1.2": "<",  # implicit VR
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
    _DEFLATED: "<",
}
# the one element that may follow the pixels, in both orders of bytes
_PADDING = (b"\xfc\xff\xfc\xff", b"\xff\xfc\xff\xfc")


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins so is a DICOM file."""
    return head[128:132] == b"DICM"


def read_dicom(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey as stored, and inverted if 0 is white; slope, intercept and window of display are not applied.

    Raises:
        ImageTooLargeError: if it exceeds a limit.
        ImageError: if pydicom is missing, the file is damaged, or it holds something other than one grey frame.
    """
    if find_spec("pydicom") is None:
        raise ImageError(NEEDED["dicom"].sentence(name))
    import pydicom

    with quiet_decoders():
        return _grey(pydicom.dcmread(io.BytesIO(data), specific_tags=_TAGS), data, name, limits)


def _grey(header: Any, data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    syntax = header.file_meta.TransferSyntaxUID
    if str(syntax) not in _UNCOMPRESSED:
        raise ImageError(f"{name} is a compressed DICOM image ({syntax.name}): save it uncompressed")
    missing = [tag for tag in ("Rows", "Columns", "BitsAllocated") if header.get(tag) is None]
    if "PixelData" not in header or len(missing) == 3:
        raise ImageError(f"{name} is a DICOM file without an image of whole numbers: give one that has pixels")
    if missing:
        raise damaged(name, "DICOM", f"it has no {missing[0]}")
    check_size(header.Columns, header.Rows, name, limits)
    element = header.get_item("PixelData")
    if str(syntax) != _DEFLATED and data[element.value_tell + element.length :][:4] not in (b"", *_PADDING):
        raise damaged(name, "DICOM", "there is something after its pixels")
    _check_kind(header, name)
    stored: NDArray[Any] = _values(header, _UNCOMPRESSED[str(syntax)], name)
    bits = int(header.get("BitsStored", header.BitsAllocated))
    if int(stored.max()) >= 1 << bits:
        raise damaged(name, "DICOM", f"it has values above the {(1 << bits) - 1} that {bits} bits hold")
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        stored = stored.dtype.type((1 << bits) - 1) - stored
    return stored


def _check_kind(header: Any, name: str) -> None:
    """Raises unless the file holds one frame of unsigned grey values."""
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"{name} is a DICOM file of {frames} frames where one is meant: save them as files")
    photometric = header.get("PhotometricInterpretation", "")
    if header.get("SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(
            f"{name} is a DICOM image of the kind {photometric or 'unknown'}, and grey ones are read: save it as PNG"
        )
    bits, stored = header.BitsAllocated, header.get("BitsStored", header.BitsAllocated)
    if header.get("PixelRepresentation", 0) != 0:
        raise ImageError(f"{name} is a DICOM image of signed values, and unsigned ones are read: {RESCALE}")
    if bits not in (8, 16) or not 1 <= stored <= bits or header.get("HighBit", stored - 1) != stored - 1:
        raise ImageError(
            f"{name} is a DICOM image of {stored} bits in {bits}, and up to 16 in 8 or 16 are read: {RESCALE}"
        )


def _values(header: Any, order: str, name: str) -> NDArray[Any]:
    dtype = np.dtype(np.uint8 if header.BitsAllocated == 8 else f"{order}u2")
    data = header.PixelData
    count = header.Rows * header.Columns
    expected = count * dtype.itemsize
    if len(data) != expected + expected % 2:  # of even length, always
        raise damaged(name, "DICOM", f"its pixels must have {expected:,} bytes, and have {len(data):,}")
    values = np.frombuffer(data, dtype, count).reshape(header.Rows, header.Columns, 1)
    return values.astype(dtype.newbyteorder("="), copy=False)
