"""Measures as models: what `iqassay score --model ssim --ref ...` says, and what it refuses."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iqassay
from iqassay.cli import main
from iqassay.measures import classical
from iqassay.measures.measure import MEASURES, Measure, card_of, function_of
from iqassay.models.opening import open_scorer
from iqassay.pictures.image import ImageError
from iqassay.scoring.model_file import ModelFileError

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURE, REFERENCE = str(EXAMPLES / "coffee-jpeg.jpg"), str(EXAMPLES / "coffee.jpg")
COMPARING = [name for name, known in MEASURES.items() if known.reference]
ALONE = [name for name in MEASURES if name not in COMPARING]


def small(name: str = "coffee") -> np.ndarray:
    with Image.open(EXAMPLES / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB").resize((252, 168)))


# ---- the tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEASURES)
def test_tables_never_tie_over_all_that_a_measure_can_say(name: str) -> None:
    card, known = card_of(name), MEASURES[name]
    raw, score = card.calibration.raw, card.calibration.score
    assert [raw[0], raw[-1]] == sorted([known.worst, known.best])
    assert sorted([score[0], score[-1]]) == [0, 100]
    assert all(a < b for a, b in itertools.pairwise(raw))
    assert len({np.sign(b - a) for a, b in itertools.pairwise(score)}) == 1
    assert score[raw.index(known.best)] == 100
    fine = np.interp(np.linspace(raw[0], raw[-1], 100_001), raw, score)
    assert len(np.unique(fine)) == 100_001
    assert min(card.interval.below + card.interval.above) >= 0
    assert all(a < b for a, b in itertools.pairwise(card.interval.score))


@pytest.mark.parametrize("name", MEASURES)
def test_cards_name_the_variant(name: str) -> None:
    card = Measure(name).card
    assert card.name == name
    assert card.summary == MEASURES[name].variant
    assert name.replace("-", "") in card.summary.lower().replace("-", "")
    assert "Calibrated on" in card.limits[0]
    assert card.distortions == ()


# ---- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARING)
def test_a_verdict_holds_the_raw_value_and_a_score(name: str) -> None:
    measure, picture, reference = open_scorer(name), small("coffee-jpeg"), small()
    verdict = measure.score(picture, reference)
    assert verdict.raw == function_of(name)(picture, reference)
    assert verdict.raws == {name: verdict.raw}
    assert 0 < verdict.low < verdict.score < verdict.high < 100
    assert verdict.full_reference
    assert (verdict.distortions, verdict.warnings, verdict.model) == ((), (), name)
    same = measure.score(reference, reference)
    assert (same.score, same.high, same.raw) == (100, 100, MEASURES[name].best)
    assert same.map.min() == 100
    json.dumps(same.record("a.png"), allow_nan=False)
    assert verdict.score > measure.score(small("coffee-dark"), reference).score or name in ("gmsd",)


@pytest.mark.parametrize("name", COMPARING)
def test_maps_are_on_the_scale_of_the_score(name: str) -> None:
    reference = small()
    picture = reference.copy()
    noise = np.random.default_rng(0).normal(0, 60, picture[:, :126].shape)
    picture[:, :126] = np.clip(picture[:, :126] + noise, 0, 255)
    verdict = Measure(name).score(picture, reference)
    if name in ("psnr", "psnr-y", "ms-ssim", "dss"):
        assert np.unique(verdict.map).tolist() == [np.float32(verdict.score)]
        return
    assert max(verdict.map.shape) <= 64
    half = verdict.map.shape[1] // 2
    assert 0 <= verdict.map[:, : half - 3].mean() < 30 < 95 < verdict.map[:, half + 3 :].mean() <= 100


def test_order_is_the_measures_own() -> None:
    reference = small()
    pictures = [Image.fromarray(reference) for _ in range(12)]
    files = []
    for quality, picture in enumerate(pictures):
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=5 + 8 * quality)
        files.append(stream.getvalue())
    for name in ("ssim", "mdsi"):
        verdicts = [Measure(name).score(file, reference) for file in files]
        by_score = np.argsort([verdict.score for verdict in verdicts])
        by_raw = np.argsort([verdict.raw for verdict in verdicts])
        assert by_score.tolist() == (by_raw if MEASURES[name].best == 1 else by_raw[::-1]).tolist()


@pytest.mark.slow
def test_threads_and_runs_agree() -> None:
    measure, picture, reference = Measure("vsi"), small("coffee-jpeg"), small()
    wanted = measure.score(picture, reference)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: measure.score(picture, reference), range(8)))
    assert found == [wanted] * 8
    assert all(np.array_equal(one.map, wanted.map) for one in found)


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPARING)
def test_without_a_reference_there_is_nothing_to_compare(name: str) -> None:
    with pytest.raises(ValueError, match="compares a picture with its reference, want one"):
        open_scorer(name).score(small())


@pytest.mark.parametrize("name", ALONE)
def test_a_measure_of_pictures_alone_takes_no_reference(name: str) -> None:
    measure = open_scorer(name)
    verdict = measure.score(small())
    assert verdict.raw == function_of(name)(small())
    assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert not verdict.full_reference
    with pytest.raises(ValueError, match="takes no reference, want the picture alone"):
        measure.score(small(), small())


def test_what_cannot_be_measured_is_an_error_of_the_picture() -> None:
    with pytest.raises(ImageError, match=r"^MS-SSIM: got 60x50, want at least 161 pixels a side$"):
        Measure("ms-ssim").score(np.zeros((50, 60, 3), np.uint8), np.zeros((50, 60, 3), np.uint8))
    with pytest.raises(ImageError, match="got 252x168"):
        Measure("ssim", max_pixels=100).score(small(), small())
    with pytest.raises(ImageError, match="want one size"):
        Measure("ssim").score(small(), small()[1:])
    assert Measure("ssim").score(small()[1:], small(), align="crop").warnings[0].startswith("252x167")


@pytest.mark.parametrize(
    ("name", "meant"), [("sssim", "ssim"), ("ms_ssim", "ms-ssim"), ("SSIM", "ssim"), ("vis", "vsi")]
)
def test_a_wrong_name_is_met_with_the_right_one(name: str, meant: str) -> None:
    with pytest.raises(ModelFileError, match=f"there is no model '{name}', did you mean '{meant}'"):
        open_scorer(name)
    with pytest.raises(ModelFileError, match="there is no measure"):
        Measure(name)


def test_restoring_is_not_for_measures() -> None:
    assert not Measure("ssim").restores
    with pytest.raises(ModelFileError, match="restores nothing"):
        Measure("ssim").restore(np.zeros((1, 3, 64, 64), np.float32))


# ---- the command line -----------------------------------------------------------------------------------------------


def test_the_table_shows_raw_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", PICTURE, "--ref", REFERENCE, "--model", "ssim"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert "raw value" in heading
    assert row.endswith("  ssim 0.7910")


def test_json_and_csv_hold_raw_values(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score", REFERENCE, "--ref", REFERENCE, "--model", "psnr", "--format"]
    assert main([*words, "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["score"], record["raw"], record["model"]) == (100, {"psnr": 100}, "psnr")
    assert main([*words, "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["raw_psnr"] == "100.0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["score", PICTURE, "--model", "ssim"], "--model ssim: scores against references alone, want --ref"),
        (["compare", PICTURE, REFERENCE, "--model", "gmsd"], "--model gmsd: scores against references alone"),
        (["score", PICTURE, "--ref", REFERENCE, "--model", "niqe"], "--model niqe: takes no reference, want one that"),
        (["score", PICTURE, "--model", "ssmi"], "did you mean 'ssim'?"),
        (["explain", PICTURE, "-o", "out", "--restorer", "niqe"], "--restorer niqe: restores nothing"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("iqassay: ")
    assert said in err
    assert err.count("\n") == 1


def test_compare_with_a_measure(capsys: pytest.CaptureFixture[str]) -> None:
    dark = str(EXAMPLES / "coffee-dark.jpg")
    assert main(["compare", dark, PICTURE, "--ref", REFERENCE, "--model", "ssim", "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["better"] == PICTURE
    assert iqassay.compare(dark, PICTURE, REFERENCE, model="ssim").better == "b"


def test_models_mentions_the_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(name in last for name in MEASURES)


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "iqassay.measures.classical")
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(
        ModelFileError, match=r"^ssim needs scipy, which is not installed: want pip install 'scipy>=1\.12'$"
    ):
        open_scorer("ssim")


def test_the_measures_are_those_of_the_module() -> None:
    assert {f"{name.replace('-', '_')}_with_map" for name in COMPARING if hasattr(classical, f"{name}_with_map")} == {
        name for name in vars(classical) if name.endswith("_with_map")
    }
