"""Image files made byte by byte: kinds that writers do not offer, damage, and lies in headers."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPES = {"grey": (0, 1), "rgb": (2, 3), "palette": (3, 1), "grey-alpha": (4, 2), "rgba": (6, 4)}
# Adam7: first column, first row, step across, step down
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, bits: int, colour_type: int, interlaced: bool = False) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced)))


def png(
    samples: NDArray[Any],
    kind: str,
    bits: int,
    *,
    palette: NDArray[np.uint8] | None = None,
    before: Iterable[bytes] = (),
    after: Iterable[bytes] = (),
    interlaced: bool = False,
    idat_size: int | None = None,
) -> bytes:
    """A PNG of samples `[H, W, channels]`; `before` and `after` are whole chunks around the pixels."""
    colour_type, channels = _PNG_COLOUR_TYPES[kind]
    height, width = samples.shape[:2]
    samples = samples.reshape(height, width, channels)
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in _ADAM7] if interlaced else [samples]
    pixels = zlib.compress(b"".join(b"\0" + _packed(row, bits) for one in passes if one.size for row in one))
    step = idat_size or len(pixels)
    return b"".join(
        [
            PNG_SIGNATURE,
            png_header(width, height, bits, colour_type, interlaced),
            *([png_chunk(b"PLTE", palette.tobytes())] if palette is not None else []),
            *before,
            *(png_chunk(b"IDAT", pixels[at : at + step]) for at in range(0, len(pixels), step)),
            *after,
            png_chunk(b"IEND", b""),
        ]
    )


def _packed(row: NDArray[Any], bits: int) -> bytes:
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    digits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, -bits:]
    return np.packbits(digits).tobytes()


def tiff(pages: list[dict[int, Any]], *, order: str = "<", big: bool = False) -> bytes:
    """A TIFF of pages given as tags: an int is a LONG, (type, values) anything, bytes in tag 273 the pixels."""
    sizes = {1: "B", 3: "H", 4: "I"}
    count_format, offset_format, entry_size = ("Q", "Q", 20) if big else ("H", "I", 12)
    magic = b"II" if order == "<" else b"MM"
    out = bytearray(magic + (struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)))
    link = len(out) - struct.calcsize(offset_format)
    for tags in pages:
        tags = dict(tags)
        if isinstance(tags.get(273), bytes):
            data = tags[273]
            tags[273], _ = len(out), tags.setdefault(279, len(data))
            out += data + b"\0" * (len(data) % 2)
        entries = b""
        for tag, value in sorted(tags.items()):
            kind, values = value if isinstance(value, tuple) else (4, [value])
            body = struct.pack(order + sizes[kind] * len(values), *values)
            room = struct.calcsize(offset_format)
            if len(body) > room:
                place = struct.pack(order + offset_format, len(out))
                out += body + b"\0" * (len(body) % 2)
            else:
                place = body.ljust(room, b"\0")
            entries += struct.pack(order + "HH" + offset_format, tag, kind, len(values)) + place
        struct.pack_into(order + offset_format, out, link, len(out))
        out += struct.pack(order + count_format, len(entries) // entry_size) + entries
        link = len(out)
        out += struct.pack(order + offset_format, 0)
    return bytes(out)


def tiff_tags(width: int, height: int, pixels: bytes, **more: Any) -> dict[int, Any]:
    """Tags of an uncompressed 8-bit grey page in one strip; `more` as `t258=...` replaces or, with None, removes."""
    tags: dict[int, Any] = {256: width, 257: height, 258: (3, [8]), 259: (3, [1]), 262: (3, [1])}
    tags |= {273: pixels, 277: (3, [1]), 278: height}
    tags |= {int(name[1:]): value for name, value in more.items()}
    return {tag: value for tag, value in tags.items() if value is not None}


def exif(orientation: int, order: str = ">", kind: int = 3) -> bytes:
    """An EXIF block, without `Exif\\0\\0` before it, that asks for an orientation."""
    magic = b"MM\0*" if order == ">" else b"II*\0"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    entry = struct.pack(order + "HHI", 274, kind, 1) + value
    other = struct.pack(order + "HHIHH", 259, 3, 1, 6, 0)
    return magic + struct.pack(order + "IH", 8, 2) + other + entry + struct.pack(order + "I", 0)


def encoded(array: NDArray[Any], kind: str, mode: str | None = None, **options: Any) -> bytes:
    """The array as Pillow writes it."""
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int, *shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def bombs() -> dict[str, bytes]:
    """Small files that claim 3.6 billion pixels, or the most that their format can."""
    tall = tiff_tags(60_000, 60_000, b"\0" * 8)
    return {
        "png": PNG_SIGNATURE
        + png_header(60_000, 60_000, 8, 2)
        + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        + png_chunk(b"IEND", b""),
        "png16": PNG_SIGNATURE
        + png_header(60_000, 60_000, 16, 2)
        + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        + png_chunk(b"IEND", b""),
        "jpeg": jpeg_claiming(60_000, 60_000),
        "bmp": b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + _bmp_info(60_000, 60_000, 24) + bytes(946),
        "webp": b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + (59_999).to_bytes(3, "little") * 2
        + bytes(8),
        "webp-lossless": b"RIFF"
        + struct.pack("<I", 26)
        + b"WEBPVP8L"
        + struct.pack("<IBI", 13, 0x2F, 16_382 | 16_382 << 14)
        + bytes(9),
        "tiff": tiff([tall]),
        "tiff-big": tiff([tall], big=True),
        "tiff-deflate": tiff([tall | {259: (3, [8])}]),
        "tiff-tile": tiff(
            [
                {tag: value for tag, value in tiff_tags(16, 16, b"").items() if tag not in (273, 278)}
                | {322: 60_000, 323: 60_000, 324: 8, 325: 8}
            ]
        ),
        "tiff-jpeg-part": tiff([tiff_tags(16, 16, jpeg_claiming(60_000, 60_000), t259=(3, [7]))]),
    }


def _bmp_info(width: int, height: int, bits: int, compression: int = 0, colours: int = 0) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, colours, 0)


def bmp(rows: NDArray[np.uint8], bits: int, palette: NDArray[np.uint8] | None = None) -> bytes:
    """An uncompressed bottom-up BMP of packed rows `[H, bytes]`, each a multiple of 4 long, with a BGR palette."""
    width = rows.shape[1] * 8 // bits
    table = b"" if palette is None else np.pad(palette, ((0, 0), (0, 1))).tobytes()
    info = _bmp_info(width, len(rows), bits, colours=0 if palette is None else len(palette))
    start = 14 + len(info) + len(table)
    return b"BM" + struct.pack("<IHHI", start + rows.size, 0, 0, start) + info + table + rows[::-1].tobytes()


def jpeg_claiming(width: int, height: int, *, bits: int = 8) -> bytes:
    """A grey JPEG of 16 x 16 pixels whose header claims another size or depth."""
    data = bytearray(encoded(np.zeros((16, 16), np.uint8), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 4 : at + 9] = struct.pack(">BHH", bits, height, width)
    return bytes(data)


def not_images() -> dict[str, tuple[bytes, str]]:
    """File contents that are no image that is read, with words that the error must have."""
    return {
        "text": (b"this is no image\n", "a text file"),
        "html": (
            "<!DOCTYPE html><p>Zugriff verweigert: Pr\u00fcfbild".encode(),
            "an HTML page, perhaps an error message that was saved as an image, which is not read: download",
        ),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        "mp4": (box_file(b"isom"), "a video (MP4)"),
        "quicktime": (box_file(b"qt  "), "a video (QuickTime)"),
        "mkv": (
            b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x88matroska",
            "a video (Matroska), which is not read: save its frames",
        ),
        "webm": (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webm", "a video (WebM)"),
        "avi": (b"RIFF\x10\0\0\0AVI LIST", "a video (AVI)"),
        "transport-stream": ((b"G" + bytes(187)) * 4, "a video (MPEG transport stream)"),
        "cr2": (
            b"II*\0\x10\0\0\0CR\x02\0" + bytes(64),
            "a raw image of a camera (Canon), which is not read: develop it",
        ),
        "cr3": (box_file(b"crx "), "a raw image of a camera (Canon)"),
        "dng": (
            tiff([tiff_tags(4, 4, bytes(16), t50706=(1, [1, 4, 0, 0]))]),
            "a raw image of a camera, which is not read: develop it",
        ),
        "nef": (
            tiff([tiff_tags(4, 4, bytes(16), t254=1, t330=8)]),
            "a raw image of a camera, which is not read: develop it",
        ),
        "pdf": (b"%PDF-1.7\n%", "a PDF document, which is not read: save its pages"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript drawing"),
        "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        "ex": (b"v/1\x01\x02\0\0\0", "an OpenEXR image of floating-point values"),
        "radiance": (b"#?RADIANCE\n", "a Radiance image of floating-point values"),
        "pfm": (b"Pf\n4 4\n-1.0\n" + bytes(64), "a PFM image of floating-point values"),
        "ico": (b"\0\0\x01\0\x01\0" + bytes(32), "an icon"),
        "numpy": (b"\x93NUMPY\x01\0" + bytes(32), "a NumPy array, which is not read: load it"),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(32), "an HDF5 file"),
        "gzip": (b"\x1f\x8b\x08" + bytes(32), "a gzip archive"),
        "ta": (bytes(257) + b"ustar\x0000" + bytes(32), "a tar archive"),
        "jpeg-x": (b"II\xbc\x01" + bytes(32), "a JPEG XR image"),
        "fits": (b"SIMPLE  =                    T", "a FITS image"),
        "psd": (b"8BPS\0\1" + bytes(32), "a Photoshop document"),
        "zip": (b"PK\x03\x04" + bytes(32), "a ZIP archive"),
        "zeros": (bytes(100), "in a format that is not known"),
    }


def box_file(brand: bytes) -> bytes:
    """The first box of a file of boxes (HEIC, MP4 and their relatives) of this brand."""
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + brand + bytes(4) + bytes(32)


def dicom(
    values: NDArray[Any],
    *,
    stored: int | None = None,
    photometric: bytes = b"MONOCHROME2",
    signed: bool = False,
    frames: int | None = None,
    samples: int = 1,
    syntax: bytes = b"1.2.840.10008.1.2.1",
) -> bytes:
    """A DICOM file of grey values `[H, W]`, with explicit types in little-endian order, and no more than it needs."""
    bits = 8 * values.dtype.itemsize
    stored = stored or bits

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += (b"\0" if kind in (b"UI", b"OB", b"OW") else b" ") * (len(value) % 2)
        length = struct.pack("<2xI" if kind in (b"OB", b"OW") else "<H", len(value))
        return struct.pack("<HH", group, number) + kind + length + value

    def short(number: int, value: int) -> bytes:
        return element(0x28, number, b"US", struct.pack("<H", value))

    meta = element(2, 0x10, b"UI", syntax)
    meta = element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta
    body = short(2, samples) + element(0x28, 4, b"CS", photometric)
    body += element(0x28, 8, b"IS", str(frames).encode()) if frames else b""
    body += short(0x10, values.shape[0]) + short(0x11, values.shape[1])
    body += short(0x100, bits) + short(0x101, stored) + short(0x102, stored - 1) + short(0x103, int(signed))
    body += element(0x7FE0, 0x10, b"OW", values.astype(values.dtype.newbyteorder("<")).tobytes())
    return bytes(128) + b"DICM" + meta + body


def small_images() -> dict[str, bytes]:
    """One small valid file of each way in which pixels are stored, for cutting short and flipping bits."""
    import imagecodecs
    import tifffile

    def by_tifffile(array: NDArray[Any], **options: Any) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        return buffer.getvalue()

    grey, rgb, rgba = noise(1, 16, 16), noise(2, 16, 16, 3), noise(3, 16, 16, 4)
    deep = noise(4, 16, 16, 3, dtype=np.uint16)
    turned: dict[str, Any] = {"exif": b"Exif\0\0" + exif(6)}
    return {
        "jpeg-grey": encoded(grey, "JPEG", **turned),
        "jpeg-rgb": encoded(rgb, "JPEG"),
        "jpeg-progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg-cmyk": encoded(rgb, "JPEG", mode="CMYK"),
        "png-grey": encoded(grey, "PNG", **turned),
        "png-palette": encoded(rgb, "PNG", mode="P"),
        "png-rgba": encoded(rgba, "PNG"),
        "png-grey16": png(deep[:, :, :1], "grey", 16),
        "png-rgb16": png(deep, "rgb", 16, idat_size=500),
        "png-rgb16-interlaced": png(deep, "rgb", 16, interlaced=True),
        "bmp-grey": encoded(grey, "BMP"),
        "bmp-rgb": encoded(rgb, "BMP"),
        "webp-lossy": encoded(rgb, "WEBP", **turned),
        "webp-lossless": encoded(rgba, "WEBP", lossless=True),
        "tiff-libtiff": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-grey": by_tifffile(grey, photometric="minisblack", rowsperstrip=3),
        "tiff-rgb16": by_tifffile(deep, photometric="rgb", byteorder=">"),
        "tiff-lzw": by_tifffile(deep, photometric="rgb", compression="lzw", predictor=True),
        "tiff-deflate-tiled": by_tifffile(rgb, photometric="rgb", compression="zlib", tile=(16, 16)),
        "tiff-jpeg": by_tifffile(rgb, photometric="rgb", compression="jpeg"),
        "tiff-group4": encoded(grey > 127, "TIFF", compression="group4"),
        "tiff-separate": by_tifffile(np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate"),
        "tiff-big": by_tifffile(rgb, photometric="rgb", bigtiff=True),
        "gif": encoded(rgb, "GIF", mode="P"),
        "pgm": encoded(grey, "PPM"),
        "pgm16": b"P5\n16 16\n65535\n" + deep[:, :, 0].astype(">u2").tobytes(),
        "ppm": encoded(rgb, "PPM"),
        "pam": b"P7\nWIDTH 16\nHEIGHT 16\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + rgba.tobytes(),
        "jpeg-2000": imagecodecs.jpeg2k_encode(rgb, reversible=True, level=0),
        "jpeg-2000-codestream": imagecodecs.jpeg2k_encode(deep, reversible=True, level=0, codecformat="j2k"),
        "jpeg-xl": imagecodecs.jpegxl_encode(rgb, lossless=True),
        "jpeg-xl-16": imagecodecs.jpegxl_encode(deep, lossless=True),
        "avif": encoded(rgb, "AVIF"),
        "avif-alpha": encoded(rgba, "AVIF", quality=100, **turned),
        "dicom": dicom(deep[:, :, 0]),
        "tiff-pages": by_tifffile(noise(5, 3, 16, 16), photometric="minisblack"),
    }
