"""Which files are pictures, told by their first bytes, and how each is opened without being decoded."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import threading
from typing import BinaryIO, NamedTuple

import PIL
from PIL import Image, ImageFile

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "tif", "tiff", "bmp", "dib", "gif"),
        *("avif", "avifs", "heic", "heics", "heif", "heifs", "hif"),
    )
)


class Kind(NamedTuple):
    """A kind of file, as it is counted ("1 video", "3 videos"), and the extra that reads it; "" when none does."""

    one: str
    many: str
    extra: str = ""


_RAW, _JXL = Kind("RAW", "RAW", "raw"), Kind("JPEG XL", "JPEG XL", "jxl")
VIDEO = Kind("video", "videos", "video")  # whose frames are scored where they are asked for
_ENDINGS = {
    _RAW: "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f",
    _JXL: "jxl",
    Kind("JPEG 2000", "JPEG 2000"): "j2c j2k jp2 jpf jpm jpx",
    Kind("Photoshop document", "Photoshop documents"): "psb psd",
    VIDEO: "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv webm wmv y4m",
    Kind("OpenEXR or Radiance picture", "OpenEXR or Radiance pictures"): "exr hdr",
    Kind("drawing", "drawings"): "ai eps ps svg svgz",
    Kind("PDF", "PDF"): "pdf",
    Kind("icon", "icons"): "cur icns ico",
    Kind("picture of another kind", "pictures of other kinds"): "dds jxr pbm pcx pgm pnm ppm qoi tga xcf",
}
# What people keep beside the pictures of SUFFIXES, by its ending.
OTHERS = {f".{ending}": kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_MODULES = {"heif": "pillow_heif", "raw": "rawpy", "jxl": "pillow_jxl", "video": "av"}  # what each extra brings


def installed(extra: str) -> bool:
    """Whether an extra that reads pictures is there; nothing is imported."""
    return importlib.util.find_spec(_MODULES[extra]) is not None


def keeps_pictures(name: str) -> bool:
    """Whether a file whose name ends so holds a picture, or another thing that lies beside pictures, read here or not:
    results must not be written over it."""
    ending = os.path.splitext(name)[1].lower()
    return ending in SUFFIXES or ending in OTHERS


def is_picture(name: str) -> bool:
    """Whether a file whose name ends so is read here: a picture, or a kind whose extra is installed."""
    ending = os.path.splitext(name)[1].lower()
    kind = OTHERS.get(ending)
    return ending in SUFFIXES or bool(kind and kind is not VIDEO and kind.extra and installed(kind.extra))


def is_video(name: str) -> bool:
    """Whether a file whose name ends so is a video."""
    return OTHERS.get(os.path.splitext(name)[1].lower()) is VIDEO


# The plug-ins of Pillow that we let near a file, each with the class or function that reads the header. The rest of
# Pillow's long list is left out on purpose: some start other programs (EPS), the others are not photographs.
PLUGINS = {
    "JPEG": ("JpegImagePlugin", "jpeg_factory"),
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "WebP": ("WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("TiffImagePlugin", "TiffImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
}
RAW, JXL = "camera raw", "JPEG XL"  # kinds that extras read
# (offset, bytes there, what the file is). The second part names what we do not read, for the message alone.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"\xff\x0a", JXL),
    (4, b"JXL \r\n\x87\n", JXL),
    *((0, start, RAW) for start in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")),
    (6, b"HEAPCCDR", RAW),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"MM\0+", "a big-endian BigTIFF"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"v/1\1", "an OpenEXR picture"),
    (0, b"#?RAD", "a Radiance HDR picture"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (8, b"AVI LIST", "a video"),
)
VIDEOS = ("a film or other media file", "a video")
_HELD, _LONGEST = ("WebP", "AVIF", "HEIF", RAW, JXL), 2**30
_bomb_guard = threading.Lock()


def kind_of(head: bytes) -> str:
    """What the first bytes say the file is: a key of PLUGINS, "HEIF", RAW, JXL, or words for the message."""
    if head[4:8] == b"ftyp":
        brands = [head[8:12]] + [head[i : i + 4] for i in range(16, min(len(head), int.from_bytes(head[:4], "big")), 4)]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if any(brand[:3] in (b"hei", b"hev") or brand in (b"mif1", b"msf1") for brand in brands):
            return "HEIF"
        if brands[0] == b"crx ":
            return RAW
        return VIDEOS[0]
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if not head:
        return "an empty file"
    return f"a file of no known picture type (it starts with {bytes(head[:8])!r})"


def open_header(kind: str, file: BinaryIO) -> ImageFile.ImageFile:
    """Open without decoding. The plug-in is called straight: Image.open would also apply Pillow's own pixel limit."""
    module, opener = PLUGINS[kind]
    try:
        plugin = importlib.import_module(f"PIL.{module}")
    except ImportError as error:
        raise ValueError(f"it needs a newer Pillow than {PIL.__version__}") from error
    file.seek(0)
    try:
        return getattr(plugin, opener)(file, "")
    except Image.DecompressionBombError:
        if kind != "WebP":  # a GIF whose frame is far larger, which Pillow would make room for now
            raise
        file.seek(0)  # WebP looks at that limit while it reads the header
        with _bomb_guard:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return getattr(plugin, opener)(file, "")
            finally:
                Image.MAX_IMAGE_PIXELS = limit


def check_length(kind: str, file: BinaryIO) -> None:
    """Raise ValueError for a file that is too long to be held in memory, as the readers of some kinds do."""
    length = file.seek(0, io.SEEK_END)
    if kind in _HELD and length > _LONGEST:
        raise ValueError(f"{length:,} bytes, want at most {_LONGEST:,}")
