"""The report of a folder: its numbers, a whole page from hostile names, and pictures that are gone or changed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import WellFormed, write_pair_model
from PIL import Image

from iqassay.commands.report import report as command
from iqassay.folders.columns import read_columns
from iqassay.folders.folder import Pair, score_pairs
from iqassay.folders.records import write_csv, write_json, write_jsonl
from iqassay.models.opening import open_scorer
from iqassay.pages import folder_report, shots
from iqassay.pages.folder_report import UNLIKE, addresses, check_output, choose, summarise, write_report
from iqassay.pages.shots import locate
from iqassay.scoring.model_file import ModelFileError
from iqassay.support.errors import UsageError

HOSTILE = [
    "<script>alert(1)<",
    "a</script><b>",
    "quote\"and'&amp;.png",
    "new\nline\ttab",
    "turned\u202egpj",
    "broken\udcff",
    "$title ${x}",
    "{{ 7 * 7 }}{% raw %}",
]


def record(path, score=50.0, damage=(), warnings=(), model="tiny", version="0.0.1", **more):
    found = [{"name": name, "severity": severity} for name, severity in damage]
    ends = {"low": max(0.0, score - 10), "high": min(100.0, score + 5.25)}
    said = {"raw": {model: score / 100}, "model": model, "version": version, "distortions": found}
    return {"path": path, **more, "score": score, **ends, **said, "warnings": list(warnings)}


def many(count):
    rng = np.random.default_rng(0)
    for i, score in enumerate(rng.uniform(0, 100, count).round(2).tolist()):
        damage = [("jpeg", 2.31), ("white_noise", 4.0)][: i % 3]
        yield record(f"photos/trip {i // 500}/IMG_{i:05}.jpg", score, damage)


def written(path, records, write=write_jsonl):
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as out:
        write(records, out)
    return str(path)


class Page(WellFormed):
    """A page; its data, pictures and words."""

    void = frozenset({"meta", "img", "br", "input", "line", "polyline", "rect"})

    def __init__(self, path):
        self.html = path.read_bytes().decode()  # strictly: the page is UTF-8
        self.figures, self.images, self.words, self.data = [], [], [], ""
        super().__init__(self.html)
        assert not re.search(r"https?://|url\(|@import|\bsrc=\"(?!data:image/jpeg;base64,)", self.html)
        assert "connect-src" not in self.html
        assert "default-src 'none'" in self.html

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert tag != "script" or found.get("type") in (None, "application/json")
        assert "href" not in found
        if tag == "figure":
            self.figures.append(found["id"])
        if tag == "img":
            self.images.append(found)
        super().handle_starttag(tag, attributes)
        self.in_data = found.get("type") == "application/json"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.data += data if self.in_data else ""
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(results, folder, **options):
    notes = write_report(results, str(folder / "page.html"), **options)
    page = Page(folder / "page.html")
    page.notes = notes
    return page


def records_in(page):
    """The records again, from the data of the page."""
    data = json.loads(page.data)

    def path(paths, row):
        return paths["folders"][paths["folder"][row]] + paths["name"][row]

    for row, score in enumerate(data["score"]):
        reference = data["reference"] and path(data["reference"], row)
        paths = {"path": path(data["picture"], row), **({"reference": reference} if reference else {})}
        said = [data["words"][word] for word in data["remarks"][row] or ()]
        if score is None:
            yield {**paths, "error": said[0]}
            continue
        model, version = data["models"][data["model"][row] if data["model"] else 0]
        pairs = data["damage"][row] or []
        yield {
            **paths,
            **{key: float(data[key][row]) for key in ("score", "low", "high")},
            "raw": {name: raws[row] for name, raws in data["raws"].items() if raws[row : row + 1] not in ([], [None])},
            "model": model,
            "version": version,
            "distortions": [
                {"name": data["kinds"][kind][0], "severity": severity / 100}
                for kind, severity in zip(pairs[::2], pairs[1::2], strict=True)
            ],
            "warnings": said,
        }


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_the_summary_is_what_numpy_says():
    records = [*many(501), {"path": "x.png", "error": "no such file"}]
    records[7]["warnings"] = [f"{UNLIKE}: take the score with care", "only 8x8 pixels"]
    scores = np.array([one["score"] for one in records[:-1]])
    summary = summarise(read_columns(records))
    assert (summary.pictures, summary.scored, summary.unlike) == (502, 501, 1)
    assert (summary.lower, summary.median, summary.upper) == tuple(np.percentile(scores, (25, 50, 75)))
    assert (summary.bad, summary.good) == ((scores < 40).sum(), (scores >= 70).sum())
    assert summary.undamaged == sum(not one["distortions"] for one in records[:-1])


def test_bars_count_the_scores(tmp_path):
    scores = [0, 4.99, 5, 39.9, 40, 99, 100]
    page = page_of(written(tmp_path / "r.jsonl", (record(f"{s}.png", float(s)) for s in scores)), tmp_path, examples=0)
    bars = dict(re.findall(r'data-filter="from=(\d+)[^"]*" aria-label="[^:]*: (\d+) picture', page.html))
    assert {start: int(count) for start, count in bars.items() if count != "0"} == {
        "0": 2, "5": 1, "35": 1, "40": 1, "95": 2,
    }  # fmt: skip


def test_unlike_is_the_word_of_the_scorer_and_of_the_script(tiny_model, photo):
    scorer = open_scorer(str(tiny_model))
    white = scorer.read(np.full((600, 600, 3), 255, dtype=np.uint8))
    assert any(UNLIKE in said for said in scorer.score(white).warnings)
    script = Path(folder_report.__file__).with_suffix(".js").read_text(encoding="utf-8")
    assert f'"{UNLIKE}"' in script


def test_worst_best_and_what_lies_between():
    columns = read_columns([{"path": "e", "error": "broken"}, *(record(f"{s}.png", s) for s in (30.0, 10.0, 20.0))])
    assert choose(columns, 1) == ([2], [1], [3])
    assert choose(columns, 12) == ([2, 3], [1], [])
    assert choose(columns, 0) == ([], [], [])
    worst, best, between = choose(read_columns(many(folder_report.ALL_SHOWN + 1)), 5)
    assert (len(worst), len(best), between) == (5, 5, [])


# ---- the page -------------------------------------------------------------------------------------------------------


def test_hostile_names_and_words_stay_text(tmp_path):
    records = [record(name, warnings=[name], damage=[(name, 2.0)], model=name) for name in HOSTILE]
    records += [{"path": f"folder\\{name}/{name}", "error": name} for name in HOSTILE]
    results = written(tmp_path / "r.jsonl", records)
    page = page_of(results, tmp_path, title=HOSTILE[0])
    assert list(records_in(page)) == records
    assert "alert(1)<" in page.text
    assert "<script>alert" not in page.html
    assert "\u202e" not in page.text
    assert "broken\\udcff" in page.text
    assert "{{ 7 * 7 }}{% raw %}" in page.text


@pytest.mark.parametrize("write", [write_json, write_jsonl, write_csv])
def test_nothing_of_the_records_is_lost(tmp_path, write):
    records = [
        record("a/1.png", 12.5, [("jpeg", 3.14), ("my_kind", 0.5)], ["odd"]),
        record("a/2.png", 99.0),
        {"path": "b.png", "error": "broken"},
        {**record("c:\\d\\3.png", 50.12, model="panel"), "raw": {"mfen": -0.5, "yoto": 1.25}},
        record("a/4.png"),
    ]
    page = page_of(written(tmp_path / "results", records, write), tmp_path, examples=0)
    assert list(records_in(page)) == records
    assert "Scored by several models: tiny 0.0.1 (3), panel 0.0.1 (1)" in page.text


def test_a_page_of_errors_alone(tmp_path):
    results = written(tmp_path / "r.jsonl", ({"path": f"{i}.png", "error": "no such file"} for i in range(150)))
    page = page_of(results, tmp_path)
    assert "Could not be scored: 150" in page.text
    assert "And 50 more, in the table." in page.text
    assert "149.png" in page.data
    assert not re.search(r"\bnan\b", page.html.partition("<body>")[2])


@pytest.mark.slow
def test_ten_thousand_pictures_make_a_small_page_and_need_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr(shots, "open_scorer", None)
    monkeypatch.setattr(shots, "read_image", None)
    results = written(tmp_path / "r.jsonl", many(10_000))
    page = page_of(results, tmp_path, examples=0)
    assert len(page.html) < 100_000 + 100 * 10_000
    assert len(json.loads(page.data)["score"]) == 10_000


def test_rows_are_as_tall_in_the_script_as_in_the_style():
    style, script = (Path(folder_report.__file__).with_suffix(end).read_text("utf-8") for end in (".css", ".js"))
    assert re.search(r"const ROW = (\d+)", script)[1] == re.search(r"#rows tr { height: (\d+)px", style)[1]


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Five pictures from dark to bright, scored by the tiny model."""
    (tmp_path / "in").mkdir()
    for level in (40, 80, 120, 160, 200):
        Image.new("RGB", (300, 200), (level, level, level)).save(tmp_path / "in" / f"{level}.png")
    return tmp_path


@pytest.fixture
def results(folder, tiny_model):
    pairs = [Pair(str(path)) for path in sorted((folder / "in").iterdir())]
    return written(folder / "r.jsonl", (one.record() for one in score_pairs(open_scorer(str(tiny_model)), pairs)))


def test_worst_and_best_have_pictures_and_heatmaps(folder, results, tiny_model):
    page = page_of(results, folder, examples=2, model=str(tiny_model))
    order = [list(json.loads(page.data)["picture"]["name"])[int(row[3:])] for row in page.figures]
    assert order == ["40.png", "80.png", "200.png", "160.png", "120.png"]
    assert len(page.images) == 4 * 2 + 1  # the one between has no heatmap
    assert page.notes == []
    assert len(page.html) < 120_000


def test_a_model_that_is_not_at_hand_costs_the_heatmaps_alone(folder, results):
    page = page_of(results, folder)
    assert len(page.images) == 5
    assert len(page.notes) == 1
    assert page.notes[0].startswith("5 pictures: no heatmap: ")
    assert "\n" not in page.notes[0]
    with pytest.raises(ModelFileError):  # but one that was asked for
        page_of(results, folder, model="nosuch")


def test_pictures_that_are_gone_broken_or_changed(folder, results, tiny_model):
    (folder / "in" / "40.png").unlink()
    (folder / "in" / "80.png").write_bytes(b"no picture")
    Image.new("RGB", (300, 200), "white").save(folder / "in" / "200.png")
    page = page_of(results, folder, model=str(tiny_model))
    assert len(page.images) == 2 * 2 + 1
    assert page.text.count("no such file") == 1
    assert "has changed since it was scored" in page.text
    assert len(page.notes) == 2
    assert page.notes[0].startswith("2 of 5 pictures not shown: ")


def test_pictures_that_have_moved(folder, results, tiny_model, capsys):
    (folder / "in").rename(folder / "moved")
    options = {"examples": 1, "model": str(tiny_model), "title": None}
    assert command(results, str(folder / "page.html"), pictures=None, **options) == 0
    assert "--pictures FOLDER says where they are now" in capsys.readouterr().err
    assert command(results, str(folder / "page.html"), pictures=str(folder / "moved"), **options) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (f"{folder / 'page.html'}\n", "")
    with pytest.raises(UsageError, match="no such folder"):
        command(results, str(folder / "page.html"), pictures=str(folder / "nowhere"), **options)


def test_where_a_picture_is_now(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/c.png", "d.png"):
        (tmp_path / name).touch()
    here = str(tmp_path)
    assert locate("/a/b/c.png", here) == locate("..\\b\\c.png", here) == str(tmp_path / "b" / "c.png")
    assert locate("/a/b/d.png", here) == locate("C:\\d.png", here) == str(tmp_path / "d.png")
    assert locate("a/e.png", here) == str(tmp_path / "e.png")
    assert locate("a/e.png", None) == "a/e.png"


def test_references_are_shown_beside_and_shared_ones_once(folder):
    model = str(write_pair_model(folder))
    Image.new("RGB", (300, 200), "gray").save(folder / "reference.png")
    pairs = [Pair(str(path), str(folder / "reference.png")) for path in sorted((folder / "in").iterdir())]
    results = written(folder / "r.jsonl", (one.record() for one in score_pairs(open_scorer(model), pairs)))
    page = page_of(results, folder, model=model)
    assert "against references" in page.text
    shared = [image for image in page.images if image["alt"] == "its reference"]
    assert ["src" in image for image in shared] == [True, False, False, False, False]
    assert {image["data-same"] for image in shared[1:]} == {shared[0]["id"]}
    assert len(page.images) == 5 * 3


# ---- wrong usage ----------------------------------------------------------------------------------------------------


def test_nothing_but_a_page_is_replaced(tmp_path):
    results = tmp_path / "r.jsonl"
    written(results, many(3))
    before = results.read_bytes()
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    for output in ("r.jsonl", "photo.png", ".", "nowhere/page.html"):
        with pytest.raises(UsageError, match="want "):
            write_report(str(results), str(tmp_path / output), 0)
    results.rename(tmp_path / "page.html.partial")  # of a run that was killed
    with pytest.raises(UsageError, match="would replace the results"):
        check_output(str(tmp_path / "page.html.partial"), str(tmp_path / "page.html"))
    assert (tmp_path / "page.html.partial").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html.partial", "photo.png"]


@pytest.mark.parametrize(
    "content", ["", "[]\n", "path,mos\na.png,3\n", '{"image": "a.png"}\n', "\x00\x01", "[[[[", "7"]
)
def test_what_is_no_result_is_one_line(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(UsageError) as error:
        write_report(str(tmp_path / "r.json"), str(tmp_path / "page.html"), 0)
    assert "\n" not in str(error.value)
    assert "r.json" in str(error.value)
    assert not (tmp_path / "page.html").exists()


def test_a_page_is_replaced_as_a_whole(tmp_path, monkeypatch):
    results = written(tmp_path / "r.jsonl", many(3))
    write_report(results, str(tmp_path / "page.html"), 0, title="first")
    before = (tmp_path / "page.html").read_bytes()
    monkeypatch.setattr(folder_report, "page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(results, str(tmp_path / "page.html"), 0)
    assert (tmp_path / "page.html").read_bytes() == before
    monkeypatch.undo()
    write_report(results, str(tmp_path / "page.html"), 0, title="second")
    assert b"second" in (tmp_path / "page.html").read_bytes()


# ---- files, groups and further models -------------------------------------------------------------------------------


def test_pictures_are_addressed_as_seen_from_the_page(tmp_path):
    for name in ("in/a b#1", "in/50%"):
        (tmp_path / name).mkdir(parents=True)
    records = [record(str(tmp_path / "in/a b#1/x.png")), record(str(tmp_path / "in/50%/y.png"))]
    columns = read_columns(records)
    page = str(tmp_path / "pages" / "page.html")
    assert addresses(columns, page, None) == ["../in/a%20b%231/", "../in/50%25/"]
    (tmp_path / "moved/50%").mkdir(parents=True)
    (tmp_path / "moved/50%/y.png").write_bytes(b"")
    assert addresses(columns, page, str(tmp_path / "moved"))[1] == "../moved/50%25/"
    assert addresses(read_columns([record("here.png")]), str(tmp_path / "page.html"), str(tmp_path)) == ["./"]


def test_the_page_may_show_files_and_nothing_from_the_network(tmp_path):
    page = page_of(written(tmp_path / "r.jsonl", [record("a.png")]), tmp_path, examples=0)
    assert "img-src data: file: 'self';" in page.html
    assert "Stacks" not in page.text


def test_groups_sizes_and_further_models_are_on_the_page(tmp_path):
    also = {"ssim": {"score": 40.0, "low": 30.0, "high": 50.0, "version": "1"}}
    sizes = {"width": 640, "height": 480, "bytes": 1234}
    records = [
        record("alone.png"),
        {**record("a.png", 70.0), "group": 1, "place": 1, "best": 0.75, **sizes, "also": also},
        {**record("b.png", 60.0), "group": 1, "place": 2, "best": 0.25, **sizes},
    ]
    page = page_of(written(tmp_path / "r.jsonl", records), tmp_path, examples=0)
    assert "Stacks: the best of each group on top" in page.text
    data = json.loads(page.data)
    assert data["groups"] == {"group": [None, 1, 1], "place": [None, 1, 2], "best": [None, 0.75, 0.25]}
    assert data["sizes"]["bytes"] == [None, 1234, 1234]
    assert data["also"]["score_ssim"] == [None, 40]
    assert data["versions"] == {"ssim": "1"}
    assert list(records_in(page))[1]["score"] == 70.0
