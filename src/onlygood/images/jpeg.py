"""JPEG: the pixels of a file that is whole, and the check that it is; the parts of a TIFF are held to the same check.

libjpeg only warns of data that are damaged, and goes on with grey or with what came before. Pillow and imagecodecs drop
those warnings; simplejpeg makes them errors, with the same pixels as Pillow for files that are whole. That a scan
of a progressive image is missing altogether is no warning of libjpeg, so the scans are counted here.
"""

import re

import simplejpeg

from onlygood.errors import ImageError
from onlygood.images._jpeg_structure import (
    NEXT_MARKER,
    Header,
    check_scans,
    is_frame_header,
    next_scan,
    read_header,
    segments,
)
from onlygood.images.limits import ReadingLimits, check_no_zeros, check_size, damaged
from onlygood.images.pixels import ImageArray, cmyk_to_rgb, exif_orientation, turn

_END = b"\xff\xd9"
_COLOUR_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_SEQUENTIAL = (0xC0, 0xC1)
_ARITHMETIC = (0xC9, 0xCA)
_ZEROS = 128
_FILLER = b"\x55" * 64
_PADDING = re.compile(rb"(?<!\xff)\x00+(?=\xff\xd9)")


def read_jpeg(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB, upright, of 8 bits a channel."""
    stream, exif = _plain_jpeg(data, name, limits)
    header = read_header(stream, name, "JPEG")
    colour_space = _COLOUR_SPACES.get(len(header.components))
    if colour_space is None:
        count = len(header.components)
        raise ImageError(f"{name} is a JPEG of {count} channels, 1, 3 or 4 are required: save it as PNG")
    if colour_space == "CMYK" and not header.has_adobe:
        # without Adobe's marker programs differ on what 0 means
        raise ImageError(f"{name} is a CMYK JPEG that does not say whether it is inverted: save it as RGB")
    pixels = _strictly(stream, header, colour_space, name, "JPEG")
    upright = cmyk_to_rgb(255 - pixels, 255) if colour_space == "CMYK" else pixels
    return turn(upright, exif_orientation(exif))


def check_jpeg_part(data: bytes, tables: bytes | None, name: str, limits: ReadingLimits) -> None:
    """Nothing, if a strip or tile of a TIFF is a JPEG that is whole and no larger than the limit.

    It need not be as large as its page says.

    Args:
        data: the part.
        tables: those of the page, a JPEG without pixels; None if each part has its own.
        name: what errors call the image.
        limits: bounds on pixels.

    Raises:
        ImageTooLargeError: if it claims more pixels than the limit.
        ImageError: if it is damaged, or of more than 8 bits, where damage cannot be found.
    """
    start = data[:2] + (tables[2:].removesuffix(_END) if tables else b"")
    # a part may end without the end marker, as its page says where it ends
    stream = start + data[2:] + _END
    header = read_header(stream, name, "TIFF")
    check_size(header.width, header.height, f"a part of {name}", limits)
    if header.bits != 8:
        raise ImageError(
            f"{name} is compressed as JPEG of {header.bits} bits, in which damage is not found: save it with LZW "
            "or deflate"
        )
    # colours do not matter here: grey needs the least work after the pixels have been read in full
    _strictly(stream, header, "CMYK" if len(header.components) == 4 else "GRAY", name, "TIFF")


def _strictly(stream: bytes, header: Header, colour_space: str, name: str, kind: str) -> ImageArray:
    """The pixels; whatever libjpeg warns of is an error, and so is damage of which it does not warn."""
    check_scans(stream, header, name, kind)
    pixels, warning = _with_warning(stream, colour_space)
    if "extraneous bytes before marker 0xd9" in warning:
        # Some cameras fill up with zeros between the pixels and the end. Without those, the pixels must be whole.
        stream = _PADDING.sub(b"", stream)
        pixels, warning = _with_warning(stream, colour_space)
    if "subsampling" in warning:
        raise ImageError(
            f"{name} is a JPEG with channels of unusual sizes (sampling factors), or is damaged: save it again"
        )
    if pixels is None:
        raise damaged(name, kind, f"its pixels are not whole ({warning})")
    if header.frame in _SEQUENTIAL and header.zeros_are_coefficients and bytes(_ZEROS) in stream:
        # no image has a block of 63 equal coefficients, and even areas have none
        check_no_zeros(_PADDING.sub(b"", stream), header.scan_at, len(stream), _ZEROS, name, kind)
    if header.frame in _ARITHMETIC:
        _check_arithmetic(stream, header, colour_space, name)
    return pixels


def _with_warning(stream: bytes, colour_space: str) -> tuple[ImageArray | None, str]:
    """The pixels, or what libjpeg warns of."""
    try:
        return simplejpeg.decode_jpeg(stream, colorspace=colour_space, strict=True), ""
    except ValueError as error:
        return None, str(error)


def _check_arithmetic(stream: bytes, header: Header, colour_space: str, name: str) -> None:
    """Raises unless each scan of an image with arithmetic coding has all of its data.

    The coding allows zeros at the end to be left out, so that libjpeg does not miss what is cut off. Bytes that are
    put there instead would be used up; those of a scan that is whole are left over.
    """
    if header.has_restarts:
        raise ImageError(
            f"{name} is a JPEG with arithmetic coding and restart markers, in which damage is not found: save it as PNG"
        )
    found: tuple[bytes, int] | None = (header.scan, header.scan_at)
    while found is not None:
        end = NEXT_MARKER.search(stream, found[1] + len(found[0]))
        if end is None:
            return
        place = end.start()
        _, warning = _with_warning(stream[:place] + _FILLER + stream[place:], colour_space)
        left_over = re.search("([0-9]+) extraneous bytes", warning)
        if left_over is None or int(left_over[1]) < len(_FILLER) - 8:
            raise ImageError(
                f"{name} is a JPEG with arithmetic coding whose end is cut off, or left out as its last zeros may be, "
                "which looks the same: save it as PNG"
            )
        found = next_scan(stream, place)


def _plain_jpeg(data: bytes, name: str, limits: ReadingLimits) -> tuple[bytes, bytes]:
    """The JPEG without metadata and without what follows its end, and its EXIF block.

    Pixels depend only on the JFIF (APP0) and Adobe (APP14) segments.
    """
    kept = [b"\xff\xd8"]
    exif = b""
    for marker, segment, at in segments(data, name, "JPEG"):
        if marker == 0xDA:
            end = data.rfind(_END)
            if end < at:
                # decoders take the zeros that a broken copy leaves at the end for pixels
                raise damaged(name, "JPEG", "it has no end marker")
            kept.append(data[at : end + 2])
            break
        if is_frame_header(marker) and len(segment) >= 10:
            width, height = int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
            check_size(width, height, name, limits)
            if segment[4] != 8:
                raise ImageError(f"{name} is a JPEG of {segment[4]} bits, 8 are required: save it as PNG or TIFF")
        if marker == 0xE1 and not exif and segment[4:10] == b"Exif\0\0":
            exif = segment[10:]
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept.append(segment)
    return b"".join(kept), exif
