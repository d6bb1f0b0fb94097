"""The markers of a JPEG: what its header says, and whether its scans give all of its pixels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from onlygood.images.limits import damaged

NEXT_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)
"""A marker within or after a scan: neither a stuffed 0, nor a restart marker, nor a fill byte."""

_COEFFICIENTS = 64
_MAX_SCANS = 500
_HUFFMAN, _QUANTIZATION, _RESTART_INTERVAL, _ADOBE = 0xC4, 0xDB, 0xDD, 0xEE


@dataclass(frozen=True, slots=True)
class Header:
    """What comes before the pixels of a JPEG.

    Attributes:
        frame: the marker of the frame header, which says how the pixels are coded.
        bits: of a channel.
        width: of the image.
        height: of the image.
        components: the number that each channel has.
        has_adobe: whether Adobe's segment says what the channels mean.
        has_restarts: whether there are restart markers within the scans.
        zeros_are_coefficients: whether the shortest code of a Huffman table of AC coefficients, the one of zeros
            alone, stands for a coefficient, so that a long run of zero bits is a block with 63 equal ones.
        scan: the header of the first scan.
        scan_at: where that begins.
    """

    frame: int
    bits: int
    width: int
    height: int
    components: bytes
    has_adobe: bool
    has_restarts: bool
    zeros_are_coefficients: bool
    scan: bytes
    scan_at: int


def read_header(data: bytes, name: str, kind: str) -> Header:
    """What the segments up to the first scan say.

    Args:
        data: the JPEG.
        name: what errors call the image.
        kind: what errors call the format of its file.

    Raises:
        ImageError: if a segment is missing, or cannot be read.
    """
    frame = b""
    has_adobe = has_restarts = zeros_are_coefficients = False
    for marker, segment, at in segments(data, name, kind):
        if is_frame_header(marker) and len(segment) >= 10:
            frame = segment
        elif marker == _HUFFMAN:
            zeros_are_coefficients |= _has_coefficient_of_zeros(segment[4:])
        elif marker == _RESTART_INTERVAL:
            has_restarts = any(segment[4:6])
        elif marker == _ADOBE:
            has_adobe |= segment[4:9] == b"Adobe"
        elif marker == 0xDA and frame:
            return Header(
                frame[1],
                frame[4],
                int.from_bytes(frame[7:9], "big"),
                int.from_bytes(frame[5:7], "big"),
                frame[10::3][: frame[9]],
                has_adobe,
                has_restarts,
                zeros_are_coefficients,
                segment,
                at,
            )
    raise damaged(name, kind, "it has no header of its pixels")


def is_frame_header(marker: int) -> bool:
    """Whether the segment after this marker says the size of the image."""
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def segments(data: bytes, name: str, kind: str) -> Iterator[tuple[int, bytes, int]]:
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
        if marker in (_HUFFMAN, _QUANTIZATION) and not _is_sound_table(marker, segment[4:]):
            raise damaged(name, kind, "a table that its pixels depend on cannot be read")
        yield marker, segment, at - 1
        if marker == 0xDA:
            return
        at += 1 + length


def check_scans(stream: bytes, header: Header, name: str, kind: str) -> None:
    """Nothing, if the scans give every coefficient of every component, to its last bit.

    Raises:
        ImageError: if a scan is missing or there are more than any image needs.
    """
    is_progressive = header.frame in (0xC2, 0xC6, 0xCA, 0xCE)
    # how many low bits of each coefficient are not there yet; more than there are if there is none
    missing = {component: bytearray(b"\xff" * _COEFFICIENTS) for component in header.components}
    scan, at = header.scan, header.scan_at
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
        if not is_progressive and count == len(header.components):
            break
        found = next_scan(stream, at + len(scan))
        if found is None:
            break
        scan, at = found
    if any(any(bits) for bits in missing.values()):
        raise damaged(name, kind, "a scan that its pixels need is missing")


def next_scan(stream: bytes, at: int) -> tuple[bytes, int] | None:
    """The header of the next scan and where it begins; None before the end of the image, or of the file."""
    while (found := NEXT_MARKER.search(stream, at)) is not None:
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


def _has_coefficient_of_zeros(body: bytes) -> bool:
    """Whether some Huffman table of AC coefficients has one as its first symbol."""
    at = 0
    while at + 17 < len(body):
        symbols = body[at + 17 : at + 17 + sum(body[at + 1 : at + 17])]
        if body[at] >> 4 == 1 and symbols and symbols[0] & 15:
            return True
        at += 17 + len(symbols)
    return False
