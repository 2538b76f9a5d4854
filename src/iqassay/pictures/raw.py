"""Camera raw files, by LibRaw (the extra `raw`): the picture that the camera made of them, or a plain development."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from PIL import Image

from iqassay.pictures.picture import ImageError, Picture, check_size
from iqassay.pictures.pixels import from_pillow, from_samples

PREVIEW = "camera raw file: its embedded preview of {}x{} pixels is shown"
DEVELOPED = "camera raw file: developed plainly, with the camera's white balance"
_WHOLE = 0.9  # a preview at least as wide, beside the raw picture, is the camera's own full picture


def read_raw(file: BinaryIO, max_pixels: int) -> Picture:
    """The preview where it is about as large as the picture, else a development at 8 bits, else any preview."""
    try:
        import rawpy
    except ImportError as error:
        raise ImageError("got a camera raw file, which needs `pip install 'iqassay[raw]'`") from error
    file.seek(0)
    with rawpy.imread(file) as raw:
        sizes = raw.sizes
        check_size(sizes.width, sizes.height, max_pixels)
        longest = max(sizes.width, sizes.height)
        preview = _preview(rawpy, raw, max_pixels)
        if preview is not None and max(preview.width, preview.height) >= _WHOLE * longest:
            return preview
        try:
            pixels = raw.postprocess(use_camera_wb=True, output_bps=8)
        except rawpy.LibRawError as error:
            if preview is None:
                raise ValueError(str(error)) from error
            return preview
        return from_samples(pixels, "", None, 1, [DEVELOPED])  # LibRaw has turned it upright


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
