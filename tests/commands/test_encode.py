"""`iqassay encode` and `iqassay curve`: the smallest file that reaches a score, and curves of codecs."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image, features

from iqassay.cli import main
from iqassay.folders.encoding import smallest, try_quality
from iqassay.folders.rates import Curves
from iqassay.pages.rate_plot import plot
from iqassay.pictures.encoders import CODECS, decode, encode, find_codecs
from iqassay.pictures.image import Picture
from iqassay.scoring.scorer import Scorer
from iqassay.support.errors import UsageError

Run = Callable[..., SimpleNamespace]
AVIF = pytest.param("avif", marks=pytest.mark.skipif(not features.check("avif"), reason="no AVIF"))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for seed in (1, 2):
        Image.fromarray(np.rint(make_photo(96, 128, seed) * 255).astype(np.uint8)).save(tmp_path / f"in/{seed}.png")
    return tmp_path


@pytest.fixture
def run(photos: Path, pair_model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command with the model whose score falls with the mean difference."""

    def run(*words: object, model: object = pair_model) -> SimpleNamespace:
        status = main([*map(str, words), "--model", str(model), "--threads", "1"])
        caught = capsys.readouterr()
        return SimpleNamespace(status=status, out=caught.out, err=caught.err)

    return run


# ---- codecs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["jpeg", "webp", AVIF])
def test_files_are_of_their_kind_and_grow_with_quality(codec: str) -> None:
    pixels = make_photo(96, 128)
    files = [encode(pixels, codec, quality) for quality in (10, 60, 95)]
    assert [len(file) for file in files] == sorted(len(file) for file in files)
    apart = [np.abs(decode(file) / 255.0 - pixels).mean() for file in files]
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 0.03


def test_what_a_codec_cannot_write_is_said() -> None:
    with pytest.raises(ValueError, match="webp cannot write 17000x1 pixels"):
        encode(np.zeros((1, 17000, 3), np.uint8), "webp", 50)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("jpg", "--codec: got 'jpg', did you mean 'jpeg'?"),
        ("jpeg,jpeg", "got jpeg twice"),
        ("gif", "want some of jpeg, webp, avif, jxl"),
    ],
)
def test_codecs_that_are_not_there_are_refused(names: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_codecs(names)
    assert words in str(caught.value)


def test_jpeg_xl_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(UsageError, match=re.escape("pip install 'pillow-jxl-plugin>=1.3.4'")):
        find_codecs("jxl")


# ---- encode ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [93.0, 96.0])
def test_the_file_is_the_smallest_that_reaches_the_score(pair_model: Path, target: float) -> None:
    scorer = Scorer(pair_model, threads=1)
    original = Picture(np.rint(make_photo(96, 128) * 255).astype(np.uint8))
    found = smallest(original, "jpeg", target, scorer)
    assert found.point is not None
    assert found.point.score >= target
    assert found.point.bytes == len(found.file)
    assert found.point.bits_per_pixel == round(8 * len(found.file) / (96 * 128), 4)
    below, _ = try_quality(original, "jpeg", found.point.quality - 1, scorer)
    assert below.score < target
    assert len(found.tried) <= 8
    assert scorer.score(found.file, original).score == pytest.approx(found.point.score, abs=0.005)


def test_a_score_that_is_out_of_reach_is_said_and_nothing_is_written(run: Run, photos: Path) -> None:
    result = run("encode", "in/1.png", "--target", 98, "--codec", "jpeg", "-o", "out")
    assert result.status == 1
    assert result.err == "iqassay: in/1.png: no codec reaches 98, nothing is written\n"
    assert "at best" in result.out
    assert list((photos / "out").iterdir()) == []


def test_only_the_smallest_of_all_is_written_unless_each_is_wanted(run: Run, photos: Path) -> None:
    words = ("encode", "in", "--target", 92, "--codec", "jpeg,webp", "-o", "out")
    result = run(*words, "--format", "json")
    assert result.status == 0
    rows = json.loads(result.out)
    best = [row for row in rows if row["best"]]
    assert [row["path"] for row in best] == [str(Path("in", "1.png")), str(Path("in", "2.png"))]
    assert all(row["score"] >= 92 for row in best)
    written = sorted((photos / "out").iterdir())
    assert [path.stat().st_size for path in written] == [row["bytes"] for row in best]
    assert [path.suffix for path in written] == [CODECS[row["codec"]].ending for row in best]
    reached = [row for row in rows if row["smallest"]]
    assert len(reached) == 4
    for row in best:
        assert row["bytes"] == min(other["bytes"] for other in reached if other["path"] == row["path"])
    run(*words, "--each")
    assert len(list((photos / "out").iterdir())) == 4
    table = run(*words).out.splitlines()
    assert table[0].startswith(f"{Path('in', '1.png')}: ")
    assert sum(line.endswith("smallest") for line in table) == 2
    rows = list(csv.DictReader(run(*words, "--format", "csv").out.splitlines()))
    assert rows[0].keys() >= {"path", "codec", "quality", "bytes", "bits_per_pixel", "score", "best"}


def test_an_original_is_never_replaced(run: Run, photos: Path) -> None:
    Image.open("in/1.png").save("in/3.jpg")
    before = Path("in/3.jpg").read_bytes()
    result = run("encode", "in/3.jpg", "--target", 50, "--codec", "jpeg", "-o", "in")
    assert result.status == 2
    assert "is one of the originals" in result.err
    assert Path("in/3.jpg").read_bytes() == before
    Image.open("in/1.png").save("in/1.jpg")
    assert "names differ in their endings alone" in run("encode", "in", "--target", 50, "-o", "out").err


def test_a_picture_that_cannot_be_read_costs_no_other(run: Run, photos: Path) -> None:
    Path("in/0.png").write_bytes(b"nothing")
    result = run("encode", "in", "--target", 90, "--codec", "jpeg", "-o", "out")
    assert result.status == 1
    assert result.err.startswith(f"iqassay: {Path('in', '0.png')}: got ")
    assert len(list((photos / "out").iterdir())) == 2


# ---- curve ----------------------------------------------------------------------------------------------------------


def test_curves_are_plotted_and_compared(run: Run, photos: Path) -> None:
    pytest.importorskip("scipy")
    words = ("curve", "in", "--codec", "jpeg,webp", "--qualities", "10,30,60,90", "-o", "out")
    result = run(*words, model="psnr,gmsd")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("psnr, 2 pictures: bytes at the same quality against jpeg\n  webp  ")
    assert sorted(path.name for path in Path("out").iterdir()) == ["bd_rate.csv", "curve.csv", "gmsd.svg", "psnr.svg"]
    with Path("out/curve.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 2 * 2 * 4 * 2
    assert float(rows[0]["bits_per_pixel"]) == round(8 * int(rows[0]["bytes"]) / (96 * 128), 4)
    with Path("out/bd_rate.csv").open(newline="") as table:
        rates = list(csv.DictReader(table))
    assert [(row["model"], row["codec"], row["against"]) for row in rates] == [
        *[("psnr", "webp", "jpeg")] * 2,
        *[("gmsd", "webp", "jpeg")] * 2,
    ]
    assert all(row["bd_rate_percent"] for row in rates)
    picture = ElementTree.parse("out/psnr.svg").getroot()
    assert len(picture.findall("{http://www.w3.org/2000/svg}path")) == 2
    assert len(picture.findall("{http://www.w3.org/2000/svg}circle")) == 8
    assert "http" not in Path("out/psnr.svg").read_text().replace("http://www.w3.org/2000/svg", "")


def test_the_name_of_a_model_is_no_markup_in_a_plot(pair_model: Path) -> None:
    curves = Curves([("<b>", "1 & 2")], ["jpeg"])
    scorer = Scorer(pair_model, threads=1)
    original = Picture(np.rint(make_photo(64, 64) * 255).astype(np.uint8))
    curves.add("x", ([try_quality(original, "jpeg", quality, scorer)[0]] for quality in (10, 50)))
    assert ElementTree.fromstring(plot(curves, "<b>"))[0].text == (
        "Score of <b> 1 & 2 over size, mean of 1 picture against the original; higher is better"
    )


@pytest.mark.parametrize("qualities", ["10,20,30", "10,20,30,x", "10,20,30,101", "10,10,20,30"])
def test_qualities_must_be_four_numbers(run: Run, qualities: str) -> None:
    pytest.importorskip("scipy")
    result = run("curve", "in", "--qualities", qualities, "-o", "out")
    assert result.status == 2
    assert "want at least 4 different numbers from 0 to 100" in result.err
