"""JPEG: the pixels of a file that is whole, and the check that it is; the parts of a TIFF are held to the same check.

libjpeg only warns of data that are damaged, and goes on with grey or with what came before. Pillow and imagecodecs drop
those warnings; simplejpeg makes them errors, with the same pixels as Pillow for files that are whole. That a scan
of a progressive image is missing altogether is no warning of libjpeg, so the scans are counted here.
"""

import re
from collections.abc import Iterator

import simplejpeg

from onlygood.errors import ImageError
from onlygood.images.limits import ReadingLimits, check_no_zeros, check_size, damaged
from onlygood.images.pixels import ImageArray, cmyk_to_rgb, exif_orientation, turn

_END = b"\xff\xd9"
_COLOUR_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_COEFFICIENTS = 64
_MAX_SCANS = 500
_SEQUENTIAL = (0xC0, 0xC1)
_ARITHMETIC = (0xC9, 0xCA)
_ZEROS = 128
_FILLER = b"\x55" * 64
# after a scan's header: neither a stuffed 0, nor a restart marker, nor a fill byte
_NEXT_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)
_PADDING = re.compile(rb"(?<!\xff)\x00+(?=\xff\xd9)")


def read_jpeg(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB, upright, of 8 bits a channel."""
    stream, exif = _plain_jpeg(data, name, limits)
    return turn(_decoded(stream, name), exif_orientation(exif))


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
    for marker, segment, _ in _segments(stream, name, "TIFF"):
        if is_jpeg_frame_header(marker) and len(segment) >= 10:
            check_size(*jpeg_frame_size(segment), f"a part of {name}", limits)
            if segment[4] != 8:
                raise ImageError(
                    f"{name} is compressed as JPEG of {segment[4]} bits, in which damage is not found: save it with "
                    "LZW, deflate or ZSTD"
                )
    _check_scans(stream, name, "TIFF")
    # colours do not matter here: grey needs the least work after the pixels have been read in full
    components = _frame(stream, name, "TIFF")[1]
    _strictly(stream, "CMYK" if len(components) == 4 else "GRAY", name, "TIFF")


def is_jpeg_frame_header(marker: int) -> bool:
    """Whether the segment after this marker says the size of the image."""
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def jpeg_frame_size(segment: bytes) -> tuple[int, int]:
    """Width and height that a frame header says; the segment begins with its marker."""
    return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")


def _decoded(stream: bytes, name: str) -> ImageArray:
    components = _frame(stream, name, "JPEG")[1]
    colour_space = _COLOUR_SPACES.get(len(components))
    if colour_space is None:
        raise ImageError(f"{name} is a JPEG of {len(components)} channels, 1, 3 or 4 are required: save it as PNG")
    if colour_space == "CMYK" and b"\xff\xee\x00\x0eAdobe" not in stream[: stream.index(b"\xff\xda")]:
        # without Adobe's marker programs differ on what 0 means
        raise ImageError(f"{name} is a CMYK JPEG that does not say whether it is inverted: save it as RGB")
    _check_scans(stream, name, "JPEG")
    pixels = _strictly(stream, colour_space, name, "JPEG")
    return cmyk_to_rgb(255 - pixels, 255) if colour_space == "CMYK" else pixels


def _strictly(stream: bytes, colour_space: str, name: str, kind: str) -> ImageArray:
    """The pixels; whatever libjpeg warns of is an error."""
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
    marker, _ = _frame(stream, name, kind)
    if marker in _SEQUENTIAL and bytes(_ZEROS) in stream and _zeros_are_coefficients(stream, name, kind):
        check_no_zeros(_PADDING.sub(b"", stream), stream.index(b"\xff\xda"), len(stream), _ZEROS, name, kind)
    if marker in _ARITHMETIC:
        _check_arithmetic(stream, colour_space, name, kind)
    return pixels


def _zeros_are_coefficients(stream: bytes, name: str, kind: str) -> bool:
    """Whether a long run of zero bits is a block with 63 equal coefficients, which no image has, and no even area.

    It is if the shortest code of a table of AC coefficients, the one of zeros alone, stands for a coefficient.
    """
    for marker, segment, _ in _segments(stream, name, kind):
        body, at = segment[4:], 0
        while marker == 0xC4 and at < len(body):
            symbols = body[at + 17 : at + 17 + sum(body[at + 1 : at + 17])]
            if body[at] >> 4 == 1 and symbols and symbols[0] & 15:
                return True
            at += 17 + len(symbols)
    return False


def _with_warning(stream: bytes, colour_space: str) -> tuple[ImageArray | None, str]:
    """The pixels, or what libjpeg warns of."""
    try:
        return simplejpeg.decode_jpeg(stream, colorspace=colour_space, strict=True), ""
    except ValueError as error:
        return None, str(error)


def _check_arithmetic(stream: bytes, colour_space: str, name: str, kind: str) -> None:
    """Raises unless each scan of an image with arithmetic coding has all of its data.

    The coding allows zeros at the end to be left out, so that libjpeg does not miss what is cut off. Bytes that are
    put there instead would be used up; those of a scan that is whole are left over.
    """
    if b"\xff\xdd" in stream[: stream.index(b"\xff\xda")]:
        raise ImageError(
            f"{name} is a JPEG with arithmetic coding and restart markers, in which damage is not found: save it as PNG"
        )
    *_, (_, scan, at) = _segments(stream, name, kind)
    found: tuple[bytes, int] | None = (scan, at)
    while found is not None:
        end = _NEXT_MARKER.search(stream, found[1] + len(found[0]))
        if end is None:
            return
        place = end.start()
        _, warning = _with_warning(stream[:place] + _FILLER + stream[place:], colour_space)
        left_over = re.search("([0-9]+) extraneous bytes", warning)
        if left_over is None or int(left_over[1]) < len(_FILLER) - 8:
            raise damaged(name, kind, "its pixels are not whole")
        found = _next_scan(stream, place)


def _plain_jpeg(data: bytes, name: str, limits: ReadingLimits) -> tuple[bytes, bytes]:
    """The JPEG without metadata and without what follows its end, and its EXIF block.

    Pixels depend only on the JFIF (APP0) and Adobe (APP14) segments.
    """
    kept = [b"\xff\xd8"]
    exif = b""
    for marker, segment, at in _segments(data, name, "JPEG"):
        if marker == 0xDA:
            end = data.rfind(_END)
            if end < at:
                # decoders take the zeros that a broken copy leaves at the end for pixels
                raise damaged(name, "JPEG", "it has no end marker")
            kept.append(data[at : end + 2])
            break
        if is_jpeg_frame_header(marker) and len(segment) >= 10:
            check_size(*jpeg_frame_size(segment), name, limits)
            if segment[4] != 8:
                raise ImageError(f"{name} is a JPEG of {segment[4]} bits, 8 are required: save it as PNG or TIFF")
        if marker == 0xE1 and not exif and segment[4:10] == b"Exif\0\0":
            exif = segment[10:]
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept.append(segment)
    return b"".join(kept), exif


def _segments(data: bytes, name: str, kind: str) -> Iterator[tuple[int, bytes, int]]:
    """Marker, segment with its marker, and where it begins; the header of the first scan is the last."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if at < 0 or at + 3 > len(data):
            raise damaged(name, kind, "it ends within its header")
        marker = data[at]
        if marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            at += 1
            continue
        if marker == 0xD9:
            raise damaged(name, kind, "it ends before its pixels")
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        segment = data[at - 1 : at + 1 + length]
        if length < 2 or len(segment) < length + 2:
            raise damaged(name, kind, "it ends within its header")
        if marker in (0xDB, 0xC4) and not _is_sound_table(marker, segment[4:]):
            raise damaged(name, kind, "a table that its pixels depend on cannot be read")
        yield marker, segment, at - 1
        if marker == 0xDA:
            return
        at += 1 + length


def _is_sound_table(marker: int, body: bytes) -> bool:
    """Whether quantization tables are free of 0 and Huffman tables of repetitions: libjpeg takes both as they are."""
    at = 0
    while at < len(body):
        if marker == 0xDB:
            size = 1 + _COEFFICIENTS * (2 if body[at] >> 4 else 1)
            table = body[at + 1 : at + size]
            values = (
                table
                if body[at] >> 4 == 0
                else [high | low for high, low in zip(table[::2], table[1::2], strict=False)]
            )
            sound = 0 not in values
        else:
            size = 17 + sum(body[at + 1 : at + 17])
            symbols = body[at + 17 : at + size]
            sound = len(set(symbols)) == len(symbols)
        at += size
        if not sound or at > len(body):
            return False
    return True


def _frame(stream: bytes, name: str, kind: str) -> tuple[int, bytes]:
    """The marker of the frame header, and the number of each component."""
    for marker, segment, _ in _segments(stream, name, kind):
        if is_jpeg_frame_header(marker) and len(segment) >= 10:
            return marker, segment[10::3][: segment[9]]
    raise damaged(name, kind, "it has no header of its pixels")


def _check_scans(stream: bytes, name: str, kind: str) -> None:
    """Raises unless the scans give every coefficient of every component, to its last bit."""
    marker, components = _frame(stream, name, kind)
    is_progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
    # how many low bits of each coefficient are not there yet; more than there are if there is none
    missing = {component: bytearray(b"\xff" * _COEFFICIENTS) for component in components}
    *_, (_, scan, at) = _segments(stream, name, kind)
    scans = 0
    while True:
        scans += 1
        if scans > _MAX_SCANS:
            raise damaged(name, kind, f"it has more than {_MAX_SCANS} scans")
        count = scan[4]
        if len(scan) != 8 + 2 * count:
            raise damaged(name, kind, "the header of a scan cannot be read")
        first, last, bits = scan[-3:]
        if not is_progressive:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for component in scan[5 : 5 + 2 * count : 2]:
            if component in missing and first <= last < _COEFFICIENTS:
                missing[component][first : last + 1] = bytes([bits & 15]) * (last + 1 - first)
        if not is_progressive and count == len(components):
            break
        found = _next_scan(stream, at + len(scan))
        if found is None:
            break
        scan, at = found
    if any(any(bits) for bits in missing.values()):
        raise damaged(name, kind, "a scan that its pixels need is missing")


def _next_scan(stream: bytes, at: int) -> tuple[bytes, int] | None:
    """The header of the next scan and where it begins; None before the end of the image, or of the file."""
    while (found := _NEXT_MARKER.search(stream, at)) is not None:
        marker = found[1][0]
        if marker == 0xD9:
            return None
        at = found.start()
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        segment = stream[at : at + 2 + length]
        if marker == 0xDA:
            return segment, at
        at += 2 + max(length, 2)
    return None
