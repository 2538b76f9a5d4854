"""A decoded frame of a video as a picture: its samples (YCbCr, RGB or gray, of 8 to 16 bits) to upright sRGB.

The matrices and ranges are those of ITU-T H.273, 8.3; docs/reading-pictures.md says what is taken for granted where a
video does not say. swscale does no more than to bring the colours of 4:2:0 and 4:2:2 to the places of the brightness.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np

from iqassay.pictures import colour
from iqassay.pictures.picture import ImageError, Picture, check_size
from iqassay.pictures.pixels import from_samples

INTERLACED = "interlaced: the two fields of a frame are shown together"
NOT_SQUARE = "pixels that are not square ({}): shown as they are stored"
ODD_TURN = "turned by something else than a right angle: shown as it is stored"

_UNSPECIFIED, _NARROW, _FULL = 2, 1, 2  # code points of a matrix, and how libavutil calls the ranges
_BT709, _BT601, _BT2020, _YCGCO = 1, 6, 9, 8
# What red and blue weigh in the brightness. H.273, table 4.
_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    _BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
}
_OTHER_MATRICES = {
    10: "BT.2020 of constant luminance",
    14: "ICtCp",
    15: "IPT (Dolby Vision)",
    **dict.fromkeys((16, 17), "YCgCo-R"),
}
_HD = 1280, 576  # as wide, or higher than this, is BT.709 where nothing is said
_NARROW_GRAY = ("h264", "hevc", "vvc", "av1", "vp9")  # whose gray pictures are the brightness of colour ones
# Where a point (x, y) of the stored picture goes, x' = ax + cy and y' = bx + dy, as an EXIF orientation: (a, b, c, d).
_TURNS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


def read_frame(frame: Any, codec: str, shape: str, max_pixels: int) -> Picture:
    """The picture of an av.VideoFrame; 8 bits stay 8, more become 16.

    codec: what it was coded by, in libavcodec's words. shape: of its pixels, "16:11", "" for square ones. Raises
    ImageError for colours that are not known here and for more pixels than allowed.
    """
    check_size(frame.width, frame.height, max_pixels)
    said = [INTERLACED] if frame.interlaced_frame else []
    said += [NOT_SQUARE.format(shape)] if shape else []
    orientation = _orientation(frame)
    if orientation is None:
        said.append(ODD_TURN)
    primaries, transfer = frame.color_primaries or _UNSPECIFIED, frame.color_trc or _UNSPECIFIED
    encoding = colour.of_code_points(primaries, transfer, _peak(frame))
    if encoding is None:
        said.append(colour.UNKNOWN.format(f"{primaries} and {transfer}"))
    samples, alpha = _samples(frame, codec, encoding is not None and encoding.is_hdr)
    return from_samples(samples, "straight" if alpha else "", None, orientation or 1, said, encoding)


def matrix_of(frame: Any, hdr: bool = False) -> int:
    """The code point of the matrix that a frame has; where it has none, the one that its kind and size suggest."""
    told = frame.colorspace
    if told != _UNSPECIFIED:
        return told
    if hdr or frame.color_primaries == _BT2020:
        return _BT2020
    return _BT709 if frame.width >= _HD[0] or frame.height > _HD[1] else _BT601


def _samples(frame: Any, codec: str, hdr: bool) -> tuple[np.ndarray, bool]:
    """(H, W, C) of uint8 or uint16, C of 1 (gray) or 3 (RGB), and then alpha last, which the second value says."""
    kind = frame.format
    parts = kind.components
    bits, alpha = parts[0].bits, parts[-1].is_alpha
    if re.match("xyz|bayer|mono", kind.name) or re.search("f(16|32)", kind.name):
        raise ImageError(f"got a video of the pixel format {kind.name}, want one of YUV, RGB or gray")
    if kind.has_palette or kind.is_rgb:
        return _of_rgb(frame, bits, alpha or kind.has_palette)
    if len(parts) <= 2:
        narrow = frame.color_range == _NARROW or (frame.color_range != _FULL and codec in _NARROW_GRAY)
        stored = _packed(frame) if alpha else _planes(frame, [0])
        return _with_alpha(_scaled(stored[..., :1], bits, narrow), stored[..., 1:], bits), alpha
    narrow = frame.color_range != _FULL and not kind.name.startswith("yuvj")
    stored = _planes(_as(frame, f"yuv{'a' * alpha}444p{'' if bits == 8 else f'{bits}le'}"), range(len(parts)))
    pixels = _of_ycbcr(stored[..., :3], bits, matrix_of(frame, hdr), narrow)
    return _with_alpha(pixels, stored[..., 3:], bits), alpha


def _with_alpha(pixels: np.ndarray, alpha: np.ndarray, bits: int) -> np.ndarray:
    """alpha: (H, W, 0 or 1), of the full range."""
    return np.concatenate([pixels, _scaled(alpha, bits, False)], axis=2) if alpha.size else pixels


def _of_rgb(frame: Any, bits: int, alpha: bool) -> tuple[np.ndarray, bool]:
    """RGB in planes keeps all its bits; other kinds of it have 8 or 16, or come near enough."""
    narrow = frame.color_range == _NARROW
    if frame.format.name.startswith("gbr"):
        stored = _planes(frame, [part.plane for part in frame.format.components])
    else:
        stored = _packed(
            _as(frame, f"rgb{'a' * alpha}{64 if alpha else 48}le" if bits > 8 else "rgba" if alpha else "rgb24")
        )
        bits = 16 if bits > 8 else 8
    return _with_alpha(_scaled(stored[..., :3], bits, narrow), stored[..., 3:], bits), alpha


def _as(frame: Any, name: str) -> Any:
    """The frame in another format of the same depth, matrix and range."""
    if frame.format.name == name:
        return frame
    from av.video.reformatter import Interpolation

    range_ = _FULL if frame.format.name.startswith("yuvj") else frame.color_range
    how = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
    return frame.reformat(format=name, interpolation=how, src_color_range=range_, dst_color_range=range_, threads=1)


def _planes(frame: Any, places: Any) -> np.ndarray:
    """(H, W, C): the planes at these places of a frame whose planes are of one size."""
    bits, byte_order = frame.format.components[0].bits, ">" if frame.format.is_big_endian else "<"
    type_ = np.dtype(f"{byte_order}u2" if bits > 8 else "u1")
    planes = (frame.planes[place] for place in places)
    rows = [np.frombuffer(plane, type_).reshape(-1, plane.line_size // type_.itemsize) for plane in planes]
    return np.stack([row[: frame.height, : frame.width] for row in rows], axis=-1)


def _packed(frame: Any) -> np.ndarray:
    """(H, W, 3 or 4): the only plane of a frame, whose samples stand side by side."""
    type_ = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
    (plane,) = frame.planes
    channels = len(frame.format.components)
    rows = np.frombuffer(plane, type_).reshape(-1, plane.line_size // type_.itemsize)
    return rows[: frame.height, : frame.width * channels].reshape(frame.height, frame.width, channels).copy()


def _of_ycbcr(stored: np.ndarray, bits: int, matrix: int, narrow: bool) -> np.ndarray:
    """(H, W, 3) of Y, Cb and Cr -> R'G'B' of uint8 or uint16."""
    if matrix == _YCGCO:
        rows = np.array([[1, -1, 1], [1, 1, 0], [1, -1, -1]], np.float32)
    elif matrix in _WEIGHTS:
        red, blue = _WEIGHTS[matrix]
        green = 1 - red - blue
        across, down = 2 * (1 - red), 2 * (1 - blue)
        rows = np.array([[1, 0, across], [1, -down * blue / green, -across * red / green], [1, down, 0]], np.float32)
    else:
        name = _OTHER_MATRICES.get(matrix, f"the matrix {matrix} of H.273")
        raise ImageError(f"got a video whose colours are told by {name}, which is not read, want YCbCr or RGB")
    step, top = 2 ** (bits - 8), 2**bits - 1
    black, light, tint = (16 * step, 219 * step, 224 * step) if narrow else (0, top, top)
    offset = np.array([black, 128 * step, 128 * step], np.float32)
    to_rgb = (rows / [light, tint, tint]).astype(np.float32).T
    out = np.empty(stored.shape, np.uint8 if bits == 8 else np.uint16)
    most = np.float32(np.iinfo(out.dtype).max)
    strip = max(1, 2**18 // stored.shape[1])
    for start in range(0, len(stored), strip):  # the temporaries are float32
        values = (stored[start : start + strip].astype(np.float32) - offset) @ to_rgb
        out[start : start + strip] = np.rint(np.clip(values, 0, 1) * most)
    return out


def _scaled(stored: np.ndarray, bits: int, narrow: bool) -> np.ndarray:
    """Samples of so many bits -> uint8 or uint16 of the full range."""
    if bits in (8, 16) and not narrow:
        return stored
    step, most = 2 ** (bits - 8), 255 if bits == 8 else 65535
    codes = np.arange(2**bits, dtype=np.float32)
    signal = (codes - 16 * step) / (219 * step) if narrow else codes / (2**bits - 1)
    table = np.rint(np.clip(signal, 0, 1) * most).astype(np.uint8 if bits == 8 else np.uint16)
    return table[np.minimum(stored, 2**bits - 1)]


def _orientation(frame: Any) -> int | None:
    """As EXIF tells it, 1 to 8; None for a turn that is none of these."""
    told = frame.side_data.get("DISPLAYMATRIX")
    if told is None:
        return 1
    values = struct.unpack_from("=9i", bytes(told))  # a, b, u, c, d, v, x, y, w
    turn = tuple(round(values[at] / 65536) for at in (0, 1, 3, 4))
    exact = all(abs(values[at] - 65536 * whole) < 66 for at, whole in zip((0, 1, 3, 4), turn, strict=True))
    return _TURNS.get(turn) if exact else None


def _peak(frame: Any) -> float:
    """The brightest light of an HDR video in cd/m2, by what it says of its content or of the screen it was made on."""
    content = screen = 0.0
    if (told := frame.side_data.get("CONTENT_LIGHT_LEVEL")) is not None:
        (content,) = struct.unpack_from("=I", bytes(told))
    if (told := frame.side_data.get("MASTERING_DISPLAY_METADATA")) is not None:
        above, below, _, given = struct.unpack_from(
            "=4i", bytes(told), 72
        )  # max_luminance, has_primaries, has_luminance
        screen = above / below if given and below else 0.0
    return colour.brightest(content, screen)
