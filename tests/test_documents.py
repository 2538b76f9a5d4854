"""README.md and docs/ say what is true: numbers are those of the tables, commands print what they show."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"\d+\.\d+")


sys.path.insert(0, str(ROOT / "benchmarks" / "make"))
import doc_numbers  # noqa: E402


def filled(text: str) -> tuple[str, list[str]]:
    """The text as the script would write it, and what it complains of."""
    complaints: list[str] = []
    made, _ = doc_numbers.filled(text, lambda _, sentence: complaints.append(sentence))
    return made, complaints


@pytest.mark.parametrize("path", doc_numbers.DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_numbers_are_those_of_the_tables(path: Path) -> None:
    """If this fails: python benchmarks/make/doc_numbers.py writes them anew."""
    text = path.read_text(encoding="utf-8")
    made, complaints = filled(text)
    stale = [(old, new) for old, new in zip(text.splitlines(), made.splitlines(), strict=True) if old != new]
    assert (stale, complaints) == ([], [])


def test_the_documents_most_read_have_such_numbers() -> None:
    for name, least in (("README.md", 10), ("docs/benchmarks.md", 500)):
        assert doc_numbers.filled((ROOT / name).read_text(encoding="utf-8"), print)[1] >= least


@pytest.mark.parametrize("model", ["panel", "dri", "yoto", "mfen"])
def test_tables_are_of_the_shipped_models(model: str) -> None:
    """bench.csv names no versions: after a new model file it is to be written anew, as the card is."""
    card = json.loads((ROOT / "src" / "iqassay" / "weights" / f"{model}.json").read_text(encoding="utf-8"))
    sets = {"BIQ2021 official test": ("biq2021", "test"), "FLIVE-VOC val": ("flive_voc", "val")}
    sets["flive_voc val"] = sets["FLIVE-VOC val"]  # as iqassay export calls it, by its file
    found = [entry for entry in card["accuracy"] if entry["set"] in sets]
    assert found
    for entry in found:
        for measure in ("srcc", "plcc"):
            assert doc_numbers.SOURCES["bench"](*sets[entry["set"]], model, measure)[0] == pytest.approx(
                entry[measure], abs=0.002
            )


@pytest.mark.parametrize(
    ("old", "stale"),
    [
        ("0.899 (0.889 to 0.908)<!--", "0.898 (0.889 to 0.908)<!--"),
        ("(0.889 to 0.908)<!--", "(0.889 to 0.911)<!--"),
        ("11.1<!--", "11.2<!--"),
    ],
)
def test_a_stale_number_is_found_and_mended(old: str, stale: str) -> None:
    assert old in README
    made, complaints = filled(README.replace(old, stale))
    assert (made, complaints) == (README, [])


def test_a_stale_cell_is_found_and_mended() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    row = re.search(r"^\| YOTO \| 0.*$", text, re.MULTILINE)
    assert row
    stale = text.replace(row[0], re.sub(r"(?<=\| )0\.\d+", "0.111", row[0]), 1)
    assert stale != text
    assert filled(stale) == (text, [])


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("9", 1234.5678, "1235"),
        ("9,999.0", 1234.5678, "1,234.6"),
        ("+1.0", 2, "+2.0"),
        ("+0.012", -0.0456, "-0.046"),
        ("−0.12", -0.0456, "−0.05"),
        ("−0.12", 0.0456, "0.05"),
        (".500", 0.0454, ".045"),
        (".50", 1.5, "1.50"),
        ("0.12", 0.125, "0.13"),
        ("-0.1", -0.01, "0.0"),
    ],
)
def test_how_a_number_is_written_stays(old: str, new: float, wanted: str) -> None:
    assert doc_numbers.written(old, new) == wanted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('0.5<!--=bench("biq2021","test","nobody","srcc")-->', "has no row with"),
        ('0.5<!--=value("accuracy/bench.csv",model="panel")-->', "rows with"),
        ('0.5<!--=value("speed/speed.csv",what="`iqassay --help`")-->', "got -- in a comment"),
        ('<!--=bench("biq2021","test","panel","srcc")-->', "no number before"),
        ("<!--table: None-->\n\n| a | b |\n|---|---|\n| x | 1 |\n", "no cell of the table"),
        ('0.9 (0.1 to 0.2)<!--=peers("panel")-->', "got 1 values for"),
    ],
)
def test_a_comment_that_gives_no_number_is_said(text: str, sentence: str) -> None:
    _, complaints = filled(text)
    assert sentence in "".join(complaints)


def test_readme_is_short_and_begins_with_what_one_gets() -> None:
    assert len(README.split()) <= 1200
    assert not re.search(r"arXiv|MFEN|YOTO|DRI-IQA", README.partition("## Set up")[0])
    for term in ("SRCC", "PLCC"):
        first = README.index(term)
        assert {"SRCC": "Spearman", "PLCC": "Pearson"}[term] in README[first : first + 120]


def test_readme_has_the_two_commands_that_ci_runs() -> None:
    lines = [line.partition("#")[0].strip() for line in README.splitlines()]
    assert "pip install . && iqassay score examples/" in lines
    assert "pip install -e '.[dev]' && pytest" in lines


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    assert len(links) > 20
    for link in links:
        file, _, anchor = link.partition("#")
        if not file.startswith("https:"):
            assert (ROOT / file).exists(), link
            if anchor:
                titles = re.findall(r"^#+ (.*)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], link


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("sed") is None, reason="as the workflow runs it")
def test_on_the_package_index_links_are_absolute(tmp_path: Path) -> None:
    workflow = (ROOT / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    step = re.search(r"^ +sed .*\n +mv .*$", workflow, re.MULTILINE)
    assert step
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    known = {"AT": "https://host/owner/name", "TAG": "v1.2.3", "PATH": os.environ["PATH"]}
    subprocess.run(["bash", "-ec", step[0]], cwd=tmp_path, env=known, check=True)
    made = (tmp_path / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", made)
    assert len(links) == len(re.findall(r"\]\(([^)\s]+)\)", README))
    assert [link for link in links if not link.startswith("https://")] == []
    assert "](https://host/owner/name/raw/v1.2.3/docs/img/overview.jpg)" in made
    assert "](https://host/owner/name/blob/v1.2.3/docs/folders.md)" in made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "printed"), [pytest.param(*both, id=both[0].split()[1]) for both in doc_numbers.commands(README)]
)
def test_commands_of_the_readme_print_what_it_shows(command: str, printed: str) -> None:
    """Words are the same, numbers to the tenth by which processors differ. If this fails: doc_numbers.py --outputs."""
    got = doc_numbers.run(command)
    assert NUMBER.sub("", got).split() == NUMBER.sub("", printed).split()
    apart = [abs(float(a) - float(b)) for a, b in zip(NUMBER.findall(got), NUMBER.findall(printed), strict=True)]
    assert max(apart, default=0) < 0.11
