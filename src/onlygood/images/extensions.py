"""What a file's extension says: an image that is read, one that needs an extra, or something else that people shoot.

Files of a folder are chosen by extension and then read by their content, which may be of another format. So this table
decides which files are looked at, and what is said of those that are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

_AS_PNG = "save it as PNG"
_FRAMES = "save its frames as PNG images"
_RAW = "develop it to 16-bit TIFF or PNG, with one setting for all images"
_PAGES = "save its pages as PNG images"
_DRAWING = "draw it as PNG, at one size for all images"
_SCALED = "save it as 8- or 16-bit PNG or TIFF, by one scale chosen for all images"


@dataclass(frozen=True)
class UnreadKind:
    """A kind of file that shows something and is not read.

    Attributes:
        what: it is, with its article: "a video (Matroska)".
        remedy: what to do instead, as an order: "save its frames as PNG images".
        is_video: whether it holds frames over time.
    """

    what: str
    remedy: str
    is_video: bool = False

    def sentence(self, name: str) -> str:
        """Why the file of that name is not read, and what to do."""
        return f"{name} is {self.what}, which is not read: {self.remedy}"


def _video(container: str) -> UnreadKind:
    return UnreadKind(f"a video ({container})", _FRAMES, is_video=True)


PHOTOSHOP = UnreadKind("a Photoshop document", _AS_PNG)
PDF = UnreadKind("a PDF document", _PAGES)
POSTSCRIPT = UnreadKind("a PostScript drawing", _DRAWING)
SVG = UnreadKind("an SVG drawing", _DRAWING)
OPENEXR = UnreadKind("an OpenEXR image of floating-point values", _SCALED)
RADIANCE = UnreadKind("a Radiance image of floating-point values", _SCALED)
FLOAT_MAP = UnreadKind("a PFM image of floating-point values", _SCALED)
ICON = UnreadKind("an icon of several sizes", _AS_PNG)
JPEG_XR = UnreadKind("a JPEG XR image", _AS_PNG)
JPEG_LS = UnreadKind("a JPEG-LS image", _AS_PNG)
FITS = UnreadKind("a FITS image", _SCALED)
MATROSKA = _video("Matroska")
MP4 = _video("MP4")
QUICKTIME = _video("QuickTime")
AVI = _video("AVI")
WEBM = _video("WebM")
MPEG = _video("MPEG")
TRANSPORT_STREAM = _video("MPEG transport stream")
WINDOWS_MEDIA = _video("Windows Media")
FLASH = _video("Flash")
NUMPY = UnreadKind("a NumPy array", "load it and give the array from Python, or save it as PNG or TIFF")
ZIP = UnreadKind("a ZIP archive", "unpack it")
GZIP = UnreadKind("a gzip archive", "unpack it")
SEVEN_ZIP = UnreadKind("a 7z archive", "unpack it")
RAR = UnreadKind("a RAR archive", "unpack it")
TAR = UnreadKind("a tar archive", "unpack it")
HDF5 = UnreadKind("an HDF5 file", "load its arrays and give them from Python, or save them as PNG or TIFF")
TARGA = UnreadKind("a Targa image", _AS_PNG)
PCX = UnreadKind("a PCX image", _AS_PNG)
TEXTURE = UnreadKind("a texture (DirectDraw)", _AS_PNG)
NIFTI = UnreadKind("a NIfTI volume", "save its slices as PNG or TIFF")


CAMERA_RAW = UnreadKind("a raw image of a camera", _RAW)


def _raw(camera: str) -> UnreadKind:
    return UnreadKind(f"a raw image of a camera ({camera})", _RAW)


CANON, NIKON, SONY, ADOBE_DNG = _raw("Canon"), _raw("Nikon"), _raw("Sony"), _raw("DNG")
FUJIFILM, OLYMPUS, PANASONIC, PENTAX = _raw("Fujifilm"), _raw("Olympus"), _raw("Panasonic"), _raw("Pentax")

_JPEG_2000 = (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx")
_NETPBM = (".pam", ".pbm", ".pgm", ".pnm", ".ppm")
_OTHERS = (".avif", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jxl", ".png", ".tif", ".tiff", ".webp")

READ_EXTENSIONS: tuple[str, ...] = tuple(sorted((*_JPEG_2000, *_NETPBM, *_OTHERS)))
"""The extensions of images that every installation reads, in lower case."""


@dataclass(frozen=True)
class Needed:
    """A library that reads a kind of image and is not always installed.

    Attributes:
        what: the image is, with its article.
        library: that reads it.
        modules: of which one must be there.
        remedy: what to do where none is.
    """

    what: str
    library: str
    modules: tuple[str, ...]
    remedy: str

    def sentence(self, name: str) -> str:
        """Why the file of that name is not read without it, and what to do."""
        return f"{name} is {self.what}, which is read with {self.library}: {self.remedy}"


# The same interface; the first has no encoder, and is smaller.
HEIC_DECODERS = ("pi_heif", "pillow_heif")

NEEDED: dict[str, Needed] = {
    "dicom": Needed("a DICOM image", "pydicom", ("pydicom",), "run pip install 'onlygood[dicom]'"),
    "heic": Needed(
        "a HEIC image",
        "pi-heif",
        HEIC_DECODERS,
        "run pip install pi-heif, which holds libraries under the LGPL, or save it as JPEG or PNG",
    ),
}
"""What images need that not every installation has."""

EXTRA_EXTENSIONS: dict[str, str] = {
    **dict.fromkeys((".dcm", ".dicom"), "dicom"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "heic"),
}
"""The extensions of images that are read with a library of `NEEDED`, and its name there."""

UNREAD_EXTENSIONS: dict[str, UnreadKind] = {
    extension: kind
    for extensions, kind in (
        (".psd .psb", PHOTOSHOP),
        (".pdf", PDF),
        (".eps .ps .ai", POSTSCRIPT),
        (".svg .svgz", SVG),
        (".exr", OPENEXR),
        (".hdr .rgbe", RADIANCE),
        (".pfm", FLOAT_MAP),
        (".ico .icns .cur", ICON),
        (".jxr .wdp .hdp", JPEG_XR),
        (".jls", JPEG_LS),
        (".fits .fit .fts", FITS),
        (".tga", TARGA),
        (".pcx", PCX),
        (".dds", TEXTURE),
        (".nii", NIFTI),
        (".cr2 .cr3 .crw", CANON),
        (".nef .nrw", NIKON),
        (".arw .sr2 .srf", SONY),
        (".dng", ADOBE_DNG),
        (".raf", FUJIFILM),
        (".orf", OLYMPUS),
        (".rw2", PANASONIC),
        (".pef", PENTAX),
        (".mkv", MATROSKA),
        (".mp4 .m4v .3gp", MP4),
        (".mov .qt", QUICKTIME),
        (".avi", AVI),
        (".webm", WEBM),
        (".mpg .mpeg .m2v", MPEG),
        (".ts .mts .m2ts", TRANSPORT_STREAM),
        (".wmv .asf", WINDOWS_MEDIA),
        (".flv", FLASH),
        (".npy .npz", NUMPY),
        (".h5 .hdf5", HDF5),
        (".zip", ZIP),
        (".gz .tgz", GZIP),
        (".7z", SEVEN_ZIP),
        (".rar", RAR),
        (".tar", TAR),
    )
    for extension in extensions.split()
}
"""The extensions of what looks like images, videos, or archives of them, in lower case, and is not read."""


def extra_is_installed(extra: str) -> bool:
    """Whether the library of `NEEDED` with this name can be imported."""
    return any(find_spec(module) is not None for module in NEEDED[extra].modules)


def readable_extensions() -> tuple[str, ...]:
    """The extensions of images that this installation reads, sorted, in lower case."""
    extras = (extension for extension, extra in EXTRA_EXTENSIONS.items() if extra_is_installed(extra))
    return tuple(sorted((*READ_EXTENSIONS, *extras)))


def why_not_taken(name: str) -> str | None:
    """A sentence on why a file of that name is no image here; None if it is one, or if nothing is known about it.

    Args:
        name: of a file, with or without folders.
    """
    extension = extension_of(name)
    extra = EXTRA_EXTENSIONS.get(extension)
    if extra is not None and not extra_is_installed(extra):
        return NEEDED[extra].sentence(name)
    kind = UNREAD_EXTENSIONS.get(extension)
    return None if kind is None else kind.sentence(name)


def extension_of(name: str) -> str:
    """The extension of a file's name, with its dot and in lower case; empty if it has none."""
    stem, dot, extension = name.replace("\\", "/").rpartition("/")[2].rpartition(".")
    return f".{extension.lower()}" if dot and stem else ""
