"""Videos for tests, made with PyAV: a few small frames of known samples."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Planes = Sequence[np.ndarray]
BT709, LIMITED = (1, 1, 1), 1  # primaries, curve and matrix; range


def flat(samples: Sequence[int], shares: Sequence[tuple[int, int]] = (), size: tuple[int, int] = (48, 32)) -> Planes:
    """Planes of one value each, by how many times they are narrower and lower than the picture."""
    shares = shares or [(1, 1)] * len(samples)
    type_ = np.uint16 if max(samples) > 255 else np.uint8
    return [
        np.full((size[1] // down, size[0] // across), sample, type_)
        for sample, (across, down) in zip(samples, shares, strict=True)
    ]


def write_clip(
    path: Path,
    frames: Sequence[Planes],
    format: str = "yuv444p",
    codec: str = "ffv1",
    rate: int = 10,
    colours: tuple[int, int, int] = BT709,
    range_: int = LIMITED,
    times: Sequence[int] = (),
    turned: int = 0,
    matrix: Sequence[int] = (),
    shape: Fraction | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """A video of frames, each a plane or more.

    colours: code points of primaries, curve and matrix. times: of each frame in milliseconds; else by the rate.
    """
    import av

    height, width = frames[0][0].shape
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, format
        context: Any = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = colours
        context.color_range = range_
        if times:
            context.time_base = Fraction(1, 1000)
        if shape:
            context.sample_aspect_ratio = shape
        if turned:
            stream.set_display_rotation(turned)
        if matrix:
            stream.set_display_matrix(matrix)
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(width, height, format)
            for plane, samples in zip(frame.planes, planes, strict=True):
                rows = np.frombuffer(plane, samples.dtype).reshape(-1, plane.line_size // samples.itemsize)
                rows[: len(samples), : samples.shape[1]] = samples
            frame.color_primaries, frame.color_trc, frame.colorspace = colours
            frame.color_range = range_
            frame.pts = times[number] if times else number
            if times:
                frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
