"""Frames of videos, one after another, by FFmpeg's libraries (the extra `video`, PyAV): which, and at which times.

A frame is decoded when it is asked for and made a picture when it is looked at (`yuv.py`), so memory does not grow with
the length of a video.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

from iqassay.pictures.image import MAX_PIXELS, open_file
from iqassay.pictures.picture import ImageError, Picture, check_size
from iqassay.pictures.pixels import GROUND
from iqassay.pictures.yuv import read_frame
from iqassay.support.install import install_command

# What FFmpeg may take a file for: containers alone, no play lists, which name other files and addresses.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,av1,obu,ivf,asf,flv,ogg,mxf,dv,m4v,"
    "yuv4mpegpipe"
)
_NEAR = Fraction(1, 1000)  # seconds: some containers round times to these
_BACK = 1  # seconds: a time that goes back by more starts anew, as where recordings were joined
_USUAL_RATE = 25  # frames a second, of a video that tells neither times nor a rate


@dataclass(frozen=True)
class Every:
    """Which frames are wanted: the first at or after each multiple of so many seconds, or each of so many frames."""

    seconds: Fraction = Fraction(0)
    frames: int = 0


EACH_SECOND = Every(Fraction(1))


def every(text: str) -> Every:
    """ "1s", "0.5s", "500ms" or "10f" (frames). Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(s|ms|f)", text.strip().lower())
    step = Fraction(found[1]) if found else Fraction(0)
    unit = found[2] if found else ""
    if not step or (unit == "f" and step.denominator > 1):
        raise ValueError(f"got {text!r}, want seconds or frames, such as 1s, 500ms or 10f")
    return Every(frames=int(step)) if unit == "f" else Every(step / 1000 if unit == "ms" else step)


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video: its number, from 0, its time in seconds after the first one, and what makes it a picture."""

    number: int
    time: float
    read: Callable[[int], Picture]

    def picture(self, max_pixels: int = MAX_PIXELS, ground: str = "white") -> Picture:
        """The frame as `read_image` gives pictures. Raises ImageError."""
        shown_over = GROUND.set(ground)
        try:
            picture = self.read(max_pixels)
        except ImageError:
            raise
        except Exception as error:
            reason = "not enough memory" if isinstance(error, MemoryError) else " ".join(str(error).split())[:200]
            raise ImageError(f"got a frame that cannot be read ({reason})") from error
        finally:
            GROUND.reset(shown_over)
        picture.pixels.flags.writeable = False
        return picture


def read_frames(
    path: str | os.PathLike[str], step: Every = EACH_SECOND, max_pixels: int = MAX_PIXELS
) -> Iterator[Frame]:
    """The frames of a video that are wanted, as they are decoded.

    Frames that cannot be decoded, and those that build upon them until the next one that stands by itself, are left
    out. Where there were such frames, or the file ends early, ImageError says so after the last good one; it is raised
    at once for what is no video, holds none, or has larger frames, and where the extra `video` is not installed. Its
    text has no path.
    """
    wanted, number, good, damage = Fraction(0), -1, 0, ""
    with _opened(path, max_pixels) as video:
        clock = _Clock(video.rate)
        for frame, failed in video.decoded():
            if frame is not None:
                number += 1
                clock.tick(frame, number)
            if failed or frame is None:
                damage = damage or f"is damaged at about {_seconds(clock.time)} ({failed})"
                continue
            good += 1
            if step.frames and number % step.frames == 0:
                yield video.frame(frame, number, clock.time)
            elif step.seconds and clock.time >= wanted - _NEAR:
                wanted = ((clock.time + _NEAR) // step.seconds + 1) * step.seconds
                yield video.frame(frame, number, clock.time)
        if not _is_whole(video.file):
            of = f" of {_seconds(video.length)}" if video.length else ""
            damage = f"ends early, at about {_seconds(clock.time)}{of}"
    if damage:
        used = "what could be decoded of it was used" if good else "no frame of it could be decoded"
        raise ImageError(f"got a video that {damage}: {used}")
    if not good:
        raise ImageError("got a video without a frame in it")


def frame_at(path: str | os.PathLike[str], number: int, time: float) -> Frame:
    """A frame that `read_frames` gave, which is looked for when it is made a picture."""

    def read(max_pixels: int) -> Picture:
        for find in (_by_time, _by_number):
            with _opened(path, max_pixels) as video:
                frame = find(video, number, Fraction(time))
                if frame is not None:
                    return video.frame(frame, number, Fraction(time)).read(max_pixels)
        raise ImageError(f"got a video that has no frame {number} any more")

    return Frame(number, time, read)


def _by_time(video: _Video, number: int, time: Fraction) -> Any:
    """Jumps near to it; None where times are not to be relied upon."""
    first = next((frame for frame, _ in video.decoded() if frame is not None), None)
    if first is None or first.pts is None or not number:
        return first if not number else None
    at = first.pts * first.time_base + time
    try:
        video.container.seek(int(at / video.stream.time_base), stream=video.stream)
    except (OSError, ValueError):
        return None
    for frame, failed in video.decoded():
        if frame is None or frame.pts is None:
            return None
        away = frame.pts * frame.time_base - at
        if abs(away) < _NEAR / 2 and not failed:
            return frame
        if away > 0:
            return None
    return None


def _by_number(video: _Video, number: int, time: Fraction) -> Any:
    frames = (frame for frame, _ in video.decoded() if frame is not None)
    return next((frame for at, frame in enumerate(frames) if at == number), None)


class _Clock:
    """Seconds after the first frame, which go on where times begin anew."""

    def __init__(self, rate: Fraction) -> None:
        self.rate, self.first, self.shift, self.time = rate, Fraction(0), Fraction(0), Fraction(0)

    def tick(self, frame: Any, number: int) -> None:
        raw = number / self.rate if frame.pts is None or not frame.time_base else frame.pts * frame.time_base
        if not number:
            self.first = raw
        time = raw - self.first + self.shift
        if time < self.time - _BACK:
            self.shift += self.time + 1 / self.rate - time
            time = self.time + 1 / self.rate
        self.time = time


@dataclass(frozen=True, eq=False)
class _Video:
    """An opened video: its file, and the stream of pictures in it. length: in seconds, 0 where it is not told."""

    file: BinaryIO
    container: Any
    stream: Any
    rate: Fraction
    length: Fraction
    codec: str
    shape: str

    def decoded(self) -> Iterator[tuple[Any, str]]:
        """Frames as they are shown, each with what is wrong with it; None for one that cannot be decoded."""
        import av

        doubtful = False
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else []
            except (av.FFmpegError, OSError, ValueError) as error:
                doubtful = True
                yield None, _reason(error)
                continue
            if packet is None:
                return
            for frame in frames:
                doubtful = frame.is_corrupt or (doubtful and not frame.key_frame)
                yield frame, "its data are damaged" if doubtful else ""

    def frame(self, frame: Any, number: int, time: Fraction) -> Frame:
        def read(max_pixels: int) -> Picture:
            return read_frame(frame, self.codec, self.shape, max_pixels)

        return Frame(number, round(float(time), 6), read)


@contextmanager
def _opened(path: str | os.PathLike[str], max_pixels: int) -> Iterator[_Video]:
    try:
        import av
    except ImportError as error:
        raise ImageError(f"got a video, which needs `{install_command('video')}`") from error
    with open_file(path) as file:
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}
        try:
            container: Any = av.open(file, options=options, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:  # what reading the file raises comes as it is
            raise ImageError(f"got a video that cannot be opened ({_reason(error)}), want an undamaged one") from error
        with container:
            covers = av.stream.Disposition.attached_pic
            stream = next((one for one in container.streams.video if not one.disposition & covers), None)
            if stream is None:
                raise ImageError("got a file without a video in it, want one with pictures")
            context = stream.codec_context
            if context is None:
                raise ImageError("got a video of an unknown coding, want one that FFmpeg can decode")
            if context.width and context.height:
                check_size(context.width, context.height, max_pixels)
            context.options = {"max_pixels": str(min(max_pixels, 2**31 - 1))}
            stream.thread_type = "AUTO"
            length = (stream.duration or 0) * (stream.time_base or 0) or Fraction(container.duration or 0, 1_000_000)
            rate = stream.average_rate or stream.base_rate or _USUAL_RATE
            yield _Video(file, container, stream, Fraction(rate), Fraction(length), context.name, _shape(stream))


def _shape(stream: Any) -> str:
    """How wide pixels are to their height, "16:11"; "" for square ones."""
    told = stream.sample_aspect_ratio
    return f"{told.numerator}:{told.denominator}" if told and told != 1 else ""


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def _seconds(time: Fraction) -> str:
    return f"{float(time):.1f} s"


def _is_whole(file: BinaryIO) -> bool:
    """Whether a file is as long as the boxes of MP4, the segment of Matroska or the list of AVI in it say; true for
    other kinds, which do not say.
    """
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(4096)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        at = 0
        while at + 8 <= length:
            file.seek(at)
            start = file.read(16)
            size = int.from_bytes(start[:4], "big")
            if size == 1:
                size = int.from_bytes(start[8:], "big")
            if size == 0:
                return True
            if size < 8:  # junk behind the last box
                return True
            at += size
        return at <= length
    if head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little") <= length
    if (at := head.find(b"\x18\x53\x80\x67")) >= 0 and head[:4] == b"\x1aE\xdf\xa3":
        first = head[at + 4]
        wide = 9 - first.bit_length()  # bytes of the number, whose first set bit says how many
        size = int.from_bytes(head[at + 4 : at + 4 + wide], "big") - (1 << 7 * wide)
        return size == (1 << 7 * wide) - 1 or at + 4 + wide + size <= length  # all ones: not known
    return True
