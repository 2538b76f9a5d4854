"""The report: a whole page from odd results, nothing from outside in it, and every chart there or left out."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import WellFormed
from PIL import Image
from typer.testing import CliRunner

from iqassay.bench import charts, report, summary
from iqassay.bench.published import published_markdown, published_tables, read_published
from iqassay.bench.report import write_report
from iqassay.bench.results import Results, Row, write_results
from iqassay.commands.bench import bench
from iqassay.pages.templates import environment

HOSTILE = "<script>alert(1)</script>\"'&|{{ 7 * 7 }}"


@pytest.fixture(autouse=True)
def few_splits(monkeypatch):
    monkeypatch.setattr(summary, "SEEDS", 2)


def results_of(rows, model="ours", name="photos", **about):
    facts = {"set": name, "model": model, "kind": "network", "version": "1.2.0", "sha256": "feed" * 16}
    more = {"split": "test", "reference": False, "scale": [1, 5], "folder": "/nowhere", "iqassay": "9.9"}
    return Results(name, model, tuple(rows), facts | more | about)


def photos(count=60, noise=8.0, draw=0, **more):
    rng = np.random.default_rng(draw)
    mos = np.random.default_rng(99).uniform(5, 95, count)
    return [
        Row(f"{i:03}.png", m, m + e, m + e - 15, m + e + 15, group=f"g{i}", subset=f"s{i % 2}", **more)
        for i, (m, e) in enumerate(zip(mos, rng.normal(0, noise, count), strict=True))
    ]


def damaged():
    rng = np.random.default_rng(1)
    return [
        Row(f"{c}-{kind}-{level}.png", mos := 95 - 15 * level + rng.normal(0, 3), mos + rng.normal(0, 6),
            reference=f"{c}.png", group=str(c), distortion=kind, level=level, deviation=12, votes=20)
        for c in range(6) for kind in ("blur", "noise") for level in range(1, 6)
    ]  # fmt: skip


class Page(WellFormed):
    """A page; what is drawn and loaded, and its text."""

    void = frozenset({"meta", "img", "br", "line", "circle", "path"})

    def __init__(self, html):
        self.classes, self.sources, self.words, self.headings = [], [], [], []
        super().__init__(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.classes += (found.get("class") or "").split()
        self.sources += [found[key] for key in ("src", "href", "data", "srcset", "action") if key in found]
        super().handle_starttag(tag, attributes)

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


def page_of(found, folder, **options):
    path = write_report(found, folder, resamples=20, **options)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert not re.search(r"https?://|url\(|@import", html)
    assert not re.search(r"\b(nan|inf|None)\b", html.partition("<body>")[2])
    assert all(source.startswith(("#", "data:image/jpeg;base64,")) for source in page.sources)
    return page


@pytest.mark.slow
def test_a_full_report(tmp_path):
    found = [
        results_of(photos(), "panel"),
        results_of(photos(noise=25, draw=1), "niqe", kind="measure", sha256=""),
        results_of(damaged(), "ssim", "damaged", kind="measure", reference=True),
        results_of(damaged(), "twin", "damaged"),
        results_of([r for s in "012" for r in photos(40, 5, int(s), seed=s)], "net", kind="trained",
                   choice="validation epoch", recipe={"epochs": 3}),
    ]  # fmt: skip
    page = page_of(found, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["index.html", "tables.csv", "tables.md"]
    for heading in ("SRCC", "All measures", "Score against MOS", "Which differences are real", "Over splits",
                    "Residuals by subset", "Residuals by distortion type", "Level of damage", "Calibration",
                    "Mean SRCC inside groups", "How it was measured"):  # fmt: skip
        assert heading in page.headings, heading
    for kind in ("points", "curve", "band", "range", "dot", "people", "win", "lose"):
        assert kind in page.classes, kind
    text = " ".join(page.words)
    assert "3 splits" in text
    assert "with references" in text
    assert "feedfeedfeed" in text
    assert "▲" in text
    assert (tmp_path / "out" / "tables.md").read_text(encoding="utf-8").count("### ") == 3
    rows = list(csv.DictReader((tmp_path / "out" / "tables.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["model"] for row in rows} == {"panel", "niqe", "ssim", "twin", "net"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [
        photos(3),
        [replace(row, score=np.inf if i % 2 else np.nan) for i, row in enumerate(photos())],
        [replace(row, group="", subset="", low=np.nan, high=np.nan) for row in photos()],
        [replace(row, score=50.0) for row in photos()],
        [replace(row, error="cannot be read", score=np.nan) if i % 2 else row for i, row in enumerate(photos())],
        [replace(row, error="cannot be read", score=np.nan) for row in photos()],
        photos(40, seed="0"),
        [replace(row, group="one") for row in photos()],
    ],
    ids=["three", "no numbers", "bare", "constant", "errors", "nothing", "one seed", "one content"],
)
def test_odd_results(tmp_path, rows):
    page = page_of([results_of(rows)], tmp_path)
    assert "Which differences are real" not in page.headings
    page_of([results_of(rows), results_of(photos(seed=rows[0].seed), "other")], tmp_path)


def test_hostile_names_are_words(tmp_path):
    rows = [
        replace(row, subset=HOSTILE + row.subset, distortion=HOSTILE, image=HOSTILE + row.image) for row in photos()
    ]
    about = {
        "version": HOSTILE,
        "choice": HOSTILE,
        "split": HOSTILE,
        "recipe": {HOSTILE: HOSTILE},
        "scale": [HOSTILE] * 2,
    }
    found = [results_of(rows, HOSTILE, HOSTILE, **about), results_of(rows, "\x1b[2J", HOSTILE, **about)]
    page = page_of(found, tmp_path)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert html.count("<script") == 1
    assert "\x1b" not in html
    assert HOSTILE in " ".join(page.words)


def test_findings_stand_at_the_top(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "check_results", lambda one: ["gave <50.0>"] if one.model == "stuck" else [])
    page = page_of([results_of(photos(), "stuck"), results_of(photos(draw=1), "fine")], tmp_path)
    assert page.words.index("photos, stuck: gave <50.0>") < page.words.index("SRCC")
    assert "warnings" not in page_of([results_of(photos())], tmp_path).classes


@pytest.mark.slow
def test_worst_pictures_are_shown_where_they_can_be_read(tmp_path):
    rows = photos()
    (tmp_path / "set").mkdir()
    for row in rows[:55]:
        Image.new("RGB", (300, 400), (9, 99, 200)).save(tmp_path / "set" / row.image)
    found = [results_of(rows, folder=str(tmp_path / "set"))]
    page = page_of(found, tmp_path / "out")
    shown = [source for source in page.sources if source.startswith("data:")]
    assert "Worst pictures" in page.headings
    assert 5 <= len(shown) <= 12
    assert not any(s.startswith("data:") for s in page_of(found, tmp_path / "out", pictures=False).sources)
    assert "Worst pictures" not in page_of([results_of(rows)], tmp_path / "out").headings


def test_many_points_are_thinned_and_said_to_be(tmp_path):
    page = page_of([results_of(photos(2500))], tmp_path)
    assert any("2,000 of 2,500 points" in words for words in page.words)
    assert (tmp_path / "index.html").stat().st_size < 150_000


def test_one_model_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got ours on photos, split test twice"):
        write_report([results_of(photos()), results_of(photos())], tmp_path, resamples=20)


# ---- published figures ----------------------------------------------------------------------------------------------

PUBLISHED = """set,method,srcc,plcc,source,protocol
LIVE,YOTO,0.986,0.986,their table,best test epoch
KADID-10k,YOTO,0.941,0.942,their table,best test epoch
LIVE,BRISQUE,0.929,,their table,best test epoch
BIQ2021,BRISQUE,0.60,,its authors,official split
"""


def test_published_figures_stand_apart(tmp_path):
    file = tmp_path / "published.csv"
    file.write_text(PUBLISHED, encoding="utf-8")
    figures = read_published(file)
    first, second = published_tables(figures)
    assert first.sets == ("LIVE", "KADID-10k")
    assert first.rows == {"YOTO": ("0.986 / 0.986", "0.941 / 0.942"), "BRISQUE": ("0.929 / –", "–")}
    assert second.rows == {"BRISQUE": ("0.60 / –",)}
    assert "| YOTO | 0.986 / 0.986 | 0.941 / 0.942 |" in published_markdown(figures)
    page = page_of([results_of(photos())], tmp_path / "out", published=figures)
    assert "Published: their data, their protocol; not comparable" in page.headings
    tables = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    assert tables.index("### photos") < tables.index("### Published")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set,method\n", "got columns set, method, want set, method, srcc, plcc, source, protocol"),
        (PUBLISHED.replace("0.929", "92.9"), "line 4: got srcc '92.9', want -1 to 1, or nothing"),
        (PUBLISHED.replace("0.929", "high"), "line 4: got srcc 'high', want -1 to 1, or nothing"),
    ],
)
def test_published_figures_that_are_none(tmp_path, text, message):
    file = tmp_path / "published.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_published(file)


# ---- charts ---------------------------------------------------------------------------------------------------------


def test_ticks_are_round_numbers():
    assert charts.ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert charts.ticks(0.83, 0.98, 4) == [0.85, 0.9, 0.95]
    assert charts.ticks(-3, 7) == [-2, 0, 2, 4, 6]
    assert charts.ticks(5, 5) == [5]


def strips(*chart):
    return environment.get_template("bench/charts.html").module.strips(charts.Strips(*chart))


def test_strips_put_numbers_where_they_are():
    row = charts.Strip("a", 0.5, 0.25, 0.75, "0.5")
    html = strips([row], "title", (0.0, 1.0))
    assert 'cx="50.00%"' in html
    assert 'x1="25.00%" x2="75.00%"' in html
    assert charts.strips_span([[row]], limit=0.76) == (0.22, 0.76)
    assert 'class="axis"' in strips([row], "title", (-1.0, 1.0))


def test_a_frame_turns_the_axis_up():
    frame = charts.Frame((0, 10), (0, 100))
    assert frame.at(0, 0) == (charts.LEFT, charts.HEIGHT - charts.BOTTOM)
    assert frame.at(10, 100) == (charts.WIDTH - charts.RIGHT, charts.TOP)


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    for one in (results_of(photos()), results_of(photos(noise=20), "other"), results_of(damaged(), name="damaged")):
        write_results(tmp_path / "kept", one)
    return tmp_path / "kept"


@pytest.mark.slow
def test_the_command_prints_the_page_it_wrote(kept, tmp_path):
    arguments = [
        "report",
        str(kept),
        "-o",
        str(tmp_path / "out"),
        "--set",
        "photos",
        "--no-pictures",
        "--resamples",
        "20",
    ]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0
    assert result.output.strip() == str(tmp_path / "out" / "index.html")
    tables = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    assert "| other |" in tables
    assert "damaged" not in tables


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "live"], "--set: got live, want one of damaged, photos"),
        (["--model", "theirs"], "--model: got theirs, want one of ours, other"),
        (["--set", "damaged", "--model", "other"], "got other, want one of ours"),
    ],
)
def test_the_command_refuses_what_is_not_there(kept, tmp_path, options, message):
    result = CliRunner().invoke(bench, ["report", str(kept), "-o", str(tmp_path / "out"), *options])
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
