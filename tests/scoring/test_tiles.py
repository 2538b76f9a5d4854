from __future__ import annotations

import random
import threading
import time
import tracemalloc

import numpy as np
import pytest

from iqassay.pictures.image import to_float
from iqassay.scoring import tiles
from iqassay.scoring.model_file import Views
from iqassay.scoring.tiles import Answers, global_size, look, pad, plan_windows, shrink

VIEWS = Views(area=307200, window=384, max_windows=96, global_weight=0.5)
SIZES = [
    (1, 1),
    (1, 5000),
    (5000, 3),
    (63, 64),
    (480, 640),
    (481, 640),
    (385, 900),
    (768, 1024),
    (3000, 4000),
    (97, 9000),
]


def brightness(batch: np.ndarray, reference: np.ndarray | None = None) -> Answers:
    """A network that sees brightness, locally in squares of 32 pixels; always half sure of the first of two kinds."""
    _, _, height, width = batch.shape
    assert height % 32 == width % 32 == 0
    assert min(height, width) >= 64
    squares = batch.mean(1).reshape(len(batch), height // 32, 32, width // 32, 32).mean((2, 4))
    score = batch.mean((1, 2, 3))
    row = np.ones((len(batch), 1), dtype=np.float32)
    return Answers(score, squares, row * [[0.5, 0.25, 0.25]], row * [[2.0, 4.0]], score)


def likeness(batch: np.ndarray, reference: np.ndarray | None = None) -> Answers:
    """A network that says 2 minus the mean distance from the reference, for whole views and squares of 32 pixels."""
    assert reference is not None
    answers = brightness(np.abs(batch - reference))
    return Answers(2 - answers.score, 2 - answers.map, answers.presence, answers.severity, answers.unlike)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_windows_cover_every_pixel_and_stay_inside(height: int, width: int) -> None:
    windows = plan_windows(height, width, VIEWS)
    covered = np.zeros((height, width), dtype=bool)
    for at in windows:
        assert 0 <= at.top <= at.top + at.height <= height
        assert 0 <= at.left <= at.left + at.width <= width
        covered[at.top : at.top + at.height, at.left : at.left + at.width] = True
    assert covered.all()
    assert len(windows) <= VIEWS.max_windows
    assert len({(at.height, at.width) for at in windows}) == 1, "no window counts more than another"


@pytest.mark.parametrize(
    ("height", "width"), [(14000, 14000), (4000, 6000), (200, 400_000), (400_000, 200), (800, 90_000)]
)
def test_windows_of_a_huge_picture_are_few_and_spread_from_edge_to_edge(height: int, width: int) -> None:
    windows = plan_windows(height, width, VIEWS)
    assert VIEWS.max_windows * 0.7 <= len(windows) <= VIEWS.max_windows
    assert len(set(windows)) == len(windows)
    for starts, window, length in (
        ({at.left for at in windows}, windows[0].width, width),
        ({at.top for at in windows}, windows[0].height, height),
    ):
        if len(starts) > 1:
            assert (min(starts), max(starts)) == (0, length - window)
            steps = np.diff(sorted(starts))
            assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
def test_a_low_limit_of_windows_holds(limit: int) -> None:
    for height, width in SIZES:
        assert 1 <= len(plan_windows(height, width, Views(4096, 64, limit, 0.5))) <= limit


@pytest.mark.parametrize(("height", "width"), [*SIZES, (14000, 14000), (1, 200_000_000)])
def test_global_view_fits_the_area_even_when_padded(height: int, width: int) -> None:
    tall, wide = global_size(height, width, VIEWS.area)
    assert max(tall, 64) * max(wide, 64) <= VIEWS.area * 1.01
    assert (tall, wide) == (height, width) or height * width > VIEWS.area or max(height, width) * 64 > VIEWS.area


def test_small_pictures_are_looked_at_whole_and_once() -> None:
    seen: list[tuple[int, ...]] = []

    def network(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        assert reference is None
        seen.append(batch.shape)
        return brightness(batch)

    look(np.zeros((480, 640, 3), dtype=np.uint8), VIEWS, network)
    assert seen == [(1, 3, 480, 640)]
    seen.clear()
    look(np.zeros((481, 640, 3), dtype=np.uint8), VIEWS, network)
    assert seen == [(1, 3, 384, 384)] * 4 + [(1, 3, 480, 640)]


def brute_force_shrink(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Area mean by repeating pixels up to a common multiple of both sizes: exact, slow, nothing in common with
    shrink.
    """
    rows, columns = pixels.shape[:2]
    fine = pixels.astype(float).repeat(height, axis=0).repeat(width, axis=1)
    return fine.reshape(height, rows, width, columns, 3).mean((1, 3))


@pytest.mark.parametrize(
    "size", [(13, 17, 5, 7), (8, 8, 8, 8), (64, 30, 1, 1), (7, 90, 6, 89), (90, 7, 40, 2), (3, 70, 1, 11)]
)
@pytest.mark.parametrize("block", [(64, 256), (4, 5)])
def test_shrink_is_the_exact_area_mean(
    size: tuple[int, int, int, int], block: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "BLOCK", block)
    rows, columns, height, width = size
    pixels = np.random.default_rng(1).random((rows, columns, 3), dtype=np.float32)
    assert np.abs(shrink(pixels, height, width) - brute_force_shrink(pixels, height, width)).max() < 1e-6


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_shrink_keeps_the_depth_of_integers(dtype: type, full: int) -> None:
    pixels = np.random.default_rng(2).integers(0, full + 1, (50, 41, 3), dtype=dtype)
    want = brute_force_shrink(pixels / full, 9, 10)
    assert np.abs(shrink(pixels, 9, 10) - want).max() < 1e-6


def test_pad_reflects_and_repeats_a_single_line() -> None:
    ramp = np.tile(np.arange(40, dtype=np.float32)[None, :, None], (100, 1, 3))
    view = pad(ramp)
    assert view.shape == (128, 64, 3)
    assert view[0, :, 0].tolist() == [*range(40), *range(38, 14, -1)]
    assert np.array_equal(pad(np.full((1, 1, 3), 0.25, dtype=np.float32)), np.full((64, 64, 3), 0.25))
    line = pad(ramp[:1])
    assert line.shape == (64, 64, 3)
    assert np.array_equal(line[0], line[63])
    exact = np.zeros((96, 64, 3), dtype=np.float32)
    assert pad(exact) is exact, "nothing is copied that fits"


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [*SIZES, (97, 20_000)])
def test_the_map_has_the_proportions_of_the_picture_and_at_most_128_cells(height: int, width: int) -> None:
    answers = look(np.full((height, width, 3), 51, dtype=np.uint8), VIEWS, brightness)
    rows, columns = answers.map.shape
    assert max(rows, columns) <= 128
    cell = max(32, max(height, width) / 128)
    assert (rows, columns) == (max(1, round(height / cell)), max(1, round(width / cell)))
    assert answers.score == pytest.approx(0.2, abs=1e-5)
    assert np.abs(answers.map - 0.2).max() < 1e-5, "no holes, no seams"


@pytest.mark.slow
@pytest.mark.parametrize("limit", [96, 4])
def test_the_map_shows_where(limit: int) -> None:
    """A dark corner is dark in the map and nowhere else, also where windows leave gaps."""
    pixels = np.full((1536, 2048, 3), 255, dtype=np.uint8)
    pixels[1152:, :512] = 0
    quality = look(pixels, Views(VIEWS.area, VIEWS.window, limit, 0.5), brightness).map
    assert quality.shape == (48, 64)
    assert quality[36:, :16].mean() < 0.15
    assert quality[:34].min() > 0.9
    assert quality[36:, 20:].min() > 0.9


def test_detail_cells_lie_where_their_pixels_are() -> None:
    rng = np.random.default_rng(3)
    cells = rng.integers(0, 256, (24, 36), dtype=np.uint8)
    pixels = cells.repeat(32, axis=0).repeat(32, axis=1)[..., None].repeat(3, axis=2)  # 768 x 1152
    views = Views(VIEWS.area, 384, 96, 0.0)  # details alone; 2 x 3 windows touch without overlap
    assert np.abs(look(pixels, views, brightness).map - cells / 255).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(60, 70), (480, 640), (900, 1300)])
def test_callers_change_nothing_however_their_answers_come(height: int, width: int) -> None:
    pixels, reference = np.random.default_rng(4).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    wait = random.Random(0)

    def slow(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        time.sleep(wait.random() / 1000)
        return brightness(batch) if reference is None else likeness(batch, reference)

    for beside in (None, reference):
        wanted = look(pixels, VIEWS, slow, beside)
        for callers in (2, 3, 50):
            got = look(pixels, VIEWS, slow, beside, callers)
            for name in ("score", "map", "presence", "severity", "unlike"):
                np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


def test_as_many_callers_as_asked_for_are_in_the_network_at_once() -> None:
    both, inside = threading.Barrier(2, timeout=5), threading.Semaphore(2)

    def network(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        assert inside.acquire(blocking=False), "three callers"
        both.wait()  # fails unless two come
        inside.release()
        return brightness(batch)

    look(np.zeros((500, 1100, 3), dtype=np.uint8), Views(VIEWS.area, 384, 5, 0.5), network, callers=2)  # 3 + 1 views


@pytest.mark.slow
@pytest.mark.parametrize("callers", [1, 3])
def test_networks_that_look_together_say_what_each_says_alone(callers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cut, real = [], tiles.shrink
    monkeypatch.setattr(tiles, "shrink", lambda *args: cut.append(args[1:]) or real(*args))

    def darkness(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        return brightness(1 - batch)

    for size in ((90, 120), (700, 1100)):
        pixels = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
        networks = [brightness, darkness, brightness]
        together = tiles.look_together(pixels, VIEWS, networks, callers=callers)
        assert cut == ([] if size == (90, 120) else [global_size(*size, VIEWS.area)])
        for network, answers in zip(networks, together, strict=True):
            alone = look(pixels, VIEWS, network)
            assert answers.score == alone.score
            np.testing.assert_array_equal(answers.map, alone.map)


def test_what_a_network_raises_is_raised() -> None:
    def broken(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        raise MemoryError("no more")

    for callers in (1, 3):
        with pytest.raises(MemoryError, match="no more"):
            look(np.zeros((900, 1300, 3), dtype=np.uint8), VIEWS, broken, callers=callers)


def test_global_and_detail_views_share_the_score_as_the_card_says() -> None:
    def network(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        """Says 1 of a detail window and 0 of the global view, each with its own distortion."""
        detail = batch.shape[2:] == (384, 384)
        answer = brightness(batch)
        presence, severity = ([0.8, 0.0, 0.2], [3.0, 5.0]) if detail else ([0.2, 0.4, 0.4], [1.0, 2.0])
        rows = len(batch)
        return Answers(
            np.full(rows, float(detail)),
            answer.map,
            np.tile(presence, (rows, 1)),
            np.tile(severity, (rows, 1)),
            np.zeros(rows),
        )

    answers = look(np.zeros((900, 1300, 3), dtype=np.uint8), Views(VIEWS.area, 384, 96, 0.25), network)
    assert answers.score == pytest.approx(0.75)
    assert answers.presence == pytest.approx([0.75 * 0.8 + 0.25 * 0.2, 0.25 * 0.4, 0.75 * 0.2 + 0.25 * 0.4])
    # A severity is weighted by presence: what a view does not see has no say in how strong it is.
    assert answers.severity == pytest.approx([(0.6 * 3 + 0.05 * 1) / 0.65, 2.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 5000), (63, 65), (480, 640), (481, 640), (700, 900), (97, 9000)]
)
def test_a_reference_is_seen_through_the_same_views(height: int, width: int) -> None:
    """Beside its negative a picture is half gray everywhere, if and only if no view is off by a pixel."""
    pixels = np.random.default_rng(6).integers(0, 256, (height, width, 3), dtype=np.uint8)
    views: list[float] = []

    def network(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        assert reference is not None
        assert reference.shape == batch.shape
        assert reference.dtype == batch.dtype == np.float32
        assert reference.flags.c_contiguous
        views.append(float(np.abs(batch + reference - 1).max()))
        return brightness(batch)

    got = look(pixels, VIEWS, network, 255 - pixels)
    assert max(views) < 1e-6
    assert got.score == pytest.approx(float(look(pixels, VIEWS, brightness).score), abs=1e-6), "the picture's own views"


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(375, 500), (1500, 2000), (97, 9000)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_shift_of_one_pixel_is_seen_in_every_view(height: int, width: int, axis: int) -> None:
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    views: list[np.ndarray] = []

    def network(batch: np.ndarray, reference: np.ndarray | None) -> Answers:
        views.append(np.abs(batch - reference).mean((1, 2, 3)))
        return brightness(batch)

    look(pixels, VIEWS, network, np.roll(pixels, 1, axis))
    details = np.concatenate(views[:-1] or views)
    assert details.min() > 0.25, "two noises differ by a third on average"
    assert views[-1] > 0.03, "also where shrinking has averaged most of it away"
    views.clear()
    look(pixels, VIEWS, network, pixels.copy())
    assert np.concatenate(views).max() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (63, 65), (375, 500), (97, 9000), (300, 2500), (700, 1100), (1500, 2000)]
)
def test_identical_pictures_get_exactly_what_the_network_says_of_each_view(height: int, width: int) -> None:
    pixels = np.random.default_rng(8).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for top in (0.1, 0.98765):  # numbers whose sevenths and thirds do not add up to them

        def network(batch: np.ndarray, reference: np.ndarray | None, top: float = top) -> Answers:
            same = likeness(batch, reference)
            return Answers(
                (same.score - 2 + top).astype(np.float32), same.map, same.presence, same.severity, same.unlike
            )

        for weight in (0.5, 0.35):
            views = Views(VIEWS.area, VIEWS.window, VIEWS.max_windows, weight)
            assert look(pixels, views, network, pixels).score == np.float32(top)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 100), (700, 900)])
def test_depth_makes_no_difference(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(9).integers(0, 256, (*size, 3), dtype=np.uint8)
    deep = pixels.astype(np.uint16) * 257
    exact = to_float(pixels)
    for one, two in ((pixels, deep), (deep, pixels), (pixels, exact), (exact, deep)):
        answers = look(one, VIEWS, likeness, two)
        assert answers.score == 2
        assert np.allclose(answers.map, 2)


@pytest.mark.slow
def test_the_map_shows_where_a_picture_differs() -> None:
    reference = np.random.default_rng(10).integers(0, 256, (1536, 2048, 3), dtype=np.uint8)
    pixels = reference.copy()
    pixels[1152:, :512] ^= 128
    quality = look(pixels, Views(VIEWS.area, 384, 96, 0.0), likeness, reference).map
    assert np.abs(quality[36:, :15] - (2 - 128 / 255)).max() < 1e-6
    assert np.abs(quality[:36] - 2).max() < 1e-6
    assert np.abs(quality[36:, 17:] - 2).max() < 1e-6


def test_a_reference_of_another_size_is_refused() -> None:
    pixels = np.zeros((80, 100, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"got a picture of shape \(80, 100, 3\) and a reference of \(100, 80, 3\)"):
        look(pixels, VIEWS, likeness, pixels.swapaxes(0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("pair", [False, True])
def test_memory_stays_small_beside_a_large_picture(pair: bool) -> None:
    pixels = np.zeros((4000, 5000, 3), dtype=np.uint8)  # 60 MB, 240 MB as floats
    reference = pixels.copy() if pair else None
    tracemalloc.start()
    try:
        look(pixels, Views(VIEWS.area, VIEWS.window, 8, 0.5), likeness if pair else brightness, reference, callers=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6


def test_the_map_of_a_part_becomes_that_of_the_whole_picture() -> None:
    whole = tiles.widened(np.full((3, 4), 7.0), tiles.Window(2, 0, 98, 130), 100, 131)
    assert whole.shape == (3, 4)
    assert np.allclose(whole, 7)
    part = np.zeros((4, 4))
    part[1, 2] = 16
    moved = tiles.widened(part, tiles.Window(8, 0, 128, 128), 136, 128)
    assert moved.shape == (4, 4)
    assert np.allclose(moved[[0, 3]], 0)
    assert moved.argmax() == 6
    assert 12 < moved[1, 2] < 16
    assert moved[1, 2] + moved[2, 2] == pytest.approx(16 * 32 / 34)
