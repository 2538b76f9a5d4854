"""Classical measures against values of independent implementations.

The values of "piq" are those of piq 0.8.0 in float64 on luma with rgb2gray's weights (PSNR, HaarPSI, MDSI and VSI: on
RGB), unless a test says otherwise; benchmarks/checks/check_classical.py prints them. For VSI its resizing and borders
are made MATLAB's.
"""

from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqassay.measures import classical

EXAMPLES = Path(__file__).parents[2] / "examples"
ALL = ("psnr", "ssim", "ms_ssim", "gmsd", "haarpsi", "mdsi", "vsi", "dss")
BEST = {"psnr": classical.MAX_PSNR, "gmsd": 0, "mdsi": 0}  # of identical pictures; of the others 1


def made(kind: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its reference, by a formula: (height, width, 3) uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = np.stack([x / 5 + y / 9, y / 4 - x / 11, (x + y) / 7], axis=-1)
    a = 0.5 + 0.25 * np.sin(waves) + 0.12 * np.sin(x * y / 3000 + 1.3 * y)[..., None]
    if kind == "ripple":
        b = a + 0.06 * np.sin(2.1 * x + 1.7 * y)[..., None] * np.array([1, -0.5, 0.7])
    elif kind == "blocks":
        b = np.kron(a.reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3)), np.ones((4, 4, 1)))
    else:
        b = 0.5 + 0.6 * (a - 0.5)
    reference, picture = (np.rint(np.clip(p, 0, 1) * 255).astype(np.uint8) for p in (a, b))
    return picture, reference


def example(name: str) -> np.ndarray:
    with Image.open(EXAMPLES / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def floats(pixels: np.ndarray) -> np.ndarray:
    return pixels / np.float32(255)


# ---- values ---------------------------------------------------------------------------------------------------------

# In the order of ALL, then SSIM without shrinking, by scikit-image 0.26.
GOLDEN = {
    ("ripple", 384, 512): (29.80272, 0.99989, 0.99992, 0.00011, 0.99970, 0.13219, 0.99978, 0.99987, 0.99908),
    ("blocks", 176, 240): (20.46018, 0.35674, 0.86464, 0.11291, 0.54117, 0.67416, 0.78681, 0.82828, 0.35674),
    ("fade", 352, 192): (22.10803, 0.88634, 0.89090, 0.02678, 0.81298, 0.27028, 0.96029, 0.90391, 0.88634),
    ("ripple", 301, 187): (29.80155, 0.99908, 0.99992, 0.00011, 0.99971, 0.22860, 0.99792, 0.99988, 0.99908),
}
GOLDEN_EXAMPLES = {
    ("coffee-jpeg", "coffee"): (24.25916, 0.79095, 0.88057, 0.15427, 0.57137, 0.40921, 0.96422, 0.37125, 0.69129),
    ("astronaut-noise", "astronaut"): (
        23.17712,
        0.73338,
        0.89675,
        0.11488,
        0.73284,
        0.34318,
        0.97054,
        0.63988,
        0.42736,
    ),
}


def check(picture: np.ndarray, reference: np.ndarray, golden: tuple[float, ...], tolerance: float) -> None:
    for name, wanted in zip(ALL, golden, strict=False):
        close = pytest.approx(wanted, abs=tolerance * (100 if name == "psnr" else 1))
        assert getattr(classical, name)(picture, reference) == close, name
    assert classical.ssim(picture, reference, shrink=False) == pytest.approx(golden[-1], abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("made_as", GOLDEN)
def test_another_implementation_agrees(made_as: tuple[str, int, int]) -> None:
    check(*made(*made_as), GOLDEN[made_as], 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("names", GOLDEN_EXAMPLES)
def test_another_implementation_agrees_on_photos(names: tuple[str, str]) -> None:
    """piq has other last digits of YIQ in HaarPSI (4e-5), and decoders of JPEG differ by one here and there."""
    check(*map(example, names), GOLDEN_EXAMPLES[names], 3e-4)


def test_ssim_and_psnr_by_their_formulas() -> None:
    """Two flat pictures, one 10 brighter: no structure, so only luminance counts; and the error is 100."""
    a, b = (np.full((40, 50, 3), value, np.uint8) for value in (110, 100))
    c1 = (0.01 * 255) ** 2
    assert classical.ssim(a, b) == pytest.approx((2 * 110 * 100 + c1) / (110**2 + 100**2 + c1), abs=1e-5)
    assert classical.psnr(a, b) == pytest.approx(10 * np.log10(255**2 / 100))


def test_haar_coefficients_by_the_sums_they_stand_for() -> None:
    x = np.random.default_rng(0).random((20, 24), dtype=np.float32)
    padded = np.pad(x, ((3, 4), (3, 4)))
    for k, maps in enumerate(classical._haar(x)):
        half = 2**k
        for row, column in ((9, 10), (0, 0), (19, 23)):
            top, left = 3 + row - (half - 1), 3 + column - (half - 1)
            block = padded[top : top + 2 * half, left : left + 2 * half]
            rows = abs(block[:half].sum() - block[half:].sum()) / (2 * half)
            columns = abs(block[:, :half].sum() - block[:, half:].sum()) / (2 * half)
            assert [found[row, column] for found in maps] == pytest.approx([rows, columns], abs=1e-5)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_shrinking_is_matlabs(step: int) -> None:
    """conv2(x, ones(step) / step ^ 2, 'same')(1:step:end, 1:step:end), and imfilter's with mirrored borders."""
    x = np.random.default_rng(1).random((9, 11))
    for border, mode in (("constant", "constant"), ("symmetric", "symmetric")):
        padded = np.pad(x, ((step - 1) // 2, step), mode=mode)  # type: ignore[call-overload]
        wanted = [
            [padded[i : i + step, j : j + step].mean() for j in range(0, x.shape[1], step)]
            for i in range(0, x.shape[0], step)
        ]
        assert classical._shrunk(x, step, border) == pytest.approx(np.array(wanted))


def test_resizing_is_matlabs() -> None:
    """imresize([10 20 30 40], [1 2], 'bilinear') is [16.25 33.75], and [1 8] begins 10 12.5 17.5."""
    x = np.array([10, 20, 30, 40])
    assert classical._resizing(4, 2) @ x == pytest.approx([16.25, 33.75])
    assert (classical._resizing(4, 8) @ x)[:3] == pytest.approx([10, 12.5, 17.5])


# ---- what every measure does ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_identical_is_best_and_harm_is_worse(name: str) -> None:
    measure, best = getattr(classical, name), BEST.get(name, 1)
    reference = made("ripple", 200, 180)[1]
    assert measure(reference, reference) == pytest.approx(best, abs=1e-6)
    rng = np.random.default_rng(0)
    pictures = [np.clip(reference + sigma * rng.standard_normal(reference.shape), 0, 255) for sigma in (5, 15, 45)]
    found = [abs(measure(picture.astype(np.uint8), reference) - best) for picture in pictures]
    assert 0 < found[0] < found[1] < found[2]


@pytest.mark.parametrize("name", ALL)
def test_depths_agree(name: str) -> None:
    measure, (picture, reference) = getattr(classical, name), made("blocks", 176, 200)
    whole = measure(picture, reference)
    as_floats = measure(floats(picture), floats(reference))
    deep = measure(picture.astype(np.uint16) * 257, reference.astype(np.uint16) * 257)
    assert deep == pytest.approx(as_floats, abs=1e-5)
    assert as_floats == pytest.approx(whole, abs=2e-3)  # luma of 8 bits is rounded


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_flat_gray_and_black_pictures(name: str) -> None:
    measure = getattr(classical, name)
    pictures = [np.full((170, 165, 3), value, np.uint8) for value in (0, 90, 255)]
    pictures.append(np.repeat(made("fade", 172, 168)[0][:170, :165, :1], 3, axis=2))
    for a in pictures:
        for b in pictures:
            assert np.isfinite(measure(a, b))
        assert measure(a, a) == pytest.approx(BEST.get(name, 1), abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_wrong_pictures(name: str) -> None:
    measure = getattr(classical, name)
    good = np.zeros((200, 180, 3), np.uint8)
    with pytest.raises(ValueError, match=r"got a picture of 180x200 and a reference of 181x200, want one size"):
        measure(good, np.zeros((200, 181, 3), np.uint8))
    for shape in ((200, 180), (200, 180, 4)):
        with pytest.raises(ValueError, match=r"got shape \(200, 180.*want \(height, width, 3\)"):
            measure(np.zeros(shape, np.uint8), good)
    for value in (-0.1, 255, nan, inf):
        with pytest.raises(ValueError, match="want 0 to 1"):
            measure(np.full((200, 180, 3), value, np.float32), np.zeros((200, 180, 3), np.float32))


@pytest.mark.parametrize(("name", "least"), [("ssim", 11), ("ms_ssim", 161), ("gmsd", 3), ("haarpsi", 2), ("dss", 8)])
def test_smallest_size(name: str, least: int) -> None:
    measure = getattr(classical, name)
    picture, reference = (x[:least] for x in made("fade", 176, 200))
    assert np.isfinite(measure(picture, reference))
    with pytest.raises(ValueError, match=f"got 200x{least - 1}, want at least {least} pixels a side"):
        measure(picture[:-1], reference[:-1])


def test_the_message_on_small_pictures_names_the_measure() -> None:
    with pytest.raises(ValueError, match=r"^MS-SSIM: got 100x80, want at least 161 pixels a side$"):
        classical.ms_ssim(*np.zeros((2, 80, 100, 3), np.uint8))


@pytest.mark.parametrize("name", ["ssim", "gmsd", "haarpsi", "mdsi", "vsi"])
def test_maps_show_where(name: str) -> None:
    reference = made("ripple", 128, 160)[1]
    picture = reference.copy()
    picture[:, :80] = np.clip(picture[:, :80] + 40.0 * np.random.default_rng(0).standard_normal((128, 80, 3)), 0, 255)
    value, found = getattr(classical, f"{name}_with_map")(picture, reference)
    assert value == getattr(classical, name)(picture, reference)
    middle = found.shape[1] // 2
    assert found[:, middle + 6 :].mean() > 0.999 > 0.97 > found[:, : middle - 6].mean()
