"""Explanations, by a stand-in restorer whose estimate lies between the picture and the mean of the window it sees."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import tracemalloc
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from conftest import KINDS, make_photo, tiny_graph, write_model
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from iqassay.cli import main
from iqassay.data.distortions import KINDS as ALL_KINDS
from iqassay.pages import page
from iqassay.pages.page import write_page
from iqassay.scoring import words
from iqassay.scoring.explanation import MARGIN, Difference, difference, explain, nearest, restore
from iqassay.scoring.model_file import ModelFileError
from iqassay.scoring.scorer import Scorer
from iqassay.scoring.tiles import block_means

NEARNESS = np.array([*(0.1, 0.2, 0.9, 0.3, 0.2), *(0.0, 0.0, 0.0, 0.0, 0.5), *(-0.4, -0.3, -0.2, -0.3, -0.4), 0.0])
SMALL = {"area": 128 * 128, "window": 64, "max_windows": 4, "global_weight": 0.5}  # windows of 128, with the margin


def write_restorer(folder: Path, stem: str = "dri", towards_mean: float = 0.0, **changes: object) -> Path:
    """The tiny model, with a restored estimate, and a nearness whose last value is the mean of the window."""
    model = onnx.load_from_string(tiny_graph())
    graph = model.graph
    last = np.zeros((1, len(NEARNESS)), dtype=np.float32)
    last[0, -1] = 1
    for name, values in (("share", np.float32(towards_mean)), ("last_one", last), ("near", NEARNESS[None])):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
    graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3]), "sides"))
    node = helper.make_node
    graph.node.extend(
        [
            node("Unsqueeze", ["mean", "sides"], ["level"]),
            node("Sub", ["level", "image"], ["away"]),
            node("Mul", ["away", "share"], ["step"]),
            node("Add", ["image", "step"], ["estimate"]),
            node("Mul", ["column", "last_one"], ["brightness"]),
            node("Add", ["brightness", "near"], ["nearness"]),
        ]
    )
    for name, shape in (("estimate", ["B", 3, "H", "W"]), ("nearness", ["B", len(NEARNESS)])):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return write_model(folder, stem, model.SerializeToString(), **{"name": stem, **changes})


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_restorer(tmp_path_factory.mktemp("restorer"), towards_mean=0.5)


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A restorer that changes nothing, and calls pictures large early."""
    return Scorer(write_restorer(tmp_path_factory.mktemp("keeper"), views=SMALL), threads=1)


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    path = tmp_path / "noisy.png"
    pixels = np.random.default_rng(1).integers(0, 256, (70, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


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


# ---- restoring ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (33, 70), (128, 128), (129, 128), (128, 600), (301, 517), (5, 3000)])
def test_windows_put_together_are_the_whole_picture(keeper: Scorer, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    estimate, _ = restore(pixels, keeper)
    assert estimate.dtype == np.uint8
    np.testing.assert_array_equal(estimate, pixels)


def test_depth_is_kept_until_the_end(keeper: Scorer) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (140, 150, 3), dtype=np.uint16)
    np.testing.assert_array_equal(restore(deep, keeper)[0], np.rint(deep / 257))
    np.testing.assert_array_equal(restore((deep / 65535).astype(np.float32), keeper)[0], np.rint(deep / 257))


def test_no_seams_between_windows_that_disagree(tmp_path: Path) -> None:
    """Each window alone would be one flat gray; what is left of a step between two is spread over the overlap."""
    flat = Scorer(write_restorer(tmp_path, towards_mean=1.0, views=SMALL), threads=1)
    ramp = np.broadcast_to(np.linspace(0, 255, 600)[None, :, None], (300, 600, 3)).astype(np.uint8)
    both = np.stack([ramp[..., 0], ramp[..., 0].T[:300, :300].repeat(2, axis=1), ramp[..., 0]], axis=-1)
    for pixels in (ramp, both):
        estimate = restore(np.ascontiguousarray(pixels), flat)[0].astype(int)
        assert np.ptp(estimate) > 100  # the windows do disagree: by up to 40 between neighbours
        for axis in (0, 1):
            assert np.abs(np.diff(estimate, axis=axis)).max() <= math.ceil(40 / MARGIN) + 1


def test_nearness_is_the_mean_over_windows(keeper: Scorer) -> None:
    pixels = np.zeros((300, 1000, 3), np.uint8)
    pixels[:, 500:] = 255
    _, near = restore(pixels, keeper)
    np.testing.assert_allclose(near[:-1], NEARNESS[:-1], atol=1e-6)
    assert near[-1] == pytest.approx(0.5, abs=1e-6)  # the mean of what each window saw


def test_memory_stays_near_that_of_the_two_pictures(tmp_path: Path) -> None:
    restorer = Scorer(write_restorer(tmp_path, views={**SMALL, "window": 192}), threads=1)
    pixels = np.zeros((2400, 1200, 3), np.uint8)
    tracemalloc.start()
    try:
        restore(pixels, restorer)
        assert tracemalloc.get_traced_memory()[1] < 3 * pixels.nbytes  # as floats it would be four times
    finally:
        tracemalloc.stop()


def test_a_model_that_does_not_restore_names_one_that_does(tiny_model: Path, noisy: Path) -> None:
    scorer = Scorer(tiny_model, threads=1)
    assert not scorer.restores
    with pytest.raises(ModelFileError, match=r"'tiny' restores nothing, want one that does, such as 'dri'"):
        explain(noisy, scorer=scorer, restorer=scorer)


def test_no_numbers_are_an_error(tmp_path: Path) -> None:
    broken = Scorer(write_restorer(tmp_path, towards_mean=0.5), threads=1)
    with pytest.raises(ModelFileError, match="are no numbers"):
        restore(np.full((64, 64, 3), np.nan, np.float32), broken)


# ---- nearest, difference --------------------------------------------------------------------------------------------


def test_nearest_has_each_kind_once_at_its_best_level_and_none() -> None:
    found = [(near.name, near.level, round(near.similarity, 6)) for near in nearest(NEARNESS, KINDS)]
    assert found == [("jpeg", 3, 0.9), ("white_noise", 5, 0.5), ("none", 0, 0.0), ("gaussian_blur", 3, -0.2)]
    assert [near.name for near in nearest(NEARNESS, KINDS, most=2)] == ["jpeg", "white_noise"]


def test_nearness_of_another_card_is_refused() -> None:
    with pytest.raises(ModelFileError, match="got a nearness of 16 values"):
        nearest(NEARNESS, KINDS[:2])


def test_difference_of_known_pictures() -> None:
    a, b = np.full((30, 40, 3), 100, np.uint8), np.full((30, 40, 3), 110, np.uint8)
    b[:, :20] = 100
    found = difference(a, b)
    assert found.mean == pytest.approx(5, rel=1e-5)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 / 50), abs=1e-4)
    np.testing.assert_allclose(found.map, np.abs(a - b.astype(float)).mean(2), atol=1e-4)
    assert difference(a, (a * 257.0).astype(np.uint16)).psnr == math.inf  # the same picture at another depth


def test_difference_of_a_large_picture_is_averaged_in_squares() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (131, 2500, 3), dtype=np.uint8) for _ in range(2))
    found = difference(a, b)
    apart = np.abs(a.astype(float) - b).mean(2)
    assert (found.cell, found.map.shape) == (3, (44, 834))
    assert found.map[0, 0] == pytest.approx(apart[:3, :3].mean(), rel=1e-5)
    assert found.map[-1, -1] == pytest.approx(apart[129:, 2499:].mean(), rel=1e-5)
    assert found.mean == pytest.approx(apart.mean(), rel=1e-5)


def test_block_means_of_what_is_left() -> None:
    np.testing.assert_allclose(block_means(np.arange(15.0).reshape(3, 5), 2), [[3, 5, 6.5], [10.5, 12.5, 14]])


# ---- explain --------------------------------------------------------------------------------------------------------


def test_an_explanation_has_both_verdicts_and_differences(pair_model: Path, restorer: Path) -> None:
    clean = make_photo(80, 100)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.1, clean.shape), 0, 1).astype(np.float32)
    judge = Scorer(pair_model, threads=1)
    found = explain(noisy, reference=clean, scorer=judge, restorer=Scorer(restorer, threads=1))
    assert found.reference_verdict is not None
    assert found.loss is not None
    assert found.remaining_loss is not None
    assert found.verdict == judge.score(noisy)
    assert found.reference_verdict == judge.score(noisy, clean)
    expected = noisy + 0.5 * (np.pad(noisy, ((0, 16), (0, 28), (0, 0)), mode="reflect").mean() - noisy)
    np.testing.assert_allclose(found.estimate / 255, expected, atol=0.003)
    assert found.loss.psnr == pytest.approx(10 * np.log10(1 / ((noisy - clean) ** 2).mean()), abs=0.01)
    assert found.remaining_loss.mean == pytest.approx(255 * np.abs(expected - clean).mean(), rel=0.01)
    assert found.change.mean == pytest.approx(255 * np.abs(expected - noisy).mean(), rel=0.01)
    assert found.path == found.reference_path == ""


def test_without_a_reference_there_is_none(noisy: Path, tiny_model: Path, restorer: Path) -> None:
    found = explain(noisy, scorer=Scorer(tiny_model, threads=1), restorer=Scorer(restorer, threads=1))
    assert found.path == str(noisy)
    assert found.reference is found.reference_verdict is found.loss is found.remaining_loss is None
    assert "reference_verdict" not in found.record()


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


def test_large_pictures_are_shrunk_and_get_a_close_up(run: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    path, folder = tmp_path / "wide.png", tmp_path / "why"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 1800, 3), dtype=np.uint8)).save(path)
    assert run(path, "-o", folder).status == 0
    assert Image.open(folder / "estimate.png").size == (1800, 100)
    tags = read_page(folder)
    sizes = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size for uri in tags.images]
    assert sizes[:4] == [(1600, 89), (1600, 89), (640, 100), (640, 100)]
    assert tags.ranges == 2


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

    monkeypatch.setattr(page, "page", full)
    with pytest.raises(OSError, match="No space"):
        write_page(found, tmp_path / "why")
    assert (tmp_path / "why" / "index.html").read_bytes() == first
    assert not list((tmp_path / "why").glob("*.partial"))


# ---- words and pictures on the page ---------------------------------------------------------------------------------


def test_every_kind_has_its_words() -> None:
    assert set(words.KINDS) == set(ALL_KINDS)
    assert len({title for title, _, _ in words.KINDS.values()}) == len(ALL_KINDS)
    assert words.about("my_own_kind") == ("My own kind", "", "")


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (0, "ruined"),
        (12, "ruined"),
        (20, "between ruined and bad"),
        (48.5, "flaws plainly visible"),
        (62, "between flaws plainly visible and good"),
        (75, "good"),
        (85, "flawless at a normal look"),
        (100, "flawless at a normal look"),
    ],
)
def test_scores_in_words(score: float, said: str) -> None:
    assert words.meaning(score) == said


@pytest.mark.parametrize(("height", "width"), [(3001, 4003), (2000, 700), (100, 5000), (1100, 1100)])
def test_the_close_up_is_where_most_was_changed(height: int, width: int) -> None:
    change = np.zeros((height, width, 3), np.uint8)
    y, x = height * 9 // 10, width // 8
    change[y - 5 : y + 5, x - 5 : x + 5] = 200
    found: Difference = difference(np.zeros_like(change), change)
    top, left, tall, wide = page.close_up(found, height, width)
    assert top <= y - 5 < y + 5 <= top + tall <= height
    assert left <= x - 5 < x + 5 <= left + wide <= width
    assert sorted((min(tall, 480), min(wide, 640))) == sorted((tall, wide)) or width < height


def test_pictures_that_did_not_change_are_dark_and_much_change_is_light() -> None:
    image = page.apart_image(Difference(np.array([[0.0, 255.0]], np.float32), 1, 0.0, 0.0))
    assert max(image.getpixel((0, 0))) < 40
    assert min(image.getpixel((1, 0))) > 150
