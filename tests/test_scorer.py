from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_model
from PIL import Image

from iqassay import tiles
from iqassay.heatmap import heatmap
from iqassay.image import ImageError, Picture
from iqassay.model_file import ModelFileError, load_model_file
from iqassay.scorer import Scorer


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
    assert scorer.score(flat(250)).warnings == ("unlike the training data: take the score with care",)


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
    assert list(record) == ["path", "score", "low", "high", "model", "version", "distortions", "warnings"]
    assert record["path"] == "a/b.png"
    assert record["distortions"][0] == {"name": "jpeg", "severity": 2.0}
    assert {type(record[key]) for key in ("score", "low", "high")} == {float}
    assert type(record["distortions"][0]["severity"]) is float
    assert record["score"] == round(verdict.score, 2)


@pytest.mark.parametrize("shape", [(90, 120), (700, 900)])
def test_threads_batches_and_order_do_not_change_a_score(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    one, two = Scorer(tiny_model, threads=1), Scorer(tiny_model, threads=2)
    first = one.score(picture)
    one.score(flat(255))
    again = one.score(picture)
    assert (first.score, first.low, first.distortions) == (again.score, again.low, again.distortions)
    assert np.array_equal(first.map, again.map)
    assert two.score(picture).score == pytest.approx(first.score, abs=0.1)
    monkeypatch.setattr(tiles, "BATCH", 1)
    assert one.score(picture).score == pytest.approx(first.score, abs=0.1)


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


def test_score_many_is_lazy_and_keeps_order(scorer: Scorer) -> None:
    pulled: list[int] = []

    def pictures():
        for value in (0, 51, 102):
            pulled.append(value)
            yield flat(value)

    verdicts = scorer.score_many(pictures())
    assert pulled == []
    assert next(verdicts).score == 0
    assert pulled == [0]
    assert [round(verdict.score) for verdict in verdicts] == [20, 40]


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
