"""JPEG XL: a still image of grey or RGB, decoded by libjxl through imagecodecs.

The first bits of the codestream are read here, as they tell the size and the kind of the values before anything is
decoded.
"""

from onlygood.errors import ImageError
from onlygood.images._codecs import need_codec
from onlygood.images._isobmff import boxes
from onlygood.images._quiet import quiet_decoders
from onlygood.images.limits import RESCALE, ReadingLimits, check_size, damaged
from onlygood.images.pixels import ImageArray, split_alpha, stretch, with_alpha

_KIND = "JPEG XL"
_BARE = b"\xff\x0a"
_ALPHA = 0
# width over height
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_HEADER = 512


def read_jpeg_xl(data: bytes, name: str, limits: ReadingLimits) -> ImageArray:
    """Grey or RGB over black, upright: fewer than 8 bits become 8, 9 to 16 stay as they are."""
    head = _codestream_head(data, name)
    bits = _Bits(head, name)
    bits.take(16)  # the signature
    height, width = _size(bits)
    check_size(width, height, name, limits)
    depth, alpha = _metadata(bits, name)
    need_codec("JPEGXL", _KIND, name)
    import imagecodecs

    with quiet_decoders():
        pixels: ImageArray = imagecodecs.jpegxl_decode(data)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    has_alpha = alpha is not None
    turned = pixels.shape[:2] in ((height, width), (width, height))
    if pixels.ndim != 3 or not turned or pixels.shape[2] - has_alpha not in (1, 3) or pixels.dtype.kind != "u":
        raise damaged(name, _KIND, "its pixels are not of the kind that its header says")
    pixels = stretch(pixels, 2**depth - 1)
    if alpha == "multiplied":
        return with_alpha(pixels[:, :, :-1], pixels[:, :, -1:], max(255, 2**depth - 1), limits, is_multiplied=True)
    return split_alpha(pixels, max(255, 2**depth - 1), limits) if has_alpha else pixels


def _codestream_head(data: bytes, name: str) -> bytes:
    if data.startswith(_BARE):
        return data[:_HEADER]
    for box in boxes(data, 0, len(data), name, _KIND):
        if box.kind in (b"jxlc", b"jxlp"):
            start = box.start + (4 if box.kind == b"jxlp" else 0)
            return data[start : min(box.end, start + _HEADER)]
    raise damaged(name, _KIND, "it has no codestream")


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes, name: str) -> None:
        self.value, self.left, self.name = int.from_bytes(data, "little"), 8 * len(data), name

    def take(self, count: int) -> int:
        if count > self.left:
            raise damaged(self.name, _KIND, "it ends within its header")
        taken = self.value & ((1 << count) - 1)
        self.value >>= count
        self.left -= count
        return taken

    def choose(self, *choices: tuple[int, int]) -> int:
        """A number of one of four kinds: an offset, and how many bits are added to it."""
        offset, count = choices[self.take(2)]
        return offset + self.take(count)


def _size(bits: _Bits) -> tuple[int, int]:
    """Height and width."""
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return height, side()
    across, down = _RATIOS[ratio - 1]
    return height, height * across // down


def _metadata(bits: _Bits, name: str) -> tuple[int, str | None]:
    """Bits a channel, and whether there is alpha: None, "plain", or "multiplied" with the colours already."""
    if bits.take(1):
        return 8, None
    if bits.take(1):
        bits.take(3)  # orientation, which libjxl applies
        if bits.take(1):
            _size(bits)  # how large it is to be shown
        if bits.take(1):
            raise ImageError(f"{name} is a JPEG XL image with a preview in it: save it as PNG")
        if bits.take(1):
            raise ImageError(f"{name} is an animation, and one still image is required: save its frames as files")
    depth = _depth(bits, name)
    bits.take(1)  # a hint on buffers
    extra = bits.choose((0, 0), (1, 0), (2, 4), (1, 12))
    if extra > 1:
        raise ImageError(
            f"{name} has {extra} channels beside its colours: save it as grey or RGB, with or without alpha"
        )
    return depth, _alpha(bits, depth, name) if extra else None


def _depth(bits: _Bits, name: str) -> int:
    is_float = bits.take(1)
    depth = (
        bits.choose((32, 0), (16, 0), (24, 0), (1, 6)) if is_float else bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    )
    if is_float or depth > 16:
        what = "floating-point numbers" if is_float else "unsigned integers"
        raise ImageError(
            f"{name} holds {what} of {depth} bits a channel, and unsigned integers of up to 16 bits are read: {RESCALE}"
        )
    return depth


def _alpha(bits: _Bits, depth: int, name: str) -> str:
    is_plain = bits.take(1)
    kind, own_depth = (_ALPHA, 8) if is_plain else (bits.choose((0, 0), (1, 0), (2, 4), (18, 6)), _depth(bits, name))
    if kind != _ALPHA or own_depth != depth:
        raise ImageError(f"{name} has a channel that is no alpha of {depth} bits: save it as grey or RGB")
    if is_plain:
        return "plain"
    bits.choose((0, 0), (3, 0), (4, 0), (1, 3))  # how much smaller it is
    for _ in range(bits.choose((0, 0), (0, 4), (16, 5), (48, 10))):
        bits.take(8)  # its name
    return "multiplied" if bits.take(1) else "plain"
