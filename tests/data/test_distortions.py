import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

from iqassay.data.distortions import GROUPS, KINDS, LEVELS, apply_chain, distort, parameter_at, random_chain
from iqassay.data.filters import from_lab, to_lab

PHOTO = make_photo(192, 256)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a - b) ** 2))


def run(kind: str, level: float, image: np.ndarray = PHOTO, seed: int = 3) -> np.ndarray:
    return distort(image, kind, level, np.random.default_rng(seed))


def test_there_are_25_kinds_in_seven_groups() -> None:
    assert len(KINDS) == len(set(KINDS)) == 25
    assert KINDS[0] == "gaussian_blur"
    assert KINDS[9] == "jpeg"
    assert KINDS[24] == "contrast_change"
    assert sorted(kind for kinds in GROUPS.values() for kind in kinds) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    @pytest.mark.slow
    def test_keeps_shape_type_range_and_input(self, kind: str) -> None:
        before = PHOTO.copy()
        for level in (1, 2.5, 5):
            out = run(kind, level)
            assert out.shape == PHOTO.shape
            assert out.dtype == np.float32
            assert out.flags.c_contiguous
            assert np.isfinite(out).all()
            assert out.min() >= 0
            assert out.max() <= 1
        np.testing.assert_array_equal(PHOTO, before)

    def test_same_seed_same_picture(self, kind: str) -> None:
        np.testing.assert_array_equal(run(kind, 3.3), run(kind, 3.3))

    @pytest.mark.slow
    def test_level_1_changes_the_file_a_little_and_level_5_more(self, kind: str) -> None:
        change = [error(run(kind, level), PHOTO) for level in (1, 5)]
        assert np.any(np.rint(run(kind, 1) * 255) != np.rint(PHOTO * 255))
        assert change[0] < change[1]
        assert change[0] < 0.02

    @pytest.mark.slow
    def test_levels_between_lie_between(self, kind: str) -> None:
        changes = [error(run(kind, level), PHOTO) for level in (1, 3, 5)]
        assert changes[0] < changes[2]
        assert changes[0] * 0.9 <= changes[1] <= changes[2] * 1.1

    @pytest.mark.parametrize("shape", [(8, 8), (8, 61), (31, 9)])
    def test_small_and_odd_sizes(self, kind: str, shape: tuple[int, int]) -> None:
        image = make_photo(*shape)
        for level in (1, 5):
            assert run(kind, level, image).shape == (*shape, 3)

    def test_flat_black_and_white(self, kind: str) -> None:
        for value in (0.0, 1.0):
            assert np.isfinite(run(kind, 5, np.full((16, 16, 3), value, np.float32))).all()

    def test_float64_and_strided_input(self, kind: str) -> None:
        wide = np.repeat(PHOTO.astype(np.float64), 2, axis=1)[:, ::2]
        np.testing.assert_allclose(run(kind, 2, wide), run(kind, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "level", "words"),
    [("fog", 2, "'fog', want one of: gaussian_blur"), ("jpeg", 0, "level 0"), ("jpeg", 5.01, "level 5.01")],
)
def test_wrong_kind_or_level(kind: str, level: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(kind, level)


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 4), (7, 20, 3)])
def test_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="want"):
        run("jpeg", 1, np.zeros(shape, np.float32))


def test_parameters_interpolate() -> None:
    assert parameter_at("lens_blur", 1) == 1
    assert parameter_at("lens_blur", 2.5) == 3
    assert parameter_at("jpeg", 5) == 4


# What each kind is, measured on the picture it gives.


def test_blurs_keep_the_mean_and_lose_detail() -> None:
    for kind in ("gaussian_blur", "lens_blur", "motion_blur"):
        out = run(kind, 4)
        np.testing.assert_allclose(out.mean(axis=(0, 1)), PHOTO.mean(axis=(0, 1)), atol=0.01)
        assert np.abs(np.diff(out, axis=1)).mean() < 0.6 * np.abs(np.diff(PHOTO, axis=1)).mean()


def test_gaussian_blur_has_the_stated_width() -> None:
    impulse = np.zeros((65, 65, 3), np.float32)
    impulse[32, 32] = 1
    y = np.arange(65) - 32
    for level in LEVELS[1:4]:  # at 0.4 the samples of the bell are too few to tell
        out = run("gaussian_blur", level, impulse)[..., 0]
        spread = np.sqrt((out.sum(axis=1) * y**2).sum() / out.sum())
        assert spread == pytest.approx(parameter_at("gaussian_blur", level), rel=0.15)


def test_motion_blur_points_somewhere_else_each_time() -> None:
    assert error(run("motion_blur", 5, seed=1), run("motion_blur", 5, seed=2)) > 1e-4


@pytest.mark.parametrize(
    ("kind", "channels"), [("white_noise", (1, 1, 1)), ("white_noise_color", (1 + 1.402**2, None, 1 + 1.772**2))]
)
def test_noise_has_the_stated_variance(kind: str, channels: tuple[float | None, ...]) -> None:
    grey = np.full((128, 128, 3), 0.5, np.float32)
    variance = (run(kind, 3, grey) - grey).var(axis=(0, 1))
    for got, factor in zip(variance, channels, strict=True):
        if factor is not None:
            assert got == pytest.approx(parameter_at(kind, 3) * factor, rel=0.05)


def test_multiplicative_noise_spares_the_dark() -> None:
    dark, light = np.full((64, 64, 3), 0.1, np.float32), np.full((64, 64, 3), 0.5, np.float32)
    assert run("multiplicative_noise", 3, light).std() > 4 * run("multiplicative_noise", 3, dark).std()


def test_impulse_noise_hits_the_stated_share() -> None:
    hit = run("impulse_noise", 5) != PHOTO
    assert hit.mean() == pytest.approx(0.03, rel=0.15)
    assert set(np.unique(run("impulse_noise", 5)[hit])) <= {0.0, 1.0}


def test_denoise_removes_the_noise_it_added() -> None:
    grey = np.full((96, 96, 3), 0.5, np.float32)
    assert run("denoise", 3, grey).std() < 0.25 * np.sqrt(parameter_at("denoise", 3))


def test_saturation() -> None:
    def chroma(image: np.ndarray) -> float:
        return float((image.max(axis=2) - image.min(axis=2)).mean())

    assert chroma(run("color_saturation_1", 1)) == pytest.approx(0.4 * chroma(PHOTO), rel=0.01)
    assert chroma(run("color_saturation_1", 4)) < 1e-5
    np.testing.assert_allclose(run("color_saturation_1", 3).max(axis=2), PHOTO.max(axis=2), atol=1e-6)
    assert chroma(run("color_saturation_2", 3)) > 1.4 * chroma(PHOTO)


def test_lab_round_trip_is_finer_than_8_bits() -> None:
    colours = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    back = from_lab(to_lab(colours))
    assert np.abs(back - colours).max() < 0.5 / 255
    white = to_lab(np.ones((1, 1, 3), np.float32))[0, 0]
    np.testing.assert_allclose(white, [1, 0, 0], atol=1e-4)
    red = to_lab(np.array([[[1, 0, 0]]], np.float32))[0, 0]
    np.testing.assert_allclose(red, [0.5324, 0.8009, 0.6720], atol=1e-3)  # CIE Lab of sRGB red, divided by 100


def test_color_shift_moves_green_only() -> None:
    out = run("color_shift", 4)
    np.testing.assert_array_equal(out[..., [0, 2]], PHOTO[..., [0, 2]])
    assert error(out[..., 1], PHOTO[..., 1]) > 1e-4


def test_color_quantization_and_quantization_count() -> None:
    colours = np.unique(np.rint(run("color_quantization", 5) * 255).reshape(-1, 3), axis=0)
    assert 4 <= len(colours) <= 8
    assert len(np.unique(run("quantization", 5))) == 7


def test_tone_kinds_move_the_mean_the_right_way() -> None:
    assert run("brighten", 3).mean() > PHOTO.mean() + 0.02
    assert run("darken", 3).mean() < PHOTO.mean() - 0.02
    grey = np.full((16, 16, 3), 0.5, np.float32)
    shifts = {round(float(run("mean_shift", 5, grey, seed)[0, 0, 0]), 4) for seed in range(12)}
    assert shifts == {0.35, 0.65}


def test_contrast_goes_both_ways() -> None:
    spreads = [run("contrast_change", 4, seed=seed).std() for seed in range(12)]
    assert min(spreads) < 0.85 * PHOTO.std()
    assert max(spreads) > 1.15 * PHOTO.std()


def test_pixelate_makes_blocks() -> None:
    out = run("pixelate", 5)
    share_equal = (np.diff(out, axis=1) == 0).all(axis=2).mean()
    assert 0.6 < share_equal < 0.8  # scale 0.29: a new column every 3.4 pixels


def test_patches_keep_their_density() -> None:
    white = np.ones((384, 512, 3), np.float32)
    covered = (run("color_block", 5, white) != 1).any(axis=2).mean()
    half = (run("color_block", 5, white[:192]) != 1).any(axis=2).mean()
    full = 10 * 32 * 32 / (384 * 512)
    assert 0.7 * full < covered <= full
    assert 0.7 * full < half <= full


def test_sharpen_overshoots_at_edges() -> None:
    step = np.full((32, 64, 3), 0.4, np.float32)
    step[:, 32:] = 0.6
    out = run("high_sharpen", 1, step)
    assert out[16, 33].min() > 0.63
    assert out[16, 30].max() < 0.37


def test_codecs_are_the_real_ones() -> None:
    import io

    buffer = io.BytesIO()
    Image.fromarray((PHOTO * 255 + 0.5).astype(np.uint8)).save(buffer, "JPEG", quality=24)
    expected = np.asarray(Image.open(buffer), dtype=np.float32) / 255
    np.testing.assert_array_equal(run("jpeg", 3), expected)


# Chains


def test_random_chains() -> None:
    rng = np.random.default_rng(0)
    chains = [random_chain(rng) for _ in range(2000)]
    group_of = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
    for chain in chains:
        groups = [group_of[kind] for kind, _ in chain]
        assert 1 <= len(chain) <= 3
        assert len(set(groups)) == len(groups)
        assert all(1 <= level <= 5 for _, level in chain)
    assert {kind for chain in chains for kind, _ in chain} == set(KINDS)
    assert {len(chain) for chain in chains} == {1, 2, 3}
    compressed = [[group_of[k] for k, _ in chain] for chain in chains if len(chain) > 1]
    last = [groups[-1] == "compression" for groups in compressed if "compression" in groups]
    assert 0.85 < np.mean(last) < 1  # mostly, not always


def test_random_chain_is_seeded_and_bounded() -> None:
    assert random_chain(np.random.default_rng(5)) == random_chain(np.random.default_rng(5))
    assert all(len(random_chain(np.random.default_rng(i), 1)) == 1 for i in range(20))
    with pytest.raises(ValueError, match="max_length 0"):
        random_chain(np.random.default_rng(0), 0)


def test_apply_chain() -> None:
    chain = [("gaussian_blur", 3.0), ("jpeg", 4.0)]
    out = apply_chain(PHOTO, chain, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(out, distort(distort(PHOTO, "gaussian_blur", 3, rng), "jpeg", 4, rng))
    same = apply_chain(PHOTO, [], np.random.default_rng(0))
    np.testing.assert_array_equal(same, PHOTO)
    assert not np.shares_memory(same, PHOTO)
