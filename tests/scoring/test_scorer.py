from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_model
from PIL import Image

from iqassay.measures.measure import Measure
from iqassay.pictures.image import ImageError, Picture, read_image
from iqassay.scoring.comparison import compare
from iqassay.scoring.heatmap import heatmap
from iqassay.scoring.model_file import ModelFileError, load_model_file
from iqassay.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(tiny_model: Path) -> Scorer:
    return Scorer(tiny_model, threads=1)


def flat(value: int, height: int = 80, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_the_same_picture_in_any_form_gets_the_same_score(scorer: Scorer, photo: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    Image.fromarray(photo).save(file)
    forms = [photo, file, str(file), file.read_bytes(), Image.fromarray(photo), Picture(photo)]
    assert len({scorer.score(form).score for form in forms}) == 1
    deep = (photo.astype(np.uint16)) * 257
    assert scorer.score(deep).score == pytest.approx(scorer.score(photo).score, abs=1e-4)
    assert scorer.score(photo.astype(np.float64) / 255).score == pytest.approx(scorer.score(photo).score, abs=1e-4)


def test_score_and_interval_follow_the_card(scorer: Scorer) -> None:
    verdict = scorer.score(flat(51))  # brightness 0.2
    assert verdict.raw == pytest.approx(0.2, abs=1e-4)
    assert verdict.score == pytest.approx(20, abs=0.02)
    # Half widths at a score of 20, between (0: 20 below, 10 above) and (100: 4 below, 2 above).
    assert verdict.low == pytest.approx(20 - 16.8, abs=0.02)
    assert verdict.high == pytest.approx(20 + 8.4, abs=0.02)
    assert (verdict.model, verdict.version) == ("tiny", "0.0.1")
    assert verdict.map.dtype == np.float32
    assert np.allclose(verdict.map, 20, atol=0.02)


def test_calibration_is_piecewise_linear_and_clamped(tmp_path: Path) -> None:
    points = {"raw": [0.2, 0.4, 0.8], "score": [10, 50, 60]}
    scorer = Scorer(write_model(tmp_path, calibration=points), threads=1)
    for value, want in ((0, 10), (51, 10), (153, 55), (204, 60), (255, 60)):
        verdict = scorer.score(flat(value))
        assert verdict.score == pytest.approx(want, abs=0.02)
        assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100


def test_the_interval_stays_on_the_scale(scorer: Scorer) -> None:
    black, white = scorer.score(flat(0)), scorer.score(flat(255))
    assert (black.low, black.score) == (0, 0)
    assert (white.score, white.high) == (100, 100)


def test_distortions_come_by_probability_from_three_tenths_on(scorer: Scorer) -> None:
    """The tiny model says jpeg .45, white noise .35, blur .15 and none .05 of everything."""
    found = scorer.score(flat(90)).distortions
    assert [(item.name, item.severity) for item in found] == [("jpeg", 2.0), ("white_noise", 4.0)]
    assert [item.probability for item in found] == pytest.approx([0.45, 0.35])


def test_what_is_unlike_the_training_data_is_said(scorer: Scorer) -> None:
    assert scorer.score(flat(200)).warnings == ()
    (said,) = scorer.score(flat(250)).warnings
    assert said == "unlike the training data, perhaps a frame of one colour: take the score with care"


def test_warnings_of_the_picture_come_along(scorer: Scorer) -> None:
    clear = np.zeros((80, 100, 4), dtype=np.uint8)
    assert scorer.score(clear).warnings[0] == "transparency shown over white"
    assert scorer.score(Picture(flat(9), ("odd",))).warnings == ("odd",)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 3), (2, 2), (63, 64), (64, 64)])
def test_any_size_gets_a_score(scorer: Scorer, shape: tuple[int, int]) -> None:
    verdict = scorer.score(flat(51, *shape))
    assert verdict.score == pytest.approx(20, abs=0.02)
    assert any("pixels: take the score with care" in warning for warning in verdict.warnings) == (min(shape) < 64)


def test_a_record_is_plain_and_rounded(scorer: Scorer, photo: np.ndarray) -> None:
    verdict = scorer.score(photo)
    record = verdict.record("a/b.png")
    assert list(record) == ["path", "score", "low", "high", "raw", "model", "version", "distortions", "warnings"]
    assert record["path"] == "a/b.png"
    assert record["raw"] == {"tiny": round(verdict.raw, 4)}
    assert verdict.raws == {"tiny": verdict.raw}
    assert record["distortions"][0] == {"name": "jpeg", "severity": 2.0}
    assert {type(record[key]) for key in ("score", "low", "high")} == {float}
    assert type(record["distortions"][0]["severity"]) is float
    assert record["score"] == round(verdict.score, 2)


@pytest.mark.parametrize("shape", [(90, 120), (700, 900)])
def test_threads_and_order_do_not_change_a_score(tiny_model: Path, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    one, two = Scorer(tiny_model, threads=1), Scorer(tiny_model, threads=2)
    first = one.score(picture)
    one.score(flat(255))
    again = one.score(picture)
    assert (first.score, first.low, first.distortions) == (again.score, again.low, again.distortions)
    assert np.array_equal(first.map, again.map)
    assert two.score(picture).score == pytest.approx(first.score, abs=0.1)


def test_look_is_what_comes_before_the_card(scorer: Scorer) -> None:
    answers = scorer.look(flat(51))
    assert float(answers.score) == scorer.score(flat(51)).raw
    assert float(answers.unlike) == pytest.approx(0.2, abs=1e-4)
    assert answers.presence.sum() == pytest.approx(1)
    assert np.allclose(answers.map, 0.2, atol=1e-4)


def test_one_scorer_serves_several_threads(scorer: Scorer) -> None:
    pictures = [flat(value, 400, 400) for value in range(0, 240, 15)]
    want = [scorer.score(picture).score for picture in pictures]
    got: dict[int, list[float]] = {}

    def work(number: int) -> None:
        got[number] = [scorer.score(picture).score for picture in pictures]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[number] for number in range(4)] == [want] * 4


def test_a_picture_over_the_limit_is_refused(tiny_model: Path) -> None:
    small = Scorer(tiny_model, threads=1, max_pixels=100 * 80 - 1)
    with pytest.raises(ImageError):
        small.score(flat(1))
    buffer = io.BytesIO()
    Image.fromarray(flat(1)).save(buffer, "PNG")
    with pytest.raises(ImageError):
        small.score(buffer.getvalue())


@pytest.mark.parametrize("numbers", [{"threads": 0}, {"threads": 1.5}, {"threads": True}, {"max_pixels": 0}])
def test_bad_numbers_are_named(tiny_model: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(numbers))}: got"):
        Scorer(tiny_model, **numbers)


def test_a_scorer_takes_a_loaded_model_file_and_says_what_it_is(tiny_model: Path) -> None:
    model = load_model_file(tiny_model)
    assert repr(Scorer(model, threads=1)) == "Scorer('tiny', version 0.0.1)"
    assert (Scorer.lower_is_better, Scorer.score_range) == (False, (0, 100))
    with pytest.raises(ModelFileError):
        Scorer(replace(model, content=b"no graph"))


def test_a_score_that_is_not_a_number_is_an_error(tiny_model: Path) -> None:
    scorer = Scorer(tiny_model, threads=1)
    nan = np.full((80, 100, 3), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="want a finite number"):
        scorer.score(Picture(nan))


# ---- with a reference: the model says 2 minus the mean distance -----------------------------------------------------


@pytest.fixture(scope="module")
def pair_scorer(pair_model: Path) -> Scorer:
    return Scorer(pair_model, threads=1)


def noise(height: int, width: int, seed: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (63, 65), (375, 500), (97, 9000), (300, 2500), (1500, 2000)])
def test_identical_pictures_get_exactly_the_top(pair_scorer: Scorer, shape: tuple[int, int]) -> None:
    picture = noise(*shape)
    for other in (picture.copy(), picture.astype(np.uint16) * 257):
        for verdict in (pair_scorer.score(picture, other), pair_scorer.score(other, picture)):
            assert (verdict.score, verdict.low, verdict.high) == (98, 96, 99)
            assert (verdict.map == 98).all()
            assert verdict.full_reference


def test_score_and_interval_of_a_pair_follow_the_tables_for_pairs(pair_scorer: Scorer) -> None:
    verdict = pair_scorer.score(flat(51), flat(102))  # 0.2 apart
    assert verdict.raw == pytest.approx(1.8, abs=1e-4)
    assert verdict.score == pytest.approx(0.8 * 98, abs=0.02)
    assert verdict.low == pytest.approx(0.8 * 98 - 3.6, abs=0.02)
    assert verdict.high == pytest.approx(0.8 * 98 + 1.8, abs=0.02)
    assert np.allclose(verdict.map, 0.8 * 98, atol=0.02)


def test_one_model_serves_both_modes(pair_scorer: Scorer, scorer: Scorer) -> None:
    """Without a reference it answers as the model that knows no references."""
    assert pair_scorer.takes_reference
    assert not scorer.takes_reference
    for shape in ((90, 120), (700, 900)):
        alone, plain = pair_scorer.score(noise(*shape)), scorer.score(noise(*shape))
        assert (alone.score, alone.low, alone.high) == (plain.score, plain.low, plain.high)
        assert np.array_equal(alone.map, plain.map)
        assert not alone.full_reference


def test_a_picture_goes_through_the_network_once_unless_it_has_a_reference(
    pair_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(pair_model, threads=1)
    session, seen = scorer._session, []

    class Spy:
        callers = 1

        def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            seen.append((len(feed["image"]), feed["pictures"].tolist()))
            return session.run(outputs, feed)

    monkeypatch.setattr(scorer, "_session", Spy())
    picture = noise(481, 640)  # four windows and the whole
    scorer.score(picture)
    assert seen == [(1, [1])] * 5
    seen.clear()
    scorer.score(picture, picture)
    assert seen == [(2, [1])] * 5


@pytest.mark.slow
def test_picture_and_reference_are_not_mixed_up(pair_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures come first, in every call; the tiny model could not tell."""
    scorer = Scorer(pair_model, threads=1)
    session = scorer._session

    class Spy:
        callers = 1

        def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            (pictures,) = feed["pictures"]
            assert len(feed["image"]) == 2 * pictures
            assert (feed["image"][:pictures] == 0).all()
            assert np.allclose(feed["image"][pictures:], 1)
            return session.run(outputs, feed)

    monkeypatch.setattr(scorer, "_session", Spy())
    assert scorer.score(flat(0, 900, 1300), flat(255, 900, 1300)).score == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(80, 100), (700, 900)])
def test_threads_and_order_do_not_change_the_score_of_a_pair(pair_model: Path, shape: tuple[int, int]) -> None:
    picture, reference = noise(*shape), noise(*shape, seed=7)
    one, two = Scorer(pair_model, threads=1), Scorer(pair_model, threads=2)
    first = one.score(picture, reference)
    one.score(reference)
    again = one.score(picture, reference)
    assert (first.score, first.low, first.distortions) == (again.score, again.low, again.distortions)
    assert np.array_equal(first.map, again.map)
    assert two.score(picture, reference).score == pytest.approx(first.score, abs=0.1)


@pytest.mark.parametrize("shape", [(375, 500), (700, 900)])
def test_a_pair_that_is_off_by_many_pixels_is_seen_everywhere(pair_scorer: Scorer, shape: tuple[int, int]) -> None:
    picture = noise(*shape)
    verdict = pair_scorer.score(picture, np.roll(picture, 9, axis=1))
    assert verdict.map.max() < 85
    assert verdict.score < 85
    assert verdict.warnings == ()


@pytest.mark.parametrize("shape", [(375, 500), (700, 900)])
def test_a_pair_that_is_off_by_a_pixel_is_compared_where_both_show_the_same(
    pair_scorer: Scorer, shape: tuple[int, int]
) -> None:
    picture = noise(*shape)
    shifted = np.roll(picture, (2, -1), axis=(0, 1))
    verdict = pair_scorer.score(shifted, picture)
    assert verdict.score == 98
    assert (verdict.map == 98).all()
    size = f"{shape[1] - 1}x{shape[0] - 2}"
    said = f"2 pixels below and 1 pixel left of its reference: the {size} that both show compared"
    assert verdict.warnings == (said,)
    shifted[: shape[0] // 4] //= 2
    found = pair_scorer.score(shifted, picture).map
    assert found.shape == pair_scorer.score(picture, picture).map.shape
    assert found[: len(found) // 4 - 1].max() < 90
    assert found[len(found) // 4 + 2 :].min() == pytest.approx(98, abs=0.1)


def test_measures_are_not_registered(photo: np.ndarray) -> None:
    shifted = np.roll(photo, 1, axis=1)
    verdict = Measure("psnr").score(shifted, photo)
    assert verdict.warnings == ()
    assert verdict.raw < 40


def test_a_stored_rotation_is_undone_before_the_two_are_compared(pair_scorer: Scorer, tmp_path: Path) -> None:
    picture, file = noise(80, 100), tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to see it upright"
    Image.fromarray(np.rot90(picture)).save(file, exif=exif)
    assert pair_scorer.score(picture, file).score == 98
    assert pair_scorer.score(file, picture).score == 98


def test_sizes_that_differ_are_refused_unless_told_how_to_align(pair_scorer: Scorer) -> None:
    reference = noise(80, 100)
    with pytest.raises(ImageError, match="got a picture of 90x70 pixels and a reference of 100x80"):
        pair_scorer.score(reference[5:-5, 5:-5], reference)
    cut = pair_scorer.score(reference[5:-5, 5:-5], reference, align="crop")
    assert cut.score == 98
    assert cut.warnings == ("90x70 and the reference's 100x80 cut to their common 90x70 around the middle",)
    resized = pair_scorer.score(flat(9), flat(9, 160, 200), align="resize")
    assert resized.score == 98
    assert resized.warnings == ("resized from 100x80 to the reference's 200x160",)
    with pytest.raises(ValueError, match="align: got 'stretch'"):
        pair_scorer.score(reference, reference, align="stretch")


def test_a_reference_for_a_model_that_takes_none(scorer: Scorer) -> None:
    for ask in (scorer.score, scorer.look, lambda picture, reference: list(scorer.score_many([picture], [reference]))):
        with pytest.raises(ValueError, match="'tiny' takes no reference, want one that does, such as 'yoto'"):
            ask(flat(1), flat(1))


def test_a_reference_that_cannot_be_read_is_named(pair_scorer: Scorer, pair_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        pair_scorer.score(flat(1), tmp_path / "gone.png")
    with pytest.raises(ImageError, match="want at most"):
        Scorer(pair_model, threads=1, max_pixels=100 * 80).score(flat(1), flat(1, 81, 100), align="crop")


def test_warnings_of_the_reference_say_whose_they_are(pair_scorer: Scorer) -> None:
    verdict = pair_scorer.score(Picture(flat(9), ("odd",)), Picture(flat(9), ("strange",)))
    assert verdict.warnings == ("odd", "reference: strange")


def test_a_record_names_the_reference_when_there_was_one(pair_scorer: Scorer) -> None:
    record = pair_scorer.score(flat(9), flat(9)).record("a.jpg", "b.png")
    assert list(record)[:3] == ["path", "reference", "score"]
    assert record["reference"] == "b.png"
    assert pair_scorer.score(flat(9), flat(9)).record("a.jpg")["reference"] is None
    assert "reference" not in pair_scorer.score(flat(9)).record("a.jpg")


def test_look_is_what_comes_before_the_card_for_pairs_too(pair_scorer: Scorer) -> None:
    answers = pair_scorer.look(flat(51), flat(102))
    assert float(answers.score) == pair_scorer.score(flat(51), flat(102)).raw
    assert np.allclose(answers.map, 1.8, atol=1e-4)
    with pytest.raises(ValueError, match="want one shape"):
        pair_scorer.look(flat(51), flat(51, 90, 100))


@pytest.mark.slow
def test_one_scorer_serves_several_threads_in_both_modes(pair_scorer: Scorer) -> None:
    jobs = [(flat(value, 400, 400), flat(90, 400, 400) if value % 2 else None) for value in range(0, 240, 15)]
    want = [pair_scorer.score(*job).score for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda job: pair_scorer.score(*job).score, jobs * 4))
    assert got == want * 4


def test_a_pair_whose_score_is_not_a_number_is_an_error(pair_scorer: Scorer) -> None:
    nan = Picture(np.full((80, 100, 3), np.nan, dtype=np.float32))
    for picture, reference in ((nan, flat(9)), (flat(9), nan), (nan, nan)):
        with pytest.raises(ValueError, match="want a finite number"):
            pair_scorer.score(picture, reference)


# ---- the map as a picture -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(90, 120), (1500, 2000), (1, 1), (1, 3000)])
def test_a_heatmap_has_the_pictures_size_up_to_a_limit(scorer: Scorer, shape: tuple[int, int]) -> None:
    picture = Picture(flat(128, *shape))
    drawn = heatmap(picture, scorer.score(picture).map)
    scale = min(1, 1024 / max(shape))
    assert drawn.mode == "RGB"
    assert drawn.size == (max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale)))


def test_a_heatmap_colours_what_is_bad_and_leaves_the_rest_gray() -> None:
    quality = np.full((4, 4), 95, dtype=np.float32)
    quality[:, 0] = 5
    drawn = np.asarray(heatmap(Picture(flat(128, 128, 128)), quality)).astype(int)
    spread = np.ptp(drawn, axis=2)
    assert spread[:, :10].min() > 30, "coloured on the left"
    assert spread[:, 64:].max() == 0, "gray on the right"
    assert (drawn[:, 64:] == 128).all()


def test_darker_means_worse_in_a_heatmap() -> None:
    luma = [
        np.asarray(heatmap(Picture(flat(128, 8, 8)), np.full((1, 1), level, dtype=np.float32)).convert("L"))[0, 0]
        for level in (0, 20, 40, 60)
    ]
    assert luma == sorted(luma)
    assert len(set(luma)) == 4


def test_beside_a_reference_transparency_is_judged_on_two_grounds(pair_model: Path, tmp_path: Path) -> None:
    """A white logo that is gone cannot be seen over white."""
    logo = np.zeros((64, 64, 4), np.uint8)
    Image.fromarray(logo).save(tmp_path / "gone.png")
    logo[:32] = 255
    Image.fromarray(logo).save(tmp_path / "logo.png")
    scorer = Scorer(pair_model, threads=1)
    gone, whole = str(tmp_path / "gone.png"), str(tmp_path / "logo.png")
    assert scorer.score(scorer.read(gone), scorer.read(whole)).score == 98, "decoded over white"
    verdict = scorer.score(gone, whole)
    assert verdict.score == pytest.approx(49, abs=0.1)
    assert verdict.warnings[-1] == "transparent: judged over white and over black, black counts"
    assert scorer.score(whole, whole).score == 98
    (many,) = scorer.score_many([gone], [whole])
    assert many.score == verdict.score
    assert compare(scorer, gone, whole, whole).difference == pytest.approx(-49, abs=0.1)


def test_a_ground_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="ground: got 'pink', want 'white' or 'black'"):
        read_image(np.zeros((8, 8, 3), np.uint8), ground="pink")


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_parts_are_shown_over_the_ground(depth: int) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8 if depth == 8 else np.uint16)
    pixels[:4, :, 3] = pixels[:4, :, 0] = np.iinfo(pixels.dtype).max
    for ground, value in (("white", np.iinfo(pixels.dtype).max), ("black", 0)):
        picture = read_image(pixels, ground=ground)
        assert (picture.pixels[4:] == value).all()
        assert (picture.pixels[:4, :, 0] == np.iinfo(pixels.dtype).max).all()
        assert picture.see_through
        assert picture.warnings == (f"transparency shown over {ground}",)
