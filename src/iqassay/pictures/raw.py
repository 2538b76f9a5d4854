"""Camera raw files, by LibRaw (the extra `raw`): the picture that the camera made of them, or a plain development."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

from PIL import Image

from iqassay.pictures.picture import ImageError, Picture, check_size
from iqassay.pictures.pixels import from_pillow, from_samples
from iqassay.support.install import install_command

PREVIEW = "camera raw file: its embedded preview of {}x{} pixels is shown"
DEVELOPED = "camera raw file: developed plainly, with the camera's white balance"
_BROKEN = "got a camera raw file that cannot be decoded ({}), want an undamaged one of a kind that LibRaw knows"
_WHOLE = 0.9  # a preview at least as long, beside the raw picture, is the camera's own full picture
_ENOUGH = 0.25  # and one as long as this stands for a picture that cannot be developed
_MOST = 1000  # directories of a file, and entries of one
_STRIPS, _SUBDIRECTORIES = ((273, 279), (324, 325), (513, 514)), 330  # tags: where data starts, and how long it is


def read_raw(file: BinaryIO, max_pixels: int) -> Picture:
    """The preview where it is about as large as the picture, else a development at 8 bits, else a smaller preview."""
    try:
        import rawpy
    except ImportError as error:
        raise ImageError(f"got a camera raw file, which needs `{install_command('raw')}`") from error
    if not _is_whole(file):  # LibRaw would go on with nothing where the data ends
        raise ImageError(_BROKEN.format("image file is truncated"))
    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            sizes = raw.sizes
            check_size(sizes.width, sizes.height, max_pixels)
            preview = _preview(rawpy, raw, max_pixels)
            length = max(preview.width, preview.height) / max(sizes.width, sizes.height) if preview else 0
            if preview and length >= _WHOLE:
                return preview
            try:
                pixels = raw.postprocess(use_camera_wb=True, output_bps=8)
            except rawpy.LibRawError:
                if preview and length >= _ENOUGH:
                    return preview
                raise
            return from_samples(pixels, "", None, 1, [DEVELOPED])  # LibRaw has turned it upright
    except rawpy.LibRawError as error:
        said = error.args[0] if error.args else type(error).__name__
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ImageError(_BROKEN.format(reason)) from error


def _preview(rawpy: Any, raw: Any, max_pixels: int) -> Picture | None:
    """LibRaw gives a JPEG the orientation that the raw file tells."""
    try:
        thumb = raw.extract_thumb()
        if thumb.format != rawpy.ThumbFormat.JPEG:
            return None  # a bitmap is a small one
        image = Image.open(io.BytesIO(thumb.data), formats=["JPEG"])
        return from_pillow(image, max_pixels, [PREVIEW.format(*image.size)])
    except Exception:  # there is none, it is damaged, or it is larger than the limit
        return None


def _is_whole(file: BinaryIO) -> bool:
    """Whether all data that a file points to lies within it; true where the way it is built is not known."""
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(128)
    try:
        if head[:2] in (b"II", b"MM") and head[2:6] != b"\x1a\0\0\0":
            return _directories_end(file, "<" if head[:2] == b"II" else ">", length)
        if head[4:8] == b"ftyp":
            return _boxes_end(file, length)
        if head.startswith(b"FUJIFILMCCD-RAW"):
            return all(sum(struct.unpack_from(">2L", head, at)) <= length for at in (84, 92, 100))
    except struct.error:
        return False
    return True


def _directories_end(file: BinaryIO, order: str, length: int) -> bool:
    """The directories of a TIFF, which most raw files are."""
    file.seek(4)
    waiting: list[int] = [*_unpack(file, f"{order}L")]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST:
        at = waiting.pop()
        if not at or at in seen or at >= length:
            continue
        seen.add(at)
        file.seek(at)
        (count,) = _unpack(file, f"{order}H")
        if count > _MOST:
            continue
        data = file.read(12 * count + 4)
        found = {}
        for start in range(0, 12 * count, 12):
            tag, kind, number = struct.unpack_from(f"{order}HHL", data, start)
            if tag == _SUBDIRECTORIES or any(tag in pair for pair in _STRIPS):
                found[tag] = _numbers(file, order, kind, number, data[start + 8 : start + 12])
        waiting += [*found.get(_SUBDIRECTORIES, ()), *struct.unpack_from(f"{order}L", data, 12 * count)]
        for starts, sizes in _STRIPS:
            ends = map(sum, zip(found.get(starts, ()), found.get(sizes, ()), strict=False))
            if max(ends, default=0) > length:
                return False
    return True


def _numbers(file: BinaryIO, order: str, kind: int, count: int, value: bytes) -> tuple[int, ...]:
    code = {3: "H", 4: "L", 13: "L"}.get(kind)
    if code is None or not 0 < count < 2**20:
        return ()
    form = f"{order}{count}{code}"
    if struct.calcsize(form) <= 4:
        return struct.unpack_from(form, value)
    file.seek(*struct.unpack(f"{order}L", value))
    return _unpack(file, form)


def _boxes_end(file: BinaryIO, length: int) -> bool:
    """The boxes of an MP4, which CR3 is."""
    at = 0
    for _ in range(_MOST):
        if at + 16 > length:
            break
        file.seek(at)
        size, _, large = _unpack(file, ">LLQ")
        at = at + large if size == 1 else at + size if size else length
    return at == length


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))
