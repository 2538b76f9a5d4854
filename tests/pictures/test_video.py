"""Videos: which frames are given, at which times, and what is kept and said of damaged files."""

from __future__ import annotations

import itertools
import re
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from iqassay.pictures import video
from iqassay.pictures.image import ImageError, read_image
from iqassay.pictures.picture import TooManyPixels
from iqassay.pictures.video import Every, every, frame_at, read_frames
from iqassay.support.install import install_command

pytest.importorskip("av")
from clips import flat, write_clip

SECOND = Every(Fraction(1))


def grays(count: int, size: tuple[int, int] = (64, 48)) -> list:
    """Frames that tell their number: 40 and 2 more for each."""
    return [flat((40 + 2 * number, 128, 128), [(1, 1), (2, 2), (2, 2)], size) for number in range(count)]


def noise(count: int) -> list:
    rng = np.random.default_rng(0)
    gray = np.full((24, 32), 128, np.uint8)
    return [[rng.integers(40, 200, (48, 64), np.uint8), gray, gray] for _ in range(count)]


def told(path: Path, step: Every = SECOND) -> tuple[list[tuple[int, float]], str]:
    """Number and time of the frames, and the error behind them."""
    found = []
    try:
        for frame in read_frames(path, step):
            found.append((frame.number, frame.time))
            assert frame.picture().width
    except ImageError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1s", Every(Fraction(1))),
        ("0.5s", Every(Fraction(1, 2))),
        (".5S", Every(Fraction(1, 2))),
        ("500ms", Every(Fraction(1, 2))),
        ("10f", Every(frames=10)),
    ],
)
def test_steps(text: str, wanted: Every) -> None:
    assert every(text) == wanted


@pytest.mark.parametrize("text", ["", "1", "0s", "-1s", "1.5f", "0f", "1m", "nans", "1e3s", "s"])
def test_what_is_no_step(text: str) -> None:
    with pytest.raises(ValueError, match="want seconds or frames, such as 1s, 500ms or 10f"):
        every(text)


@pytest.mark.parametrize(
    ("codec", "name"), [("ffv1", "a.mkv"), ("libx264", "a.mp4"), ("libvpx-vp9", "a.webm"), ("mpeg4", "a.avi")]
)
def test_frames_by_time_and_by_number(tmp_path: Path, codec: str, name: str) -> None:
    path = write_clip(tmp_path / name, grays(25), "yuv420p", codec)
    assert told(path) == ([(0, 0.0), (10, 1.0), (20, 2.0)], "")
    assert told(path, every("0.25s"))[0][:4] == [(0, 0.0), (3, 0.3), (5, 0.5), (8, 0.8)]
    assert told(path, every("7f"))[0] == [(0, 0.0), (7, 0.7), (14, 1.4), (21, 2.1)]
    assert len(told(path, every("1ms"))[0]) == 25  # each once
    for frame in read_frames(path, every("1s")):
        gray = (40 + 2 * frame.number - 16) / 219 * 255
        assert np.abs(frame.picture().pixels.astype(float) - gray).max() < 6
        again = frame_at(path, frame.number, frame.time).picture()
        assert np.array_equal(again.pixels, frame.picture().pixels)


def test_a_variable_rate_goes_by_its_time_stamps(tmp_path: Path) -> None:
    times = [0, 40, 80, 1010, 1020, 4500, 4540, 5100]
    path = write_clip(tmp_path / "a.mkv", grays(len(times)), "yuv420p", times=times)
    assert told(path) == ([(0, 0.0), (3, 1.01), (5, 4.5), (7, 5.1)], "")  # none is shown for 2 and 3 seconds
    assert np.array_equal(
        frame_at(path, 5, 4.5).picture().pixels, next(f for f in read_frames(path) if f.number == 5).picture().pixels
    )


def test_a_video_without_time_stamps_goes_by_its_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.h264", grays(25), "yuv420p", "libx264", options={"bf": "0"})
    numbers = [number for number, _ in told(path)[0]]
    assert numbers in ([0, 10, 20], [0])  # the rate is in the stream for some versions of x264, else 25
    assert frame_at(path, 7, 0.7).picture().width == 64


@pytest.mark.parametrize(
    ("codec", "name", "container"),
    [("libx264", "a.mp4", {"movflags": "faststart"}), ("ffv1", "a.mkv", {}), ("mpeg4", "a.avi", {})],
)
def test_of_a_file_that_was_cut_short_the_start_is_kept(
    tmp_path: Path, codec: str, name: str, container: dict[str, str]
) -> None:
    path = write_clip(tmp_path / name, noise(40), "yuv420p", codec, container=container)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    found, error = told(path)
    assert [number for number, _ in found][:2] == [0, 10]
    assert len(found) in (2, 3)
    assert error.startswith("got a video that ends early, at about ")
    assert error.endswith("s: what could be decoded of it was used")
    path.write_bytes(whole[:400])
    with pytest.raises(
        ImageError, match=r"got a video (that cannot be opened|that ends early|of an unknown)|a file without a video"
    ):
        next(read_frames(path))


def test_frames_that_build_upon_a_damaged_one_are_left_out(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.ts", noise(60), "yuv420p", "libx264", options={"g": "20", "bf": "0", "sc_threshold": "0"}
    )
    data = bytearray(path.read_bytes())
    at = len(data) // 2  # in the second of three groups of frames
    data[at : at + 376] = bytes(376)
    path.write_bytes(data)
    found, error = told(path, every("1f"))
    numbers = [number for number, _ in found]
    assert numbers[:20] == list(range(20))
    assert 20 < len(numbers) < 60  # and there are some after the gap
    gap = next(number for number, (a, b) in enumerate(itertools.pairwise(numbers)) if b > a + 1)
    assert numbers[gap + 1] - numbers[gap] > 2
    assert error.startswith("got a video that is damaged at about ")


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    cases = {"text.mp4": b"not a film at all" * 100, "empty.mp4": b"", "picture.mov": b"\xff\xd8\xff\xe0" + bytes(2000)}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=r"^got a video that cannot be opened \(.+\), want an undamaged one$"):
            next(read_frames(tmp_path / name))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(ImageError, match="cannot be opened"):  # a play list could name any address
        next(read_frames(tmp_path / "list.mp4"))
    with pytest.raises(ImageError, match="got a folder"):
        next(read_frames(tmp_path))
    with pytest.raises(ImageError, match="no such file"):
        next(read_frames(tmp_path / "gone.mp4"))


def test_a_file_with_sound_alone(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(ImageError, match="got a file without a video in it, want one with pictures"):
        next(read_frames(path))


def test_frames_over_the_limit_are_not_decoded(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", grays(3), "yuv420p", "libx264")
    with pytest.raises(TooManyPixels, match="got 64x48 = 3,072 pixels, want at most 3,000"):
        next(read_frames(path, SECOND, 3000))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", grays(1), "yuv420p", "libx264")
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    with pytest.raises(ImageError, match=re.escape(f"got a video, which needs `{install_command('video')}`")):
        next(read_frames(path))
    with pytest.raises(ImageError, match="`iqassay score --every 1s` scores frames of a video"):
        read_image(path)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", grays(40, (320, 240)), "yuv420p")
    tracemalloc.start()
    for frame in read_frames(path, every("1f")):
        frame.picture()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 320 * 240 * 3  # of 40: a picture, and the float32 temporaries of its strips


def test_times_that_begin_anew_go_on() -> None:
    class Shown:
        time_base = Fraction(1)

        def __init__(self, pts: int) -> None:
            self.pts = pts

    clock = video._Clock(Fraction(1))
    seen = []
    for number, pts in enumerate([5, 6, 7, 0, 1]):
        clock.tick(Shown(pts), number)
        seen.append(clock.time)
    assert seen == [0, 1, 2, 3, 4]
