import numpy as np
import pytest
from conftest import make_photo
from scipy import ndimage

from iqassay.data import filters, restored
from iqassay.data.restored import CODECS, RESTORATIONS, restore, restore_chain

PHOTO = make_photo(96, 120, textured=0.5)
VISIBLE_AT_ONCE = {"enlarge", "enlarge_sharpened", "denoised", "deblocked", "deconvolved", "smoothed"}


def error(a: np.ndarray, b: np.ndarray = PHOTO) -> float:
    return float(np.mean((a - b) ** 2))


def psnr(name: str, strength: float, seeds: int = 4) -> float:
    """Mean over seeds, dB."""
    outs = [restore(PHOTO, name, strength, np.random.default_rng(i)) for i in range(seeds)]
    return float(np.mean([-10 * np.log10(error(out) + 1e-9) for out in outs]))


@pytest.mark.parametrize("name", [*RESTORATIONS, "jpeg"])
class TestEveryRestoration:
    @pytest.mark.slow
    def test_keeps_shape_type_range_and_input(self, name: str) -> None:
        before = PHOTO.copy()
        for strength in (0, 0.5, 1):
            for seed in range(3):
                out = restore(PHOTO, name, strength, np.random.default_rng(seed))
                assert (out.shape, out.dtype) == (PHOTO.shape, np.float32)
                assert out.flags.c_contiguous
                assert np.isfinite(out).all()
                assert out.min() >= 0
                assert out.max() <= 1
        np.testing.assert_array_equal(PHOTO, before)

    def test_same_seed_same_picture(self, name: str) -> None:
        once, again = (restore(PHOTO, name, 0.7, np.random.default_rng(1)) for _ in range(2))
        np.testing.assert_array_equal(once, again)

    @pytest.mark.slow
    def test_worse_with_strength(self, name: str) -> None:
        mild, medium, hard = (psnr(name, strength) for strength in (0, 0.5, 1))
        assert 90 > mild > medium > hard

    @pytest.mark.slow
    @pytest.mark.parametrize("shape", [(8, 8), (8, 61), (31, 9)])
    def test_small_and_odd_sizes(self, name: str, shape: tuple[int, int]) -> None:
        for strength in (0, 1):
            for seed in range(4):
                out = restore(make_photo(*shape, textured=0.5), name, strength, np.random.default_rng(seed))
                assert out.shape == (*shape, 3)
                assert np.isfinite(out).all()

    def test_flat_pictures_stay_about_flat(self, name: str) -> None:
        for value in (0.0, 1.0):
            out = restore(np.full((16, 16, 3), value, np.float32), name, 1, np.random.default_rng(0))
            assert np.isfinite(out).all()
            assert np.abs(out - value).mean() < 0.2


@pytest.mark.parametrize("name", sorted(set(RESTORATIONS) - VISIBLE_AT_ONCE))
def test_strength_0_is_nearly_transparent(name: str) -> None:
    assert psnr(name, 0) > 30


def test_texture_is_replaced_not_removed() -> None:
    grey = np.random.default_rng(0).normal(0.5, 0.04, (96, 96, 1)).repeat(3, axis=2).astype(np.float32)
    for seed in range(4):
        out = restore(grey, "texture_replaced", 1, np.random.default_rng(seed))
        before, after = (filters.luma_of(p) - filters.gaussian(filters.luma_of(p), 3) for p in (grey, out))
        assert after.std() == pytest.approx(before.std(), rel=0.25)
        assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.4


def test_edges_outlive_replaced_texture() -> None:
    step = np.full((64, 64, 3), 0.2, np.float32)
    step[:, 32:] = 0.8
    step += np.random.default_rng(0).normal(0, 0.03, (64, 64, 1)).astype(np.float32)
    out = restore(step, "texture_replaced", 1, np.random.default_rng(0))
    assert (out[:, 32:34].mean(axis=1) - out[:, 30:32].mean(axis=1)).min() > 0.35


def test_checkerboard_has_a_period_of_at_most_8() -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.1, (64, 64, 1)).repeat(3, axis=2).astype(np.float32)
    change = np.mean([restore(noise, "checkerboard", 1, np.random.default_rng(3))[..., 1] - noise[..., 1]], axis=0)
    tile = change.reshape(8, 8, 8, 8).mean(axis=(0, 2))
    by_chance = change.std() / 8
    assert tile.std() > 3 * by_chance


def test_colour_bleeds_but_luma_stays() -> None:
    for seed in range(4):
        out = restore(PHOTO * 0.5 + 0.25, "colour_bled", 1, np.random.default_rng(seed))
        change = (out - (PHOTO * 0.5 + 0.25)) @ filters.YCC_FROM_RGB.T
        assert np.abs(change[..., 0]).mean() < 0.1 * np.abs(change[..., 1:]).mean()


def test_inpainting_leaves_the_rest_alone() -> None:
    untouched = [(restore(PHOTO, "inpainted", 0.3, np.random.default_rng(i)) == PHOTO).mean() for i in range(6)]
    assert min(untouched) > 0.5
    assert max(untouched) < 1


def test_chain_is_seeded_and_varied() -> None:
    first, strength = restore_chain(PHOTO, np.random.default_rng(7))
    again, _ = restore_chain(PHOTO, np.random.default_rng(7))
    np.testing.assert_array_equal(first, again)
    assert 0 <= strength <= 1
    assert len({error(restore_chain(PHOTO, np.random.default_rng(i))[0]) for i in range(10)}) == 10


@pytest.mark.slow
def test_chain_holds_all_restorations_pairs_codecs_and_near_perfect_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[list[str]] = []

    def note(image: np.ndarray, name: str, strength: float, rng: np.random.Generator) -> np.ndarray:
        used[-1].append(name)
        return restore(image, name, strength, rng)

    monkeypatch.setattr(restored, "restore", note)
    small, errors = make_photo(16, 16, textured=0.5), []
    for i in range(400):
        used.append([])
        errors.append(error(restore_chain(small, np.random.default_rng(i))[0], small))
    assert {names[0] for names in used} == set(RESTORATIONS)
    assert 0.1 < np.mean([len(names) > 1 and names[1] in RESTORATIONS for names in used]) < 0.5
    assert 0.2 < np.mean([names[-1] in ("jpeg", *CODECS) for names in used]) < 0.6
    assert 0.05 < np.mean(np.array(errors) < 10**-3.6) < 0.5  # PSNR over 36 dB


def test_chain_does_without_webp(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {name: step for name, step in RESTORATIONS.items() if name not in CODECS}
    monkeypatch.setattr(restored, "RESTORATIONS", without)  # whole: to put names back would leave them in another order
    monkeypatch.setattr(restored, "CODECS", ())
    monkeypatch.setattr(restored, "_webp", None)  # a call would raise
    small = make_photo(8, 8, textured=0.5)
    for i in range(60):
        restore_chain(small, np.random.default_rng(i))


@pytest.mark.parametrize(("name", "strength"), [("upscale", 0.5), ("enlarge", 1.5)])
def test_restore_refuses(name: str, strength: float) -> None:
    with pytest.raises(ValueError, match="want"):
        restore(PHOTO, name, strength, np.random.default_rng(0))


# The image operations they are made of


@pytest.mark.parametrize("shape", [(8, 8), (33, 50)])
def test_blocks_and_bands_left_alone_give_the_plane_back(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).random(shape, dtype=np.float32)
    for size in (8, 16):
        np.testing.assert_allclose(filters.by_blocks(plane, size, lambda c: c), plane, atol=1e-5)
    np.testing.assert_allclose(sum(filters.wavelet_bands(plane, 3)), plane, atol=1e-5)


def test_total_variation_is_the_minimum() -> None:
    noisy = (PHOTO + np.random.default_rng(0).normal(0, 0.05, PHOTO.shape)).astype(np.float32)

    def cost(image: np.ndarray) -> float:
        down, across = np.zeros_like(image), np.zeros_like(image)
        down[:-1], across[:, :-1] = np.diff(image, axis=0), np.diff(image, axis=1)
        steep = np.sqrt((down**2 + across**2).sum(axis=2)).sum()
        return float(steep + ((image - noisy) ** 2).sum() / (2 * 0.1))

    best = filters.total_variation(noisy, 0.1, steps=200)
    for other in (noisy, filters.gaussian(noisy, 1), best + 0.01, PHOTO, 0.98 * best + 0.02 * noisy):
        assert cost(best) < cost(other)


def test_non_local_means_keeps_edges_and_removes_noise() -> None:
    step = np.full((48, 48, 3), 0.3, np.float32)
    step[:, 24:] = 0.7
    noisy = (step + np.random.default_rng(0).normal(0, 0.03, step.shape)).astype(np.float32)
    out = filters.non_local_means(noisy, 0.06)
    assert error(out, step) < 0.2 * error(noisy, step)
    assert out[:, 24].mean() - out[:, 23].mean() > 0.38


def test_deblur_undoes_its_blur() -> None:
    kernel = filters.disk(2.0)
    blurred = filters.convolve(PHOTO, kernel)
    assert error(filters.deblur(blurred, kernel, keep=0.001)) < 0.3 * error(blurred)


def test_fill_continues_what_is_around() -> None:
    y, x = np.mgrid[0:40, 0:64].astype(np.float32)
    ramp = np.stack([x / 64, y / 40, np.full_like(x, 0.5)], axis=-1)
    hole = (x - 30) ** 2 + (y - 20) ** 2 < 36
    spoilt = np.where(hole[..., None], 1, ramp)
    out = filters.fill(spoilt, hole)
    np.testing.assert_array_equal(out[~hole], ramp[~hole])
    assert np.abs(out - ramp).max() < 0.12
    assert np.isfinite(filters.fill(ramp, np.ones_like(hole))).all()


def test_shock_crisps_without_overshoot() -> None:
    soft = ndimage.gaussian_filter1d(np.repeat([0.2, 0.8], 20), 2)[None, :, None] * np.ones((16, 1, 3))
    crisp = filters.shock(soft.astype(np.float32), 1)
    assert np.diff(crisp[8, :, 0]).max() > 1.3 * np.diff(soft[8, :, 0]).max()
    assert crisp.min() >= soft.min() - 1e-6
    assert crisp.max() <= soft.max() + 1e-6
