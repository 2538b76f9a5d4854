"""Every benchmark lies where the documents say, compiles, says its own command and is in benchmarks/README.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMING = [*DOCUMENTS, *SCRIPTS, *sorted(path for room in ("src", "tests") for path in (ROOT / room).rglob("*.py"))]
SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", NAMING, ids=name_of)
def test_a_named_file_is_there(path: Path) -> None:
    named = re.findall(r"\bbenchmarks/[\w/-]+\.(?:py|csv)\b", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_what_documents_name_is_found() -> None:
    """The pattern above finds something: a script in each group but the one that is only imported."""
    named = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    groups = set(re.findall(r"\bbenchmarks/(\w+)/\w+\.py\b", named))
    assert groups == {path.name for path in BENCHMARKS.iterdir() if path.is_dir()} - {"common", "__pycache__"}


def test_the_list_has_every_file_in_its_group() -> None:
    sections = dict(SECTION.findall((BENCHMARKS / "README.md").read_text(encoding="utf-8")))
    files = [*SCRIPTS, *BENCHMARKS.rglob("*.csv")]
    assert files
    assert [name_of(f) for f in files if f"`{f.name}`" not in sections.get(f.parent.name, "")] == []


def test_the_list_has_no_file_that_is_gone() -> None:
    for group, text in SECTION.findall((BENCHMARKS / "README.md").read_text(encoding="utf-8")):
        if (BENCHMARKS / group).is_dir():
            first = re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)
            assert [name for name in first if not (BENCHMARKS / group / name).is_file()] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_compiles_and_says_its_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    compile(tree, str(path), "exec")
    if '__name__ == "__main__"' in text:
        assert f"python {name_of(path)}" in (ast.get_docstring(tree) or "")


def test_siblings_are_found() -> None:
    """What a script imports from benchmarks/ lies beside it, or in common, which it then has on its path."""
    own = {path.stem: path for path in SCRIPTS}
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE):
            if name in own:
                folder = own[name].parent
                assert folder == path.parent or (folder.name == "common" and '/ "common"' in text), (path, name)


@pytest.mark.slow
@pytest.mark.parametrize("pictures", [0, 1])
def test_targets_of_too_few_pictures_are_one_sentence(pictures: int, tmp_path: Path) -> None:
    """JPEGs alone, or an empty folder, ended in an IndexError; one picture wrote a table after a warning."""
    for name in ["a.jpg", "b.jpg", *["a.png"] * pictures]:
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    script, targets = BENCHMARKS / "make" / "fit_targets.py", (ROOT / "src/iqassay/data/targets.json").read_bytes()
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True)
    wanted = f"got {pictures} PNG pictures in {tmp_path}, of which 20 are asked for, want at least 2\n"
    assert (done.returncode, done.stderr) == (1, wanted)
    assert (ROOT / "src/iqassay/data/targets.json").read_bytes() == targets
