"""What a file is, by its first bytes: a format that is read, or something else, with what to do about it."""

import re

from onlygood.images import extensions as known
from onlygood.images.dicom import is_dicom
from onlygood.images.extensions import UnreadKind
from onlygood.images.formats import PNG_SIGNATURE

HEAD_BYTES = 512
"""How many bytes of a file are looked at."""

_READ: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (PNG_SIGNATURE, "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
)
_NETPBM = re.compile(rb"P[1-6][ \t\r\n\v\f#]|P7\n")
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+")
_HTML = re.compile(rb"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE)
_SVG = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg[^>]*>\s*)?<svg[\s>]", re.IGNORECASE | re.DOTALL
)
_LFS = UnreadKind("a Git LFS pointer, not the image that it stands for", "run `git lfs pull`")
_WEB_PAGE = UnreadKind("an HTML page, perhaps an error message that was saved as an image", "download the image again")
_TEXT_FILE = UnreadKind("a text file", "give an image")
_UNREAD: tuple[tuple[bytes, UnreadKind], ...] = (
    (b"version https://git-lfs", _LFS),
    (b"8BPS", known.PHOTOSHOP),
    (b"%PDF", known.PDF),
    (b"%!PS", known.POSTSCRIPT),
    (b"v/1\x01", known.OPENEXR),
    (b"#?RADIANCE", known.RADIANCE),
    (b"#?RGBE", known.RADIANCE),
    (b"PF\n", known.FLOAT_MAP),
    (b"Pf\n", known.FLOAT_MAP),
    (b"\0\0\x01\0", known.ICON),
    (b"icns", known.ICON),
    (b"II\xbc", known.JPEG_XR),
    (b"SIMPLE  =", known.FITS),
    (b"FUJIFILMCCD-RAW", known.FUJIFILM),
    (b"IIRO", known.OLYMPUS),
    (b"IIRS", known.OLYMPUS),
    (b"IIU\0", known.PANASONIC),
    (b"\0\0\x01\xba", known.MPEG),
    (b"\0\0\x01\xb3", known.MPEG),
    (b"0&\xb2u\x8ef\xcf\x11", known.WINDOWS_MEDIA),
    (b"FLV\x01", known.FLASH),
    (b"\x93NUMPY", known.NUMPY),
    (b"\x89HDF\r\n\x1a\n", known.HDF5),
    (b"DDS ", known.TEXTURE),
    (b"PK\x03\x04", known.ZIP),
    (b"PK\x05\x06", known.ZIP),
    (b"\x1f\x8b", known.GZIP),
    (b"7z\xbc\xaf\x27\x1c", known.SEVEN_ZIP),
    (b"Rar!", known.RAR),
)
# brands of files of boxes that begin with `ftyp`
_HEIC = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})
_BRANDS: dict[bytes, UnreadKind] = {
    b"qt  ": known.QUICKTIME,
    b"crx ": known.CANON,
}


def format_of(head: bytes) -> str | None:
    """The format of a file that begins so, if it is one that is read: "JPEG", "PNG" and so on."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp" and {head[8:12], *_brands(head)} & {b"avif", b"avis"}:
        return "AVIF"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return "HEIC"
    if _NETPBM.match(head):
        return "Netpbm"
    if is_dicom(head):
        return "DICOM"
    if head[8:10] == b"CR" and head.startswith(b"II*\0"):
        return None
    return next((kind for magic, kind in _READ if head.startswith(magic)), None)


def unread_kind(head: bytes) -> UnreadKind | None:
    """What a file that begins so is, if it is known and not read."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], known.MP4)
    if head[8:10] == b"CR" and head.startswith(b"II*\0"):
        return known.CANON
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return known.AVI
    if head.startswith(b"\x1aE\xdf\xa3"):
        return known.WEBM if b"webm" in head[:64] else known.MATROSKA
    if head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":
        return known.TRANSPORT_STREAM
    if head[257:262] == b"ustar":
        return known.TAR
    if head[:2] == b"\x0a\x05" and head[2:3] == b"\x01":
        return known.PCX
    if head.startswith(b"\0\0\x02\0"):
        # a cursor has images at once, a Targa image without a palette has zeros where their number would be
        return known.TARGA if head[4:6] == b"\0\0" else known.ICON
    found = next((kind for magic, kind in _UNREAD if head.startswith(magic)), None)
    if found is not None:
        return found
    if _SVG.match(head):
        return known.SVG
    if _HTML.match(head):
        return _WEB_PAGE
    return _TEXT_FILE if _TEXT.fullmatch(head) else None


def _brands(head: bytes) -> set[bytes]:
    """The compatible brands of a file of boxes."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[at : at + 4] for at in range(16, end, 4)}
