"""A panel of two tiny models that say the mean brightness, one on a scale of its own, the other also of pairs."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_graph, write_model, write_pair_model, write_panel
from PIL import Image

import iqassay
from iqassay.cli import main
from iqassay.folders.records import write_csv
from iqassay.models.opening import open_scorer
from iqassay.pictures.image import Picture
from iqassay.scoring import model_file, panel, scorer, width
from iqassay.scoring.model_file import ModelFileError
from iqassay.scoring.panel import Panel
from iqassay.scoring.scorer import Scorer

# Two points of error where nothing is wrong, more where the members differ.
WIDTH = {"bias": 0.0, "weights": {"spread": 1.0, "none": -0.5}, "least": 2.0, "most": 20.0}
WIDE = {"score": [0.0, 100.0], "below": [2.0, 1.0], "above": [1.0, 0.5], "width": WIDTH, "widest": 50.0}
OWN_SCALE = {"raw": [0.0, 1.0], "score": [20.0, 100.0]}


def flat(value: int, height: int = 80, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_members(folder: Path) -> Path:
    """mfen and yoto, which takes references, in a folder."""
    folder.mkdir(exist_ok=True)
    write_model(folder, "mfen", name="mfen", calibration=OWN_SCALE, unlike={"threshold": 0.7})
    write_pair_model(folder, "yoto")
    return folder


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return write_panel(write_members(tmp_path / "mine"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of members as they are opened."""
    names: list[str] = []
    load = panel.load_model_file
    monkeypatch.setattr(panel, "load_model_file", lambda path, check: (names.append(path.stem), load(path, check))[1])
    return names


# ---- one verdict out of several -------------------------------------------------------------------------------------


def test_the_score_is_the_mean_of_the_members_through_the_panels_table(card: Path) -> None:
    verdict = Panel(card, threads=1).score(flat(51))  # brightness 0.2: mfen 36, yoto 20
    assert verdict.raw == pytest.approx(28, abs=0.01)
    assert verdict.raws == {"mfen": pytest.approx(0.2, abs=1e-4), "yoto": pytest.approx(0.2, abs=1e-4)}
    assert verdict.score == pytest.approx(32.4, abs=0.01)  # 10 + 0.8 * 28
    assert (verdict.model, verdict.version, verdict.full_reference) == ("panel", "0.0.1", False)


def test_the_interval_is_the_floor_and_the_spread_times_the_table(card: Path) -> None:
    verdict = Panel(card, threads=1).score(flat(51))
    # The members are 8 points from their mean, the floor is 4; the multipliers at 32.4 are 1.676 and 0.838.
    assert verdict.score - verdict.low == pytest.approx(1.676 * 12, abs=0.02)
    assert verdict.high - verdict.score == pytest.approx(0.838 * 12, abs=0.02)


def test_a_width_on_the_card_follows_what_the_members_say(card: Path) -> None:
    panel = Panel(write_panel(card.parent, "wide", interval=WIDE), threads=1)
    verdict, answers = panel.score(flat(51)), panel.look(flat(51))
    # The members are 8 points from their mean: exp(ln(2 + 8) - none / 2) points of error; 1.676 and 0.838 at 32.4.
    error = 10 * np.exp(-answers.presence[-1] / 2)
    assert 0 < answers.presence[-1] < 1
    assert verdict.score - verdict.low == pytest.approx(1.676 * error, abs=0.02)
    assert verdict.high - verdict.score == pytest.approx(0.838 * error, abs=0.02)
    most = {**WIDE, "width": {**WIDTH, "most": 3.0}}
    bounded = Panel(write_panel(card.parent, "bounded", interval=most), threads=1).score(flat(51))
    assert bounded.high - bounded.score == pytest.approx(0.838 * 3, abs=0.02)


def test_no_interval_is_wider_than_the_card_allows_but_of_pictures_that_are_unlike(card: Path) -> None:
    narrow = write_panel(card.parent, "narrow", interval={**WIDE, "widest": 3.0})
    verdict = Panel(narrow, threads=1).score(flat(51))
    assert verdict.high - verdict.low == pytest.approx(3)
    assert verdict.score - verdict.low == pytest.approx(2, abs=0.01)  # two thirds below, as before
    unlike = Panel(narrow, threads=1).score(flat(191))  # mfen is doubtful from .7 on
    assert any("unlike" in warning for warning in unlike.warnings)
    assert unlike.high - unlike.low > 3


def test_the_traits_are_those_that_cards_may_name(card: Path) -> None:
    members = [Scorer(card.parent / f"{name}.onnx", threads=1) for name in ("mfen", "yoto")]
    said = [(member.card, member.look(flat(51))) for member in members]
    found = width.traits(said, [36, 20], panel.merge(said, Panel(card).card.weights), 40)
    assert tuple(found) == model_file.TRAITS
    assert (found["spread"], found["score"], found["curve"]) == pytest.approx((np.log(10), 0.4, 0.16))
    assert found["unlike"] == pytest.approx(0.2 / 0.7, abs=1e-3)
    assert found["map"] == pytest.approx(0, abs=0.01)


def test_members_that_agree_leave_the_floor_alone_and_the_scale_has_ends(card: Path) -> None:
    agreed = Panel(card, threads=1).score(flat(255))  # both say 100
    assert agreed.score == pytest.approx(90, abs=0.01)
    assert agreed.score - agreed.low == pytest.approx(1.1 * 4, abs=0.01)
    wide = Panel(write_panel(card.parent, "wide", interval={"score": [0], "below": [9], "above": [9], "spread": 9}))
    for value in (0, 51, 255):
        verdict = wide.score(flat(value))
        assert 0 <= verdict.low <= verdict.score <= verdict.high <= 100
    assert (verdict.low, verdict.high) == (pytest.approx(9, abs=0.01), 100)


def test_members_count_by_their_weights_and_others_where_a_picture_was_generated(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {"weights": {"mfen": 3, "yoto": 1}, "generated": {"mfen": 0, "yoto": 1}}
    both = Panel(write_panel(card.parent, "heavy", **weights), threads=1)
    assert both.score(flat(51)).raw == pytest.approx(0.75 * 36 + 0.25 * 20, abs=0.01)
    ask = both._ask

    def sure(probability: float) -> Callable[[Picture], list]:
        def said(picture: Picture) -> list:
            (one, found), *rest = ask(picture)
            return [(one, replace(found, generated=np.asarray(probability))), *rest]

        return said

    for probability, raw in ((1.0, 20.0), (0.5, 0.5 * 32 + 0.5 * 20)):
        monkeypatch.setattr(both, "_ask", sure(probability))
        verdict = both.score(flat(51))
        assert verdict.raw == pytest.approx(raw, abs=0.01)
    assert Panel(card, threads=1).look(flat(51)).generated == 0


def test_a_member_without_a_share_is_not_asked_but_beside_a_reference(card: Path, opened: list[str]) -> None:
    one = Panel(write_panel(card.parent, "one", weights={"mfen": 1, "yoto": 0}), threads=1)
    verdict = one.score(flat(51))
    assert (verdict.raws, opened) == ({"mfen": pytest.approx(0.2, abs=1e-4)}, ["mfen"])
    assert one.asked(reference=False) == ("mfen",)
    assert one.score(flat(51), flat(51)).raws == {"yoto": 2.0}


@pytest.mark.parametrize("shape", [(80, 100), (700, 900)])
def test_the_map_is_the_mean_of_the_maps_moved_to_the_score(card: Path, shape: tuple[int, int]) -> None:
    picture = noise(*shape)
    picture[:, : shape[1] // 2] //= 3
    both, verdict = Panel(card, threads=1), Panel(card, threads=1).score(picture)
    maps = [Scorer(card.parent / f"{name}.onnx", threads=1).score(picture).map for name in ("mfen", "yoto")]
    want = np.mean(maps, axis=0) + (verdict.score - verdict.raw)
    assert verdict.map.dtype == np.float32
    np.testing.assert_allclose(verdict.map, want, atol=1e-4)
    assert np.ptp(verdict.map) > 10
    assert both.score(flat(255)).map.max() <= 100


def test_distortions_are_merged_by_presence(tmp_path: Path) -> None:
    """One member alone is sure of jpeg, the other of noise; blur is in both, at two severities."""
    write_model(tmp_path, "a", tiny_graph(presence=(0.6, 0.0, 0.3, 0.1), severity=(4.0, 3.0, 1.0)), name="a")
    write_model(tmp_path, "b", tiny_graph(presence=(0.02, 0.2, 0.6, 0.18), severity=(1.0, 3.0, 4.0)), name="b")
    found = Panel(write_panel(tmp_path, of=("a", "b")), threads=1).score(flat(90)).distortions
    assert [item.name for item in found] == ["gaussian_blur", "jpeg"]
    assert [item.probability for item in found] == pytest.approx([0.45, 0.31])
    assert [item.severity for item in found] == pytest.approx([(0.3 * 1 + 0.6 * 4) / 0.9, (0.6 * 4 + 0.02) / 0.62])


def test_warnings_are_united_without_repetition(card: Path) -> None:
    unlike = "unlike the training data, perhaps a frame of one colour: take the score with care"
    both = Panel(card, threads=1)
    assert both.score(flat(150)).warnings == ()
    assert both.score(flat(200)).warnings == (unlike,), "mfen alone says so, from 0.7 on"
    assert both.score(Picture(flat(255, 9, 9), ("odd",))).warnings == (
        "odd",
        "only 9x9 pixels: take the score with care",
        unlike,
    )


def test_members_that_disagree_more_than_on_photos_make_a_picture_unlike(card: Path) -> None:
    kind = "a generated or edited picture, since the models disagree"
    unlike = f"unlike the training data, perhaps {kind}: take the score with care"
    texture = np.random.default_rng(0).integers(40, 60, (80, 100, 3)).astype(np.uint8)  # the members are 8 points apart
    assert Panel(write_panel(card.parent, "far", unlike={"spread": 9.0}), threads=1).score(texture).warnings == ()
    assert Panel(write_panel(card.parent, "near", unlike={"spread": 7.0}), threads=1).score(texture).warnings == (
        unlike,
    )


def test_the_order_of_the_members_does_not_matter(tmp_path: Path) -> None:
    write_members(tmp_path)
    write_model(tmp_path, "dri", name="dri", calibration={"raw": [0, 1], "score": [3, 71]})
    names = ("mfen", "yoto", "dri")
    cards = [write_panel(tmp_path, "panel", order) for order in (names, names[::-1])]
    first, second = (Panel(card, threads=1).score(noise(90, 120)) for card in cards)
    assert first == second
    assert list(first.raws) == list(second.raws) == sorted(names)
    assert np.array_equal(first.map, second.map)


def test_runs_and_threads_do_not_change_a_score(card: Path) -> None:
    one, two, picture = Panel(card, threads=1), Panel(card, threads=2), noise(500, 700)
    first = one.score(picture)
    one.score(flat(3))
    assert one.score(picture) == first
    assert two.score(picture).score == pytest.approx(first.score, abs=0.1)


def test_look_is_what_comes_before_the_panels_table(card: Path) -> None:
    both = Panel(card, threads=1)
    answers, verdict = both.look(flat(51)), both.score(flat(51))
    assert float(answers.score) == verdict.raw
    assert np.allclose(answers.map, 28, atol=0.01)
    assert both.look(flat(200)).unlike > 0 > both.look(flat(150)).unlike
    assert float(both.look(flat(51), flat(102)).score) == both.score(flat(51), flat(102)).raw


def test_a_picture_is_decoded_once(card: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.fromarray(flat(51)).save(tmp_path / "one.png")
    read: list[object] = []
    read_image = scorer.read_image
    monkeypatch.setattr(scorer, "read_image", lambda source, *rest: (read.append(source), read_image(source, *rest))[1])
    Panel(card, threads=1).score(tmp_path / "one.png")
    assert read == [tmp_path / "one.png"]


def test_a_member_that_gives_no_number_is_named(card: Path) -> None:
    nan = np.full((80, 100, 3), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="'mfen' gave nan, want a finite number"):
        Panel(card, threads=1).score(Picture(nan))


# ---- opening --------------------------------------------------------------------------------------------------------


def test_members_are_opened_at_the_first_picture_that_needs_them(card: Path, opened: list[str]) -> None:
    both = Panel(card, threads=1)
    assert opened == []
    for _ in range(2):
        both.score(flat(9))
    assert opened == ["mfen", "yoto"]
    assert repr(both) == "Panel('panel', version 0.0.1, of mfen, yoto)"


def test_members_are_opened_side_by_side(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, together = Panel._open, threading.Barrier(2)

    def opening(self: Panel, name: str) -> Scorer:
        together.wait(10)  # breaks where one waits for the other to be done
        return whole(self, name)

    monkeypatch.setattr(Panel, "_open", opening)
    want = Panel(card, threads=2).score(noise(90, 120))
    monkeypatch.undo()
    assert Panel(card, threads=1).score(noise(90, 120)) == want


def test_many_threads_open_each_member_once(card: Path, opened: list[str]) -> None:
    both, start = Panel(card, threads=1), threading.Barrier(6)
    want = Panel(card, threads=1).score(noise(90, 120))
    opened.clear()

    def work(_: int) -> object:
        start.wait(10)
        return both.score(noise(90, 120))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [want] * 6
    assert sorted(opened) == ["mfen", "yoto"]


def test_a_reference_goes_to_the_member_that_takes_one_and_to_no_other(card: Path, opened: list[str]) -> None:
    (card.parent / "mfen.onnx").write_bytes(b"never opened")
    both, alone = Panel(card, threads=1), Scorer(card.parent / "yoto.onnx", threads=1)
    assert both.takes_reference
    verdict = both.score(flat(51), flat(102))
    assert verdict == alone.score(flat(51), flat(102))
    assert (verdict.model, verdict.full_reference, list(verdict.raws)) == ("yoto", True, ["yoto"])
    assert both.score(flat(9), flat(9, 160, 200), align="resize").score == 98
    assert next(both.score_many([flat(9)], [flat(9)])).score == 98
    assert opened == ["yoto"]
    with pytest.raises(ModelFileError, match="sha256"):
        both.score(flat(9))


def test_a_panel_without_such_a_member_takes_no_reference(tmp_path: Path) -> None:
    for name in "ab":
        write_model(tmp_path, name, name=name)
    both = Panel(write_panel(tmp_path, of=("a", "b")), threads=1)
    assert not both.takes_reference
    for ask in (both.score, both.look):
        with pytest.raises(ValueError, match="'panel' takes no reference, want one that does, such as 'yoto'"):
            ask(flat(1), flat(1))


def test_members_are_looked_up_beside_the_card_before_the_shipped_ones(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "WEIGHTS", card.parent)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = card.rename(elsewhere / "panel.json")
    assert Panel(moved, threads=1).score(flat(51)).raw == pytest.approx(28, abs=0.01)
    write_model(elsewhere, "mfen", tiny_graph(presence=(1, 0, 0, 0)), name="mfen")
    with pytest.raises(ModelFileError, match=r"elsewhere.*mfen\.onnx': got sha256"):
        Panel(moved)


def test_a_panel_is_opened_by_name_and_by_path(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "WEIGHTS", card.parent)
    for name in ("panel", card, str(card), None):
        assert isinstance(open_scorer(name), Panel)
    assert type(open_scorer("mfen")) is Scorer
    assert type(open_scorer(card.parent / "mfen.onnx")) is Scorer
    assert iqassay.load("panel").score(flat(51)).raws.keys() == {"mfen", "yoto"}
    with pytest.raises(ModelFileError, match="'mfen' is one model, want a panel"):
        Panel("mfen")
    with pytest.raises(ModelFileError, match="'panel' is a panel, want one model: mfen, yoto"):
        Scorer("panel")
    with pytest.raises(ValueError, match="threads: got 0"):
        Panel("panel", threads=0)


def refused(card: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        Panel(card)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "mfen.onnx").unlink(), "lacks its member 'mfen': want mfen.onnx beside it"),
        (lambda folder: (folder / "mfen.json").unlink(), "mfen.json' is missing"),
        (lambda folder: write_model(folder, "mfen", tiny_graph(presence=(1, 0, 0, 0)), name="mfen"), "got sha256"),
        (lambda folder: write_model(folder, "mfen", name="mfem"), "got the name 'mfem' on its card, want 'mfen'"),
        (lambda folder: write_model(folder, "mfen", name="mfen", distortions=["a", "b", "c"]), "other distortions"),
        (lambda folder: write_panel(folder, "mfen"), "got the card of a panel"),
    ],
)
def test_a_member_that_does_not_fit_is_named_before_any_picture(
    card: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], said: str
) -> None:
    monkeypatch.setattr(model_file, "WEIGHTS", card.parent)
    change(card.parent)
    assert said in refused(card)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "has both 'members' and 'sha256'"),
        ({"members": {}}, "members are [], want two models or more"),
        ({"members": {"mfen": "0" * 64}}, "members are ['mfen'], want two"),
        ({"members": ["mfen", "yoto"]}, "members is list, want dict"),
        ({"members": {"../mfen": "0", "yoto": "0"}}, "members has '../mfen'"),
        ({"members": {"mfen": 7, "yoto": "0"}}, "members has 'mfen': 7"),
        ({"weights": {"mfen": 1}}, "weights are {'mfen': 1}, want a number of at least 0 for each of mfen, yoto"),
        ({"weights": {"mfen": 2, "yoto": -1}}, "want a number of at least 0"),
        ({"generated": {"mfen": 0, "yoto": 0}}, "generated are {'mfen': 0, 'yoto': 0}"),
        ({"generated": {"mfen": True, "yoto": 0}}, "want a number of at least 0"),
        ({"interval": {"score": [0], "below": [1], "above": [1]}}, "interval.spread is missing"),
        ({"interval": {"score": [0], "below": [1], "above": [1], "spread": 0}}, "interval.spread is 0"),
        ({"interval": {**WIDE, "spread": 2}}, "interval has both 'width' and 'spread', want one of them"),
        ({"unlike": {"spread": 0}}, "unlike.spread is 0, want points above 0"),
        ({"interval": {**WIDE, "widest": 0}}, "interval.widest is 0, want points above 0"),
        (
            {"interval": {**WIDE, "width": {**WIDTH, "weights": {"mood": 1}}}},
            "interval.width.weights has ['mood'], want",
        ),
        ({"interval": {**WIDE, "width": {**WIDTH, "weights": {"map": "1"}}}}, "interval.width.weights.map is '1'"),
        ({"interval": {**WIDE, "width": {**WIDTH, "least": 0}}}, "interval.width runs from 0 to 20 points"),
        ({"interval": {**WIDE, "width": {**WIDTH, "most": 1}}}, "interval.width runs from 2 to 1 points"),
        ({"interval": {**WIDE, "width": {"weights": {}}}}, "interval.width.bias is missing"),
        ({"calibration": {"raw": [0], "score": [101]}}, "want 0 to 100"),
    ],
)
def test_a_senseless_card_is_refused(card: Path, changes: dict[str, object], said: str) -> None:
    assert said in refused(write_panel(card.parent, **changes))


# ---- the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    for value in (51, 102):
        Image.fromarray(flat(value)).save(folder / f"{value}.png")
    return folder


def test_records_and_csv_hold_every_raw_value(card: Path) -> None:
    record = Panel(card, threads=1).score(flat(51)).record("a.png")
    assert record["raw"] == {"mfen": 0.2, "yoto": 0.2}
    out = io.StringIO()
    write_csv([record, {"path": "b", "error": "x"}], out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [(row["raw_mfen"], row["raw_yoto"]) for row in rows] == [("0.2", "0.2"), ("", "")]


def test_the_command_line_scores_maps_and_compares_with_a_panel(
    card: Path, shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(card)]
    maps = shots.parent / "maps"
    assert main(["score", str(shots), *words, "--format", "json", "--map", str(maps)]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [(record["model"], record["score"]) for record in records] == [("panel", 32.4), ("panel", 46.8)]
    assert len(list(maps.iterdir())) == 2
    both = [str(shots / "51.png"), str(shots / "102.png")]
    assert main(["compare", *both, *words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["better"] == both[1]
    assert main(["score", both[0], "--ref", both[0], *words, "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["model"], record["score"], record["raw"]) == ("yoto", 98.0, {"yoto": 2.0})


@pytest.mark.parametrize("damage", ["card", "member", "file"])
def test_a_panel_that_cannot_be_used_is_one_line_and_status_2(
    card: Path, shots: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    if damage == "card":
        write_panel(card.parent, of=("mfen",))
    elif damage == "member":
        write_model(card.parent, "mfen", tiny_graph(presence=(1, 0, 0, 0)), name="mfen")
    else:
        (card.parent / "mfen.onnx").write_bytes(b"damaged")
    assert main(["score", str(shots), "--model", str(card)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("iqassay: ")
    assert errors.count("\n") == 1


def test_members_may_look_at_other_windows_than_their_fellows_or_weigh_the_whole_view_otherwise(tmp_path: Path) -> None:
    """Those of one kind look together, and what they say is what each says alone, in the order of the members."""
    views = {"area": 90000, "window": 256, "max_windows": 6, "global_weight": 0.25}
    wider = {"area": 307200, "window": 384, "max_windows": 96, "global_weight": 0.9}
    for name, changes in (("a", {}), ("b", {"views": views}), ("c", {}), ("d", {"views": wider})):
        write_model(tmp_path, name, name=name, **changes)
    panel = Panel(write_panel(tmp_path, of=("a", "b", "c", "d")), threads=2)
    picture = np.random.default_rng(3).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    picture[:350] //= 2  # or all views would say nearly the same
    alone = {name: Scorer(tmp_path / f"{name}.onnx").score(picture).raw for name in ("a", "b", "c", "d")}
    assert panel.score(picture).raws == alone
    assert len({alone["a"], alone["b"], alone["d"]}) == 3
