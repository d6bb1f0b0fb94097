"""PBM, PGM, PPM and PAM: a header in text, then values that NumPy reads as they are, or their digits."""

import re

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError
from onlygood.images.limits import ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray, split_alpha, stretch

_FORMATS = {b"P1": "PBM", b"P2": "PGM", b"P3": "PPM", b"P4": "PBM", b"P5": "PGM", b"P6": "PPM", b"P7": "PAM"}
_MAX_HEADER = 4096
# whitespace or comments between the numbers of a header; one character ends the last number
_FIELD = re.compile(rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+([0-9]{1,9})")
_END = re.compile(rb"(?:#[^\r\n]*)?[ \t\r\n\v\f]")
# channels, and whether the last is alpha
_TUPLES = {
    b"BLACKANDWHITE": (1, False),
    b"GRAYSCALE": (1, False),
    b"RGB": (3, False),
    b"BLACKANDWHITE_ALPHA": (2, True),
    b"GRAYSCALE_ALPHA": (2, True),
    b"RGB_ALPHA": (4, True),
}


def read_netpbm(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black: a largest value below 255 becomes 255, from 256 on the values stay as they are."""
    magic = data[:2]
    kind = _FORMATS[magic]
    if magic == b"P7":
        width, height, channels, maximum, has_alpha, at = _pam_header(data, name)
    else:
        fields, at = _fields(data, 2 if kind == "PBM" else 3, name, kind)
        width, height, maximum = (*fields, 1)[:3]
        channels, has_alpha = 3 if kind == "PPM" else 1, False
    check_size(width, height, name, limits)
    if not 1 <= maximum <= 65535:
        raise damaged(name, kind, f"its largest value is {maximum}, and 1 to 65535 are possible")
    shape = (height, width, channels)
    if magic in (b"P1", b"P2", b"P3"):
        values = _digits(data[at:], shape, name, kind, one_each=magic == b"P1")
    elif magic == b"P4":
        rows = _binary(data, at, (height, (width + 7) // 8), np.dtype(np.uint8), name, kind)
        values = np.unpackbits(rows.view(np.uint8), axis=1, count=width)[:, :, None]
    else:
        values = _binary(data, at, shape, np.dtype(">u2" if maximum > 255 else np.uint8), name, kind)
    if int(values.max()) > maximum:
        raise damaged(name, kind, f"it has values above its largest, {maximum}")
    if kind == "PBM":
        values = 1 - values  # 1 is black
    target = maximum if maximum > 255 else 255
    pixels: ImageArray = stretch(values, maximum).astype(np.uint8 if target == 255 else np.uint16, copy=False)
    return split_alpha(pixels, target, limits) if has_alpha else pixels


def _fields(data: bytes, count: int, name: str, kind: str) -> tuple[tuple[int, ...], int]:
    """The numbers of a header, and where the values begin."""
    fields: list[int] = []
    at = 2
    while len(fields) < count:
        found = _FIELD.match(data, at, _MAX_HEADER)
        if found is None:
            raise damaged(name, kind, "its header cannot be read")
        fields.append(int(found[1]))
        at = found.end()
    end = _END.match(data, at)
    if end is None:
        raise damaged(name, kind, "it ends within its header")
    return tuple(fields), end.end()


def _pam_header(data: bytes, name: str) -> tuple[int, int, int, int, bool, int]:
    """Width, height, channels, largest value, whether the last channel is alpha, and where the values begin."""
    end = data.find(b"ENDHDR\n", 0, _MAX_HEADER)
    lines = data[3:end].split(b"\n") if end > 0 else []
    entries = dict([*line.split(None, 1), b""][:2] for line in lines if line.strip() and not line.startswith(b"#"))
    try:
        width, height, depth, maximum = (int(entries[key]) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError) as error:
        raise damaged(name, "PAM", "its header cannot be read") from error
    what = entries.get(b"TUPLTYPE", b"").strip()
    channels, has_alpha = _TUPLES.get(what, (0, False))
    if channels != depth:
        called = what.decode("ascii", "replace")
        raise ImageError(
            f"{name} is a PAM image of {depth} channels that it calls {called!r}, and grey or RGB, with or without "
            "alpha, are read: save it as one of these"
        )
    return width, height, channels, maximum, has_alpha, end + len(b"ENDHDR\n")


def _binary(
    data: bytes, at: int, shape: tuple[int, ...], dtype: np.dtype[np.uint8 | np.uint16], name: str, kind: str
) -> ImageArray:
    count = int(np.prod(shape))
    expected = at + count * dtype.itemsize
    if len(data) != expected and (len(data) < expected or data[expected:].strip()):
        raise damaged(name, kind, f"it must have {expected:,} bytes, and has {len(data):,}")
    values: ImageArray = np.frombuffer(data, dtype, count, at).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _digits(text: bytes, shape: tuple[int, ...], name: str, kind: str, *, one_each: bool) -> ImageArray:
    """Values in text, which may have comments; those of PBM need no space between them."""
    text = re.sub(rb"#[^\r\n]*", b"", text)
    words = list(re.sub(rb"\s", b"", text).decode("latin-1")) if one_each else text.decode("latin-1").split()
    count = int(np.prod(shape))
    if len(words) != count or not all(map(_is_value, words)):
        raise damaged(name, kind, f"it must have {count:,} values, and has {len(words):,} or some that are none")
    values: NDArray[np.uint16] = np.array(words, dtype=np.uint32).clip(0, 65535).astype(np.uint16)
    return values.reshape(shape)


def _is_value(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 5
