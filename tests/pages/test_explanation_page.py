"""The explanation page and the command that writes it: all in one file, names stay text, nothing is overwritten."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import WellFormed, write_restorer
from PIL import Image

from iqassay.cli import main
from iqassay.pages import explanation_page
from iqassay.pages.explanation_page import write_page
from iqassay.scoring.explanation import Degradation, Difference, difference, explain
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.verdict import Distortion


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tiny_model: Path, restorer: Path) -> Callable[..., SimpleNamespace]:
    def run(*arguments: object) -> SimpleNamespace:
        given = [str(argument) for argument in arguments]
        for option, value in (("--model", tiny_model), ("--restorer", restorer), ("--threads", 1)):
            if option not in given:
                given += [option, str(value)]
        status = main(["explain", *given])
        caught = capsys.readouterr()
        return SimpleNamespace(status=status, out=caught.out, err=caught.err)

    return run


def refused(result: SimpleNamespace) -> str:
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    return result.err


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_folder_holds_page_data_and_estimate(
    run: Callable[..., SimpleNamespace], noisy: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "why" / "deep"
    result = run(noisy, "-o", folder)
    assert (result.status, result.err) == (0, "")
    assert result.out == f"{folder / 'index.html'}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["estimate.png", "explain.json", "index.html"]
    assert Image.open(folder / "estimate.png").size == (96, 70)
    data = json.loads((folder / "explain.json").read_text(encoding="utf-8"))
    assert data["verdict"]["score"] == pytest.approx(50, abs=2)
    assert data["meaning"] == "flaws plainly visible"
    assert data["nearest"][:2] == [
        {"name": "jpeg", "level": 3, "similarity": 0.9},
        {"name": "none", "level": 0, "similarity": pytest.approx(0.5, abs=0.02)},
    ]
    assert data["estimate"] == "estimate.png"
    assert data["restorer"] == {"name": "dri", "version": "0.0.1"}
    assert 0 < data["change"]["mean"] < 128
    assert np.array(data["change"]["map"]).shape == (35, 48)
    assert np.array(data["quality_map"]).shape == (2, 3)


def test_each_of_several_pictures_has_a_folder(
    run: Callable[..., SimpleNamespace], noisy: Path, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "broken.png").write_bytes(b"nothing")
    other = tmp_path / "other.png"
    for copy in (other, tmp_path / "sub" / "other.png"):
        copy.write_bytes(noisy.read_bytes())
    why = tmp_path / "why"
    result = run(noisy, tmp_path / "broken.png", other, tmp_path / "sub" / "other.png", "-o", why)
    assert result.status == 1
    assert result.err.startswith(f"iqassay: {tmp_path / 'broken.png'}: got ")
    pages = [Path(line) for line in result.out.splitlines()]
    assert pages[0] == why / "noisy.png" / "index.html"
    assert len({page.parent for page in pages}) == 3
    assert all("noisy" in page.read_text() or "other.png" in page.read_text() for page in pages)


class Tags(HTMLParser):
    """Everything that a page could load, its ranges and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.images: list[str] = []
        self.ranges = 0
        self.names: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        given = dict(attrs)
        self.loads += [value for key, value in attrs if key in ("src", "href", "srcset", "action", "data") and value]
        self.ranges += given.get("type") == "range"
        if tag == "img":
            assert given["alt"]
            self.images.append(str(given["src"]))

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(folder: Path) -> Tags:
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import", html)
    tags = Tags(html)
    assert all(value.startswith("data:image/jpeg;base64,") for value in tags.loads)
    assert "link" not in tags.names
    return tags


def test_the_page_is_self_contained_and_says_what_the_data_says(
    run: Callable[..., SimpleNamespace], noisy: Path, tmp_path: Path
) -> None:
    run(noisy, "-o", tmp_path / "why")
    tags = read_page(tmp_path / "why")
    assert tags.ranges == 1
    assert len(tags.images) == 4  # picture, estimate, two maps
    for said in ("96 × 70 pixels", "JPEG compression", "2.0 of 5", "No damage", "tiny 0.0.1", "no restoration tool"):
        assert said in tags.text
    assert "Against its reference" not in tags.text


def test_file_names_are_text(run: Callable[..., SimpleNamespace], noisy: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&quot;$name\n\u202e.png"
    hostile = noisy.rename(tmp_path / name)
    assert run(hostile, "-o", tmp_path / "why").status == 0
    tags = read_page(tmp_path / "why")
    assert "<img src=x onerror=alert(1)>&quot;$name\\n\\u202e.png" in tags.text
    assert json.loads((tmp_path / "why" / "explain.json").read_text(encoding="utf-8"))["picture"] == str(hostile)


class Page(WellFormed):
    """A page whose elements are known, and its text."""

    void = frozenset({"meta", "img", "input"})

    def __init__(self, html: str) -> None:
        self.text = ""
        super().__init__(html)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_word_becomes_markup(noisy: Path, pair_model: Path, restorer: Path) -> None:
    """Whether it comes from a name of a file, a card or a model's answer."""
    hostile = "</script><img src=x>\"'&amp;{{ 7 * 7 }}\n\x1b\u202e\udcff"
    said = "</script><img src=x>\"'&amp;{{ 7 * 7 }}\\n\\x1b\\u202e\\udcff"
    judge, healer = Scorer(pair_model, threads=1), Scorer(restorer, threads=1)
    found = explain(noisy, scorer=judge, restorer=healer, reference=noisy)
    assert found.reference_verdict is not None
    words = {"distortions": (Distortion(hostile, 2.0, 0.9),), "warnings": (hostile,)}
    words |= {"model": hostile, "version": hostile}
    verdict = replace(found.verdict, raws={hostile: 1.0, "b": 2.0}, **words)
    told = explanation_page.page(
        replace(
            found,
            path=hostile.replace("/", ""),
            reference_path=f"in/{hostile.replace('/', '')}",
            verdict=verdict,
            reference_verdict=replace(found.reference_verdict, **words),
            nearest=(Degradation(hostile, 3, 0.5),),
            restorer=replace(found.restorer, name=hostile, version=hostile),
        )
    )
    page = Page(told)
    assert told.count("<script") == 1
    assert told.count("<img") == 7
    for sentence in (
        f"{said.replace('/', '')}: 50 of 100",
        f"beside {said.replace('/', '')}",
        f"{said} {said} ({said}, b): score, damage, quality map",
        f"{said} {said}: restored estimate",
        f"{said}, level 3 of 5",
    ):
        assert sentence in page.text
    assert page.text.count(said) >= 10
    assert "\x1b" not in told


def test_with_a_reference(run: Callable[..., SimpleNamespace], noisy: Path, pair_model: Path, tmp_path: Path) -> None:
    reference = tmp_path / "clean & co.png"
    Image.fromarray(np.asarray(Image.open(noisy)) // 2).save(reference)
    folder = tmp_path / "why"
    assert run(noisy, "--ref", reference, "--model", pair_model, "-o", folder).status == 0
    data = json.loads((folder / "explain.json").read_text(encoding="utf-8"))
    assert data["reference"] == str(reference)
    assert data["reference_verdict"]["score"] != data["verdict"]["score"]
    assert data["loss"]["psnr"] == pytest.approx(10.7, abs=0.3)
    assert data["remaining_loss"]["psnr"] > data["loss"]["psnr"]
    tags = read_page(folder)
    assert len(tags.images) == 7  # three to wipe between, two maps of each score
    for said in ("Against its reference", "beside clean & co.png", f"{data['loss']['psnr']:.2f} dB"):
        assert said in tags.text


def test_the_same_picture_has_no_finite_psnr(
    run: Callable[..., SimpleNamespace], noisy: Path, pair_model: Path, tmp_path: Path
) -> None:
    assert run(noisy, "--ref", noisy, "--model", pair_model, "-o", tmp_path / "why").status == 0
    data = json.loads((tmp_path / "why" / "explain.json").read_text(encoding="utf-8"))
    assert (data["loss"]["psnr"], data["loss"]["mean"]) == (None, 0.0)
    assert "the same picture" in read_page(tmp_path / "why").text


def test_a_restorer_that_does_nothing_is_said_to(
    run: Callable[..., SimpleNamespace], noisy: Path, tmp_path: Path
) -> None:
    for share, said in ((0.0, True), (0.5, False)):
        path = write_restorer(tmp_path, f"by{share}", towards_mean=share)
        run(noisy, "--restorer", path, "-o", tmp_path / "why")
        assert ("nearly as it was" in read_page(tmp_path / "why").text) == said


def test_sizes_that_differ_are_aligned_when_asked(
    run: Callable[..., SimpleNamespace], noisy: Path, pair_model: Path, tmp_path: Path
) -> None:
    reference, folder = tmp_path / "large.png", tmp_path / "why"
    Image.open(noisy).resize((120, 90)).save(reference)
    result = run(noisy, "--ref", reference, "--model", pair_model, "-o", folder)
    assert result.status == 1
    assert "96x70" in result.err
    assert run(noisy, "--ref", reference, "--align", "crop", "--model", pair_model, "-o", folder).status == 0
    assert Image.open(folder / "estimate.png").size == (96, 70)
    assert run(noisy, "--ref", reference, "--align", "resize", "--model", pair_model, "-o", folder).status == 0
    assert Image.open(folder / "estimate.png").size == (120, 90)
    assert "resized from 96x70" in read_page(folder).text


@pytest.mark.slow
def test_large_pictures_are_shrunk_and_get_a_close_up(run: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    path, folder = tmp_path / "wide.png", tmp_path / "why"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 1800, 3), dtype=np.uint8)).save(path)
    assert run(path, "-o", folder).status == 0
    assert Image.open(folder / "estimate.png").size == (1800, 100)
    tags = read_page(folder)
    sizes = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size for uri in tags.images]
    assert sizes[:4] == [(1600, 89), (1600, 89), (640, 100), (640, 100)]
    assert tags.ranges == 2


@pytest.mark.slow
def test_bad_input_is_one_line(
    run: Callable[..., SimpleNamespace], noisy: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "why"
    assert "no such file" in refused(run(tmp_path / "nothing.png", "-o", folder))
    assert "is a folder" in refused(run(tmp_path, "-o", folder))
    assert "--align" in refused(run(noisy, "--align", "crop", "-o", folder))
    assert "--threads" in refused(run(noisy, "--threads", 0, "-o", folder))
    assert "-o" in refused(run(noisy))
    assert "such as 'dri'" in refused(run(noisy, "--restorer", tiny_model, "-o", folder))
    assert "cannot make this folder" in refused(run(noisy, "-o", noisy))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    result = run(broken, "-o", folder)
    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    assert not list(folder.glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["estimate.png", "index.html", "explain.json.partial"])
def test_an_input_is_never_overwritten(
    run: Callable[..., SimpleNamespace], noisy: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "why"
    folder.mkdir()
    precious = noisy.rename(folder / name)
    before = precious.read_bytes()
    other = tmp_path / "other.png"
    other.write_bytes(before)
    assert "is one of the pictures" in refused(run(precious, "-o", folder))
    assert "is one of the pictures" in refused(run(other, "--ref", precious, "-o", folder))
    link = tmp_path / "link.png"
    link.symlink_to(precious)
    assert "is one of the pictures" in refused(run(link, "-o", folder))
    assert precious.read_bytes() == before
    assert len(list(folder.iterdir())) == 1


def test_a_failure_leaves_the_earlier_page(
    noisy: Path, tiny_model: Path, restorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explain(noisy, scorer=Scorer(tiny_model, threads=1), restorer=Scorer(restorer, threads=1))
    first = Path(write_page(found, tmp_path / "why")).read_bytes()

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explanation_page, "page", full)
    with pytest.raises(OSError, match="No space"):
        write_page(found, tmp_path / "why")
    assert (tmp_path / "why" / "index.html").read_bytes() == first
    assert not list((tmp_path / "why").glob("*.partial"))


# ---- pictures on the page --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(3001, 4003), (2000, 700), (100, 5000), (1100, 1100)])
def test_the_close_up_is_where_most_was_changed(height: int, width: int) -> None:
    change = np.zeros((height, width, 3), np.uint8)
    y, x = height * 9 // 10, width // 8
    change[y - 5 : y + 5, x - 5 : x + 5] = 200
    found: Difference = difference(np.zeros_like(change), change)
    top, left, tall, wide = explanation_page.close_up(found, height, width)
    assert top <= y - 5 < y + 5 <= top + tall <= height
    assert left <= x - 5 < x + 5 <= left + wide <= width
    assert sorted((min(tall, 480), min(wide, 640))) == sorted((tall, wide)) or width < height


def test_pictures_that_did_not_change_are_dark_and_much_change_is_light() -> None:
    image = explanation_page.apart_image(Difference(np.array([[0.0, 255.0]], np.float32), 1, 0.0, 0.0))
    assert max(image.getpixel((0, 0))) < 40
    assert min(image.getpixel((1, 0))) > 150
