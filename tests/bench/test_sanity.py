"""The sanity suite: planted models are found out, and its pictures are what they are called."""

import csv
import math
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import WellFormed, write_model
from PIL import Image

from iqassay.bench import sanity, sanity_figures
from iqassay.bench.report import page as report_page
from iqassay.bench.sanity import (
    ANSWERS,
    Answer,
    Answers,
    Asked,
    ask,
    ends_of,
    given_scores,
    map_auc,
    open_models,
    read_answers,
    write_pictures,
)
from iqassay.bench.sanity_figures import as_csv, figures, read_figures, up_by
from iqassay.bench.sanity_pictures import CONTENTS, HEIGHT, WIDTH, content
from iqassay.bench.sanity_questions import CLEAN, ORDER, SAVED, clean_file, order_here, questions, series_file
from iqassay.bench.sanity_report import by_model, markdown, overview, page, write_sanity
from iqassay.cli import main
from iqassay.scoring.model_file import ModelFileError

pytestmark = pytest.mark.slow

ONE = ("drawing",)  # quick to make
TWO = ("drawing", "screenshot")


def few(monkeypatch, *families):
    """Only these families are asked."""
    monkeypatch.setattr(sanity, "questions", lambda contents: [q for q in questions(contents) if q.family in families])


def planted(score, contents=TWO, **about):
    """Answers of a model that says of a picture whatever a function does."""
    return Answers("planted", of={q.file: Answer(q.file, score(q)) for q in questions(contents)}, **about)


def by_level(score):
    """Answers by the place in its series that a picture has."""

    def said(question):
        if question.family == "order":
            return score(ORDER[question.what].index(int(question.level)))
        return score(0)

    return planted(said)


def same(one, other):
    """Whether two models said the same of every picture; what does not exist is the same as nothing."""
    return {file: repr(answer) for file, answer in one.of.items()} == {f: repr(a) for f, a in other.of.items()}


def value_of(answers, family, what, figure, level="", contents=TWO):
    (found,) = by_model(figures(answers, contents))
    return found(family, what, figure, level)


def asked(score):
    """A scorer by a function of pixels."""
    card = SimpleNamespace(name="planted", version="")
    blank = np.zeros((1, 1))
    scorer = SimpleNamespace(card=card, score=lambda p, r: SimpleNamespace(score=score(p), map=blank))
    return Asked(scorer, Answers("planted"))


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_pictures_have_names_of_their_own_and_every_level_of_a_series_is_one():
    files = [question.file for question in questions()]
    assert len(CONTENTS) == 15
    assert len(set(files)) == len(files) > 900
    levels = [series_file(what, name, k) for what, ks in order_here().items() for k in ks for name in CONTENTS]
    assert set(levels) <= set(files)


@pytest.mark.parametrize("name", TWO)
def test_a_content_is_the_same_every_time(name):
    first = content(name)
    content.cache_clear()
    assert np.array_equal(first, content(name))
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert first.dtype == np.uint8


@pytest.mark.slow
def test_contents_differ_and_have_something_in_them():
    for name in CONTENTS:
        pixels = content(name)
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert pixels.std() > 20, name
        inks = 5 if name == "drawing" else 200  # one ink on paper, and between them what antialiasing makes
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) >= inks, name


@pytest.mark.parametrize("what", ["blur", "noise", "jpeg", "downscale", "pixelate"])
def test_a_series_goes_from_little_damage_to_much(what):
    clean = content("drawing").astype(float)
    made = {q.level: q.make() for q in questions(ONE) if q.what == what and q.family == "order"}
    away = [float(np.abs(made[f"{k}"] - clean).mean()) for k in ORDER[what] if CLEAN.get(what) != k]
    assert away == sorted(away)
    assert away[0] < away[-1] / 2


def test_a_quarter_is_damaged_and_the_rest_left_alone():
    clean = content("drawing")
    for question in (q for q in questions(ONE) if q.family == "where"):
        changed = (question.make() != clean).any(axis=2)
        top, left = question.corner
        inside = changed[top : top + HEIGHT // 2, left : left + WIDTH // 2].sum()
        assert inside == changed.sum() > 0, question.what


# ---- planted models are found out -----------------------------------------------------------------------------------


def test_a_perfect_order_has_no_errors():
    answers = by_level(lambda i: 90 - 10 * i)
    assert value_of(answers, "order", "all", up_by(0.5)) == 0
    assert value_of(answers, "order", "blur", sanity_figures.FALL) == 70
    assert value_of(answers, "order", "blur", sanity_figures.AGAIN) == 0
    assert value_of(answers, "order", "blur", sanity_figures.MEAN, "2") == 70


def test_a_reversed_order_is_caught():
    answers = by_level(lambda i: 20 + 10 * i)
    assert value_of(answers, "order", "all", up_by(2)) == 1
    assert value_of(answers, "order", "jpeg", sanity_figures.FALL) == -70


def test_small_steps_up_count_by_half_a_point_and_not_by_two():
    answers = by_level(lambda i: 50 + i)
    assert value_of(answers, "order", "all", up_by(0.5)) == 1
    assert value_of(answers, "order", "all", up_by(2)) == 0


def test_a_u_shape_is_caught():
    answers = by_level(lambda i: 80 - 20 * min(i, 8 - i))
    assert value_of(answers, "order", "blur", sanity_figures.AGAIN) == 60
    assert 0 < value_of(answers, "order", "blur", up_by(2)) < 1


def test_one_score_for_all_never_falls():
    answers = planted(lambda q: 50.0)
    assert value_of(answers, "order", "all", up_by(0.5)) == 0
    assert "| 0.0 (blur) |" in overview(figures(answers, TWO))
    assert value_of(answers, "extremes", "half gray", sanity_figures.LOSS) == 0


def test_missing_parts_and_flat_pictures_are_told():
    answers = planted(lambda q: {"half gray": 30.0, "flat black": 7.0}.get(q.what, 80.0))
    assert value_of(answers, "extremes", "half gray", sanity_figures.LOSS) == 50
    assert value_of(answers, "extremes", "flat black", sanity_figures.MEAN) == 7


def test_a_mirror_that_matters_is_caught(monkeypatch):
    few(monkeypatch, "clean", "invariance")
    (left,) = ask([asked(lambda p: 50.0 if isinstance(p, bytes) else p[:, :100].mean() / 3)], contents=ONE)
    assert value_of(left, "invariance", "mirror", sanity_figures.WORST, contents=ONE) > 0.5
    (whole,) = ask([asked(lambda p: 50.0 if isinstance(p, bytes) else p.mean() / 3)], contents=ONE)
    assert value_of(whole, "invariance", "mirror", sanity_figures.WORST, contents=ONE) < 1e-9
    assert value_of(whole, "invariance", "quarter turn", sanity_figures.CHANGE, contents=ONE) < 1e-9


def test_the_auc_of_maps():
    clean = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    picture, corner = clean.copy(), (0, WIDTH // 2)
    picture[: HEIGHT // 2, WIDTH // 2 :] = 50
    cells = np.ones((12, 16))
    assert map_auc(cells, corner, picture, clean) == 0.5
    cells[:6, 8:] = 0
    assert map_auc(cells, corner, picture, clean) == 1
    assert map_auc(-cells, corner, picture, clean) == 0
    assert map_auc(cells[::2, ::2], corner, picture, clean) == 1
    assert math.isnan(map_auc(np.zeros((1, 1)), corner, picture, clean))
    odd = np.ones((7, 9))  # the cells of its middle straddle the border
    odd[:3, 5:] = 0
    assert map_auc(odd, corner, picture, clean) == 1


def test_cells_where_nothing_visible_changed_do_not_count():
    clean = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    picture = clean.copy()
    picture[:32, :32] = 0
    cells = np.ones((12, 16))
    cells[0, 0] = 0
    assert map_auc(cells, (0, 0), picture, clean) == 1
    assert math.isnan(map_auc(cells, (0, 0), clean, clean))


# ---- asking ---------------------------------------------------------------------------------------------------------


def test_a_model_is_asked_and_its_map_judged(tiny_model, monkeypatch):
    few(monkeypatch, "clean", "extremes", "invariance", "where")
    (answers,) = ask(open_models([str(tiny_model)]), contents=ONE)
    assert answers.key == ("tiny", "0.0.1", False)
    assert value_of(answers, "extremes", "flat white", sanity_figures.MEAN, contents=ONE) == pytest.approx(100)
    assert value_of(answers, "extremes", "flat black", sanity_figures.MEAN, contents=ONE) == pytest.approx(0)
    assert value_of(answers, "invariance", SAVED, sanity_figures.WORST, contents=ONE) == 0
    assert value_of(answers, "where", "darken", sanity_figures.AUC, contents=ONE) > 0.7  # its map is brightness
    assert value_of(answers, "where", "brighten", sanity_figures.AUC, contents=ONE) < 0.4


def test_beside_references_the_clean_picture_is_one(pair_model, monkeypatch):
    few(monkeypatch, "clean", "extremes", "invariance", "where")
    alone, beside = ask(open_models([str(pair_model)], with_reference=True), contents=ONE)
    assert (alone.reference, beside.reference) == (False, True)
    assert value_of(beside, "clean", "all", sanity_figures.LEAST, contents=ONE) == pytest.approx(98)
    assert value_of(beside, "extremes", "half gray", sanity_figures.LOSS, contents=ONE) > 10
    assert math.isnan(value_of(beside, "invariance", "mirror", sanity_figures.CHANGE, contents=ONE))
    assert math.isnan(value_of(beside, "extremes", "flat gray", sanity_figures.MEAN, contents=ONE))
    assert value_of(beside, "where", "darken", sanity_figures.AUC, contents=ONE) == 1
    assert "pair, with reference" in overview(figures(beside, ONE))


def test_a_panel_answers_for_its_members(shelf, monkeypatch):
    few(monkeypatch, "clean", "extremes", "where")
    (panel, member), (alone,) = (ask(open_models(names), contents=ONE) for names in (["panel", "mfen"], ["mfen"]))
    assert same(member, alone)
    assert len(panel.of) == len(alone.of)


def test_a_run_that_was_stopped_goes_on(tiny_model, tmp_path, monkeypatch):
    few(monkeypatch, "clean", "extremes")
    (whole,) = ask(open_models([str(tiny_model)]), tmp_path / "whole", ONE)
    models, seen = open_models([str(tiny_model)]), []
    score = models[0].scorer.score

    def tiring(*arguments):
        seen.append(1)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(models[0].scorer, "score", tiring)
    with pytest.raises(KeyboardInterrupt):
        ask(models, tmp_path, ONE)
    file = tmp_path / ANSWERS
    with file.open("a") as stream:
        stream.write("tiny,0.0.1,no,half a li")
    assert len(read_answers(file)[0].of) == 4
    (again,) = ask(open_models([str(tiny_model)]), tmp_path, ONE)
    assert same(again, whole)
    assert file.read_bytes() == (tmp_path / "whole" / ANSWERS).read_bytes()


def test_another_model_of_the_same_name_is_refused_and_others_are_kept(tmp_path, monkeypatch):
    few(monkeypatch, "clean")
    ask(open_models([str(write_model(tmp_path, name="ours"))]), tmp_path / "kept", ONE)
    both = ask(open_models([str(write_model(tmp_path, "b", name="theirs"))]), tmp_path / "kept", ONE)
    assert [one.model for one in both] == ["theirs", "ours"]
    other = write_model(tmp_path, "c", name="ours", calibration={"raw": [0.0, 1.0], "score": [0.0, 90.0]})
    with pytest.raises(ValueError, match="answers of another ours"):
        ask(open_models([str(other)]), tmp_path / "kept", ONE)


def test_what_a_measure_refuses_is_a_row_without_a_score(monkeypatch):
    few(monkeypatch, "clean", "extremes")
    from iqassay.pictures.image import ImageError

    def refuses(picture):
        if (picture == picture[0, 0]).all():
            raise ImageError("nothing in it")
        return 50.0

    (answers,) = ask([asked(refuses)], contents=ONE)
    assert value_of(answers, "all", "all", sanity_figures.NO_ANSWER, contents=ONE) == 4  # one is blue
    assert math.isnan(value_of(answers, "extremes", "flat gray", sanity_figures.MEAN, contents=ONE))


# ---- anyone's scores ------------------------------------------------------------------------------------------------


def test_exported_pictures_scored_elsewhere_give_the_same_figures(tiny_model, tmp_path, monkeypatch):
    slow = ("avif", "blur", "webp")
    monkeypatch.setattr(sanity, "questions", lambda contents: [q for q in questions(contents) if q.what not in slow])
    manifest = write_pictures(tmp_path / "pictures", ONE)
    rows = list(csv.DictReader(manifest.open()))
    models = open_models([str(tiny_model)])
    with (tmp_path / "tiny.csv").open("w") as stream:
        stream.write("image,score\n")
        for row in rows:
            with Image.open(tmp_path / "pictures" / row["image"]) as picture:
                stream.write(f"some/where/{row['image']},{models[0].scorer.score(np.array(picture)).score / 100!r}\n")
            assert not row["reference"] or (tmp_path / "pictures" / row["reference"]).is_file()
    (given,) = given_scores(tmp_path / "tiny.csv", 0, 1, ONE)
    (answers,) = ask(models, contents=ONE)
    mine = [one for one in figures(answers, ONE) if one.family not in ("where", "all")]
    theirs = [one for one in figures(given, ONE) if one.family not in ("where", "all")]
    assert [(one.family, one.what, one.level, one.figure) for one in theirs] == [
        (one.family, one.what, one.level, one.figure) for one in mine
    ]
    assert [one.value for one in theirs] == pytest.approx([one.value for one in mine], abs=1e-6)


def scores_file(folder, rows, header="image,score"):
    file = folder / "scores.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_a_family_may_be_missing_and_a_scale_turned_round(tmp_path):
    rows = [f"{q.file},0.25,{n}" for n in "ab" for q in questions(ONE) if q.family in ("clean", "order")]
    a, b = given_scores(scores_file(tmp_path, rows, "image,score,name"), 1, 0, ONE)
    assert (a.model, b.model) == ("a", "b")
    assert a.of[clean_file("drawing")].score == 75
    assert ends_of("1..0") == (1, 0)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("file,mark", ["a.png,1"], "got columns file, mark, want image and score"),
        ("image,score", ["clean-drawing.png,good"], "want a finite number"),
        ("image,score", ["a.png,1", "x/a.png,1"], "line 3: got a second score of a.png"),
        ("image,score", ["a.png,1"], "got 'a.png', want ones like 'clean-landscape.png'"),
        (
            "image,score",
            ["clean-drawing.png,1"],
            "of 14 pictures: clean-landscape.png, clean-foliage.png, clean-bricks.png, ..., want one of each",
        ),
    ],
)
def test_wrong_scores_are_one_line(header, rows, words, tmp_path, capsys):
    status = main(["bench", "sanity", "--scores", str(scores_file(tmp_path, rows, header))])
    said = capsys.readouterr()
    assert status == 2
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "got nothing to ask"),
        (["--model", "nothing_of_ours"], "nothing_of_ours"),
        (["--model", "mfen", "--with-reference"], "want a model that takes references"),
        (["--scores", "nowhere.csv"], "cannot be read"),
        (["--scores", "nowhere.csv", "--scale", "5"], "want WORST..BEST"),
        (["--scores", "nowhere.csv", "--scale", "1..1"], "want WORST..BEST"),
    ],
)
def test_wrong_usage_is_one_line(arguments, words, shelf, capsys):
    assert main(["bench", "sanity", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_unknown_models_are_said_before_any_work():
    with pytest.raises(ModelFileError):
        open_models(["nothing_of_ours"])


def test_a_file_that_is_none_of_ours(tmp_path):
    for name, read in ((ANSWERS, read_answers), (sanity_figures.FILE, read_figures)):
        (tmp_path / name).write_text("a,b\n1,2\n")
        with pytest.raises(ValueError, match="iqassay bench sanity"):
            read(tmp_path / name)


# ---- what is shown --------------------------------------------------------------------------------------------------


class Page(WellFormed):
    void = frozenset({"meta", "img", "br", "line", "circle", "path"})


def test_figures_survive_their_file_and_the_page_is_whole(tmp_path):
    found = [one for shift in (0, 3) for one in figures(by_level(lambda i, s=shift: 90.0 - 10 * i - s), TWO)]
    found = [*found[: len(found) // 2], *figures(planted(lambda q: 50.0, version="2", reference=True), TWO)]
    write_sanity(found, tmp_path)
    assert as_csv(read_figures(tmp_path / sanity_figures.FILE)) == as_csv(found)
    html = (tmp_path / "index.html").read_text()
    Page(html)
    assert "<script src" not in html
    assert html.count('<path class="curve"') == 2 * len(ORDER)
    assert "planted 2, with reference" in html  # two versions are told apart
    assert "#### Invariance" in markdown(found)


def test_the_page_of_the_report_shows_them_too():
    found = figures(by_level(lambda i: 90.0 - 10 * i), TWO)
    html = report_page([], [], sanity=found)
    Page(html)
    assert "The sanity suite" in html
    assert "The sanity suite" not in report_page([], [])
    assert "planted" in page(found)


def test_the_command(tiny_model, tmp_path, monkeypatch, capsys):
    few(monkeypatch, "clean", "extremes", "invariance", "where")
    real = sanity.ask
    monkeypatch.setattr(sanity, "ask", lambda models, folder: real(models, folder, ONE))
    assert main(["bench", "sanity", "--model", str(tiny_model), "-o", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("| model | clean |")
    assert "| tiny |" in said.out
    assert said.err.strip() == str(tmp_path / "index.html")
    assert {file.name for file in tmp_path.iterdir()} == {ANSWERS, "sanity.csv", "sanity.md", "index.html"}


def test_the_report_command_takes_a_folder_of_sanity(tmp_path, capsys):
    from iqassay.bench.results import Results, Row, write_results

    rng = np.random.default_rng(0)
    rows = tuple(Row(f"{i}.png", m, m + rng.normal(0, 5), group=str(i)) for i, m in enumerate(rng.uniform(0, 100, 20)))
    about = {"set": "photos", "model": "ours", "kind": "scores", "split": "all", "reference": False, "scale": [0, 100]}
    write_results(tmp_path / "rated", Results("photos", "ours", rows, about))
    write_sanity(figures(by_level(lambda i: 90.0 - 10 * i), TWO), tmp_path / "sane")
    out = tmp_path / "out"
    folders = [str(tmp_path / "rated"), str(tmp_path / "sane")]
    assert main(["bench", "report", *folders, "-o", str(out), "--no-pictures"]) == 0
    assert "The sanity suite" in (out / "index.html").read_text()
    assert "### Sanity" in (out / "tables.md").read_text()
