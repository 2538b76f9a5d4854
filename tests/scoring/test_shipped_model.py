"""The shipped models through the shipped scorer, on the example photos: sane, deterministic, the same in any batch."""

import io
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageEnhance, ImageFilter

import iqassay
from iqassay.data.distortions import KINDS
from iqassay.scoring.model_file import WEIGHTS, default_model, load_model_file

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


SPOILED = [
    ("chelsea.jpg", "chelsea-blurred.jpg"),
    ("coffee.jpg", "coffee-jpeg.jpg"),
    ("coffee.jpg", "coffee-dark.jpg"),
    ("astronaut.jpg", "astronaut-noise.jpg"),
]


@pytest.fixture(scope="module", params=["mfen", "yoto", "dri", "panel"])
def scorer(request):
    return iqassay.load(request.param, threads=1)


@pytest.fixture(scope="module")
def yoto():
    return iqassay.load("yoto", threads=1)


@pytest.mark.parametrize(("good", "spoiled"), SPOILED)
def test_a_spoiled_photo_scores_lower(scorer, good, spoiled):
    least = {"yoto": 4, "panel": 3}.get(scorer.card.name, 5)  # these make less of it that a photo is dark
    assert scorer.score(EXAMPLES / good).score > scorer.score(EXAMPLES / spoiled).score + least


def test_more_blur_is_never_better(scorer):
    photo = Image.open(EXAMPLES / "coffee.jpg").convert("RGB")
    scores = [scorer.score(photo.filter(ImageFilter.GaussianBlur(sigma))).score for sigma in (0, 1.5, 3, 6)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] + 15


def test_distortions_are_named(scorer):
    jpeg = {d.name for d in scorer.score(EXAMPLES / "coffee-jpeg.jpg").distortions}
    assert "jpeg" in jpeg
    file = EXAMPLES / "astronaut-noise.jpg"
    if scorer.card.name == "dri":  # to it two kinds of noise are equally probable, so that it names neither
        presence = scorer.look(file).presence
        assert sum(share for name, share in zip(KINDS, presence, strict=False) if "noise" in name) > 0.5
    else:
        assert any("noise" in found.name for found in scorer.score(file).distortions)


def test_same_bytes_same_score_whatever_came_before(scorer):
    first = scorer.score(EXAMPLES / "chelsea.jpg")
    scorer.score(EXAMPLES / "coffee.jpg")
    again = scorer.score((EXAMPLES / "chelsea.jpg").read_bytes())
    assert again.raw == first.raw
    np.testing.assert_array_equal(again.map, first.map)
    assert first.low <= first.score <= first.high


def test_threads_do_not_change_a_large_picture(scorer):
    photo = Image.open(EXAMPLES / "coffee.jpg").convert("RGB").resize((1500, 1000), Image.Resampling.BICUBIC)
    once = scorer.score(photo).score
    assert abs(iqassay.load(scorer.card.name, threads=2).score(photo).score - once) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (33, 31), (500, 375)])
def test_any_size_gives_a_finite_score(scorer, size):
    verdict = scorer.score(Image.new("RGB", size, (90, 120, 60)))
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert np.isfinite(verdict.map).all()


def test_noise_is_unlike_the_training_data(scorer):
    noise = np.random.default_rng(0).integers(0, 256, (384, 512, 3), dtype=np.uint8)
    assert any("unlike the training data" in warning for warning in scorer.score(noise).warnings)
    assert not scorer.score(EXAMPLES / "astronaut.jpg").warnings


def test_the_card_tells_what_users_must_know(scorer):
    card = scorer.card
    assert set(card.licence) == {"code", "weights", "data"}
    assert card.training_data
    assert card.limits
    assert any(row["set"].upper().startswith("BIQ2021") and row["srcc"] > 0.85 for row in card.accuracy)


# ---- together -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panel():
    return iqassay.load("panel", threads=1)


def test_the_panel_is_the_default_and_the_three_models_fit_the_wheel(panel):
    assert default_model(reference=False) == "panel"
    assert list(panel.card.members) == ["dri", "mfen", "yoto"]
    packed = [len(zlib.compress((WEIGHTS / f"{name}.onnx").read_bytes())) for name in panel.card.members]
    assert sum(packed) < 99.2e6  # as a wheel stores them


def test_the_panel_says_what_its_members_say_together(panel):
    path = EXAMPLES / "coffee-jpeg.jpg"
    verdict, share = panel.score(path), panel.card.weights.ordinary
    alone = [iqassay.load(name, threads=1).score(path) for name in panel.asked(False)]
    assert {name for name in share if share[name]} <= set(verdict.raws)
    assert verdict.raws == {one.model: one.raw for one in alone}
    assert verdict.raw == pytest.approx(sum(share[one.model] * one.score for one in alone), abs=0.05)
    assert 0 <= verdict.low < verdict.score < verdict.high <= 100
    assert "jpeg" in {found.name for found in verdict.distortions}
    assert panel.score(path, EXAMPLES / "coffee.jpg").model == "yoto"


def test_noise_is_taken_away_and_blur_is_known():
    found = iqassay.explain(EXAMPLES / "astronaut-noise.jpg", EXAMPLES / "astronaut.jpg", model="dri")
    assert found.remaining_loss.psnr > found.loss.psnr + 1
    assert iqassay.explain(EXAMPLES / "chelsea-blurred.jpg", model="dri").nearest[0].name.endswith("_blur")


# ---- with references ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "spoiled"), SPOILED)
def test_a_spoiled_photo_is_far_from_its_reference(yoto, good, spoiled):
    verdict = yoto.score(EXAMPLES / spoiled, EXAMPLES / good)
    assert verdict.full_reference
    assert verdict.low <= verdict.score < 60
    assert yoto.score(EXAMPLES / good, EXAMPLES / spoiled).score < 70  # nor does a better picture pass for a copy


CHANGES = {
    "brighten": lambda photo: ImageEnhance.Brightness(photo).enhance(1.3),
    "gaussian_blur": lambda photo: photo.filter(ImageFilter.GaussianBlur(1.5)),
    "high_sharpen": lambda photo: photo.filter(ImageFilter.UnsharpMask(2, 200, 0)),
    "jpeg": lambda photo: compressed(photo, "JPEG", 20),
    "jpeg2000": lambda photo: compressed(photo, "WEBP", 20),  # the nearest of the kinds that have names
}


def compressed(photo, format, quality):
    """The photo as a codec leaves it."""
    held = io.BytesIO()
    photo.save(held, format, quality=quality)
    return Image.open(held).convert("RGB")


def test_a_picture_that_lies_a_little_beside_its_reference_loses_little_and_says_so(yoto):
    reference = Image.open(EXAMPLES / "chelsea.jpg").convert("RGB")
    width, height = reference.size
    enlarged = reference.resize((width + 5, height + 3), Image.Resampling.BICUBIC).crop((2, 1, width + 2, height + 1))
    found = yoto.score(enlarged, reference)
    assert found.score > 80
    (warning,) = found.warnings
    assert "beside its reference, which was bent" in warning
    assert found.map.shape == yoto.score(reference, reference).map.shape
    assert yoto._judged(yoto.read(enlarged), yoto.read(reference)).score < 75  # place by place


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("photo", ["coffee.jpg", "astronaut.jpg"])
def test_beside_a_reference_the_change_is_named(yoto, photo, name):
    reference = Image.open(EXAMPLES / photo).convert("RGB")
    verdict = yoto.score(CHANGES[name](reference), reference)
    assert verdict.distortions[0].name == name


@pytest.mark.parametrize("name", ["chelsea-blurred.jpg", "astronaut-noise.jpg", "coffee.jpg"])
def test_its_own_reference_gets_100_whatever_its_beauty(yoto, name):
    assert yoto.score(EXAMPLES / name, EXAMPLES / name).score == 100
    large = Image.open(EXAMPLES / name).convert("RGB").resize((1300, 900))
    assert yoto.score(large, large).score == 100


def test_stronger_compression_blur_and_noise_score_lower(yoto):
    photo = Image.open(EXAMPLES / "coffee.jpg").convert("RGB")
    pixels, rng = np.asarray(photo, np.float64), np.random.default_rng(0)
    noise = rng.normal(size=pixels.shape)
    for series in (
        [jpeg(photo, quality) for quality in (90, 60, 30, 10)],
        [photo.filter(ImageFilter.GaussianBlur(sigma)) for sigma in (0.5, 1, 2, 4)],
        [(pixels + sigma * noise).clip(0, 255).astype(np.uint8) for sigma in (3, 10, 30, 60)],
    ):
        scores = [yoto.score(picture, photo).score for picture in series]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 75 > 50 > scores[-1]


def test_the_map_says_where_a_picture_left_its_reference(yoto):
    photo = np.asarray(Image.open(EXAMPLES / "coffee.jpg").convert("RGB"))
    spoiled = photo.copy()
    spoiled[:, : photo.shape[1] // 2] = np.asarray(jpeg(Image.fromarray(photo), 5))[:, : photo.shape[1] // 2]
    quality = yoto.score(spoiled, photo).map
    half = quality.shape[1] // 2
    assert quality[:, half + 2 :].min() > 88  # tokens see a little of what surrounds them
    assert quality[:, : half - 2].mean() < 60


def test_the_empty_slice_of_the_graph_does_no_harm_however_it_is_optimised():
    """Other processors get other layouts, of which leaving optimisations out is the nearest that one machine has."""
    rng = np.random.default_rng(0)
    x = rng.random((1, 3, 96, 160), dtype=np.float32)
    found = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(load_model_file("yoto").content, options)
        batches = [(x, 1), (np.concatenate([0.8 * x + 0.1, x]), 1), (np.concatenate([x, x]), 1)]
        answers = [session.run(["score"], {"image": b, "pictures": np.array([n])})[0] for b, n in batches]
        found.append(np.concatenate(answers))
    np.testing.assert_allclose(found, np.tile(found[0], (3, 1)), atol=1e-4)
    assert (np.array(found)[:, 2] == 2).all()


def jpeg(photo, quality):
    held = io.BytesIO()
    photo.save(held, "JPEG", quality=quality)
    return Image.open(io.BytesIO(held.getvalue()))
