"""When a picture was taken, and by which camera, as its EXIF block says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag

from iqassay.pictures import formats

_SUB_SECONDS, _OFFSET = 0x9291, 0x9011  # SubsecTimeOriginal, OffsetTimeOriginal


@dataclass(frozen=True)
class Capture:
    """time: seconds since 1970 by the clock of the camera, None where it is not said. camera: its make and model."""

    time: float | None = None
    camera: str = ""


def read_capture(path: str) -> Capture:
    """What the EXIF block of a file says; nothing where there is none, or it cannot be read. No pixel is decoded."""
    try:
        with open(path, "rb") as file:
            kind = formats.kind_of(file.read(4096))
            if kind == "HEIF":
                exif = _heif_exif(path)
            elif kind in formats.PLUGINS:
                exif = formats.open_header(kind, file).getexif()
            else:
                return Capture()
        camera = " ".join(str(exif.get(tag, "")).strip(" \0") for tag in (Tag.Make, Tag.Model)).strip()
        return Capture(_time(exif.get_ifd(IFD.Exif)), camera)
    except Exception:  # a damaged block is no reason not to look at the picture
        return Capture()


def _heif_exif(path: str) -> Image.Exif:
    import pillow_heif

    exif = Image.Exif()
    exif.load(pillow_heif.open_heif(path).info.get("exif") or b"")
    return exif


def _time(exif: dict[int, Any]) -> float | None:
    said = str(exif.get(Tag.DateTimeOriginal, ""))[:19]
    try:
        taken = datetime.strptime(said, "%Y:%m:%d %H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    parts = str(exif.get(_SUB_SECONDS, "")).strip(" \0")
    return taken.timestamp() + (float(f"0.{parts}") if parts.isdecimal() else 0)
