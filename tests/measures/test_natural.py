"""NIQE and the BRISQUE-like measure: golden features of independent programs, fits of known shapes, order, edges."""

import threading
import tracemalloc
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from scipy import signal, stats

from iqassay.data.distortions import distort
from iqassay.measures import natural
from iqassay.measures.natural import (
    brisque,
    brisque_features,
    halved,
    luma_of,
    naturalness_distance,
    niqe,
    niqe_features,
)
from iqassay.pictures.image import read_image, to_float

EXAMPLES = Path(__file__).parents[2] / "examples"

# Of pyiqa 0.1.16 (its NIQE keeps to the authors' MATLAB), the mean over all patches.
NIQE_FEATURES = {
    "astronaut-noise.jpg": """
        3.01008 1.2729 0.95712 -0.0874919 0.420387 0.338329 0.95484 -0.0855744 0.41823 0.338373 0.931 -0.0558161
        0.39219 0.341253 0.93284 -0.0600862 0.394701 0.340228 2.71848 0.993935 0.85524 0.0169702 0.196677 0.210632
        0.85784 0.0236596 0.195459 0.2155 0.84996 -0.0309883 0.214776 0.191009 0.84248 -0.0336404 0.212418 0.18648""",
    "coffee.jpg": """
        2.10392 0.721069 0.703708 0.0359974 0.110155 0.134215 0.69675 -3.45767e-05 0.126349 0.114764 0.696625 -0.0558156
        0.142379 0.0940545 0.675042 0.0832918 0.0769184 0.143134 2.05088 0.707801 0.676417 0.0437633 0.097226 0.118911
        0.681333 0.0117336 0.109464 0.106437 0.648208 -0.0436818 0.114257 0.0833979 0.655208 0.0717418 0.0714007
        0.122941""",
}
# Of piq 0.8.0, at the second scale on pyiqa's halved picture.
BRISQUE_FEATURES = {
    "astronaut-noise.jpg": """
        2.927 0.603635 0.951 -0.0889654 0.40976 0.262835 0.948 -0.0858326 0.409894 0.267459 0.925 -0.0588985 0.395724
        0.296001 0.928 -0.061578 0.396374 0.292451 2.638 0.389678 0.835 0.0144521 0.143911 0.16067 0.841 0.0198342
        0.141914 0.164943 0.831 -0.0347593 0.175331 0.134679 0.827 -0.0369316 0.176575 0.133338""",
    "coffee.jpg": """
        1.6 0.28281 0.598 0.0112804 0.0977786 0.109974 0.59 -0.0285763 0.12376 0.092154 0.576 -0.0895076 0.163926
        0.0636099 0.544 0.110885 0.0556107 0.184891 1.65 0.268176 0.605 0.0240919 0.0801782 0.104574 0.592 -0.01549
        0.105385 0.0891188 0.579 -0.0622258 0.138131 0.0706339 0.561 0.0887433 0.0554294 0.151024""",
}


def example(name: str) -> np.ndarray:
    return read_image(EXAMPLES / name).pixels


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return example("astronaut.jpg")


# --- against independent programs and formulas --------------------------------------------------------------


@pytest.mark.parametrize("name", NIQE_FEATURES)
def test_niqe_features_are_those_of_pyiqa(name):
    # Shapes come in steps of 0.001; a decoder that differs by a rounding moves some patches by a step or two.
    golden = np.array(NIQE_FEATURES[name].split(), float)
    np.testing.assert_allclose(niqe_features(example(name))[0].mean(0), golden, atol=1e-3)


@pytest.mark.parametrize("name", BRISQUE_FEATURES)
def test_brisque_features_are_those_of_piq(name):
    golden = np.array(BRISQUE_FEATURES[name].split(), float)
    np.testing.assert_allclose(brisque_features(example(name)), golden, atol=1.1e-3)


def test_luma_is_that_of_rgb2gray():
    picture = np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    assert luma_of(picture).tolist() == [[255, 76, 150, 29, 18]]  # MATLAB: 76.2, 149.7, 29.1, 18.15


def test_halving_is_a_bicubic_filter_twice_as_wide():
    def cubic(x):  # Keys, a = -0.5
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    row = np.array([3.0, 250, 7, 7, 90, 40, 12])
    mirrored = [2, 1, 0, *range(7), 6, 5, 4, 3]
    expected = []
    for i in range(4):
        weights = [cubic((j - 3 - (2 * i + 0.5)) / 2) for j in range(14)]
        expected.append(np.dot(weights, row[mirrored]) / sum(weights))
    np.testing.assert_allclose(halved(np.outer(np.ones(5), row)), np.tile(expected, (3, 1)))


@pytest.mark.parametrize("border", ["nearest", "constant"])
def test_coefficients_are_those_of_a_plain_convolution(border, photo):
    luma = luma_of(photo)[:150, :130].astype(float)
    y, x = np.mgrid[-3:4, -3:4]
    window = np.exp(-(x**2 + y**2) / (2 * (7 / 6) ** 2))
    padded = np.pad(luma, 3, mode="edge" if border == "nearest" else "constant")
    mean = signal.convolve2d(padded, window / window.sum(), mode="valid")
    deviation = np.sqrt(abs(signal.convolve2d(padded**2, window / window.sum(), mode="valid") - mean**2))
    bands = [natural._normalised(luma, top, min(top + 40, 150), border) for top in range(0, 150, 40)]
    np.testing.assert_allclose(np.vstack([band[0] for band in bands]), (luma - mean) / (deviation + 1), atol=1e-9)
    np.testing.assert_allclose(np.vstack([band[1] for band in bands]), deviation, atol=1e-6)


def test_sums():
    assert natural._sums(np.array([[-2.0, 0, 3, 1]])).tolist() == [4, 6, 4, 10, 1, 2]  # 0 is on neither side


@pytest.mark.slow
@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
def test_a_known_shape_is_found(shape):
    # 2^16 quantiles stand for the distribution; the left side is drawn out by half.
    half = stats.gennorm(shape).ppf(0.5 + (np.arange(2**16) + 0.5) / 2**17)
    even = np.concatenate([-half, half])[None]
    found, variance = natural._symmetric(natural._sums(even))
    assert found == pytest.approx(shape, abs=0.003)
    assert variance == pytest.approx(np.mean(even**2))

    # AGGD: each side has a share of the values in proportion to its width.
    few = half.reshape(2, -1)[:, ::2].ravel()
    skewed = natural._asymmetric(natural._sums(np.concatenate([-1.5 * half, -1.5 * few, half])[None]))
    assert skewed.shape == pytest.approx(shape, abs=0.01)
    assert skewed.left_scale == pytest.approx(1.5, rel=0.01)
    assert skewed.right_scale == pytest.approx(1, rel=0.01)
    assert skewed.mean == pytest.approx(np.average([-1.5, 1], weights=[1.5, 1]) * half.mean(), rel=0.01)


def test_neighbours_wrap_round_within_a_patch_in_niqe():
    values = np.arange(12.0).reshape(3, 4)
    products = list(natural._products(values, np.roll(values, 1, 0)))
    for product, shift in zip(products, [None, (0, 1), (1, 0), (1, 1), (1, -1)], strict=True):
        expected = values if shift is None else values * np.roll(values, shift, (0, 1))
        np.testing.assert_array_equal(product, expected)


def test_distance_by_hand():
    # Covariances diag(1, 3) and diag(3, 1) have the mean 2 I: the distance is |(3, 4)| / sqrt(2).
    around = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt([3 * 3 / 4, 3 / 4])
    features = around + np.array([3, 4])
    assert np.allclose(np.cov(features.T), np.diag([3, 1]))
    assert naturalness_distance(features, np.zeros(2), np.diag([1.0, 3.0])) == pytest.approx(5 / np.sqrt(2))
    with_gap = np.vstack([features, [np.nan, 0]])
    assert naturalness_distance(with_gap, np.zeros(2), np.diag([1.0, 3.0])) == pytest.approx(5 / np.sqrt(2))


# --- what they are for --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["white_noise", "gaussian_blur", "jpeg"])
def test_worse_pictures_are_called_worse(kind, photo):
    bad, ruined = (distort(to_float(photo), kind, level, np.random.default_rng(0)) for level in (3, 5))
    assert niqe(photo) + 0.5 < niqe(bad) < niqe(ruined) - 0.5
    assert brisque(photo) - 2 > brisque(bad) > brisque(ruined) + 5


def test_usual_scales(photo):
    assert 2 < niqe(photo) < 5
    assert 60 < brisque(photo) <= 100


@pytest.mark.slow
def test_depth_makes_no_difference(photo):
    deep = photo.astype(np.uint16) * 257
    for same in (deep, to_float(photo), to_float(photo).astype(np.float64)):
        assert niqe(same) == niqe(photo)
        assert brisque(same) == brisque(photo)


def test_what_is_beyond_the_last_whole_patch_is_not_looked_at(photo):
    framed = photo.copy()
    framed[480:], framed[:, 480:] = 0, 255
    assert niqe(framed) == niqe(photo[:480, :480])


@pytest.mark.slow
@pytest.mark.parametrize("measure", [niqe, brisque])
def test_threads_and_repetition_change_nothing(measure, photo):
    pictures = [photo, photo[::-1], photo[:, :300]]
    alone = [measure(picture) for picture in pictures]
    said: dict[int, float] = {}
    threads = [threading.Thread(target=lambda i=i: said.__setitem__(i, measure(pictures[i % 3]))) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [said[i] for i in range(6)] == alone * 2


@pytest.mark.slow
@pytest.mark.parametrize("measure", [niqe, brisque])
def test_memory_does_not_grow_with_every_step(measure, photo):
    large = np.tile(photo, (3, 4, 1))  # 3 megapixels
    tracemalloc.start()
    measure(large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * large.shape[0] * large.shape[1]  # bytes a pixel: luma 1, half of it 2, and bands


# --- edges --------------------------------------------------------------------------------------------------


def test_flat_patches_do_not_count(photo):
    half = photo[:384, :384].copy()
    half[:, 192:] = 90
    features = niqe_features(half)[0]
    flat = np.isnan(features).any(1).reshape(4, 4)
    assert flat[:, 3].all()
    assert not flat[:, :2].any()
    assert np.isfinite(niqe(half))
    assert np.isfinite(brisque_features(half)).all()


def test_where_a_picture_is_flat_there_are_no_coefficients():
    for value in range(256):  # each has rounding errors of its own
        for luma in (np.full((20, 20), value, np.uint8), halved(np.full((40, 40), value, np.uint8))):
            assert not natural._normalised(luma, 0, 20, "nearest")[0].any()


def test_a_picture_of_one_colour_is_refused():
    one = np.full((200, 200, 3), 77, np.uint8)
    with pytest.raises(ValueError, match="got a picture with 0 patches that are not flat, want 2 or more"):
        niqe(one)
    with pytest.raises(ValueError, match="got a picture of one colour, want one that shows something"):
        brisque(one)


@pytest.mark.parametrize("size", [(191, 191), (96, 191), (95, 1000), (1, 1)])
def test_small_pictures_niqe(size):
    with pytest.raises(ValueError, match=f"got a picture of {size[1]}x{size[0]}, want 192x96 or 96x192 at least"):
        niqe(np.zeros((*size, 3), np.uint8))


def test_smallest_pictures(photo):
    assert np.isfinite(niqe(photo[100:196, 100:292]))
    assert np.isfinite(niqe(photo[100:292, 100:196]))
    assert 0 <= brisque(photo[100:116, 100:116]) <= 100
    with pytest.raises(ValueError, match="got a picture of 40x15, want 16x16 at least"):
        brisque(photo[:15, :40])


@pytest.mark.parametrize("measure", [niqe, brisque])
@pytest.mark.parametrize("shape", [(200, 200), (200, 200, 4), (200, 200, 1)])
def test_other_shapes_are_refused(measure, shape):
    with pytest.raises(ValueError, match=r"got a picture of shape .* want \(H, W, 3\)"):
        measure(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("name", ["niqe", "brisque"])
def test_parameters(name):
    file = resources.files("iqassay.measures").joinpath(f"{name}.npz")
    assert len(file.read_bytes()) < 200_000
    model = natural._parameters(name)
    assert all(np.isfinite(values).all() for values in model.values())
    assert model["mean"].shape == (36,)
    if name == "niqe":
        np.testing.assert_allclose(model["covariance"], model["covariance"].T)
        assert np.linalg.eigvalsh(model["covariance"]).min() > 0
    else:
        assert model["support"].shape == (*model["weights"].shape, 36)
