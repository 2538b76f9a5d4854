"""The site has every public name and every page; what it is built with, `.ci/run` builds it with."""

import ast
import json
import re
from pathlib import Path

import pytest

import iqassay

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAV = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
TOLD = [name for page in (DOCS / "api").glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.M)]


def test_every_page_is_in_the_nav_and_is_there():
    pages = {path.relative_to(DOCS).as_posix() for kind in ("md", "ipynb") for path in DOCS.rglob(f"*.{kind}")}
    listed = re.findall(r"[\w/-]+\.(?:md|ipynb)", NAV)
    made = {f"cards/{path.stem}.md" for path in (ROOT / "src/iqassay/weights").glob("*.json")}  # while it is built
    assert sorted(listed) == sorted(pages | made)


def test_every_public_name_is_told_once():
    assert len(TOLD) == len(set(TOLD))
    names = {full.rpartition(".")[2] for full in TOLD}
    assert set(iqassay.__all__) - {"__version__"} <= names


@pytest.mark.parametrize("full", TOLD)
def test_what_is_told_is_there_and_names_its_arguments_in_sections(full):
    module, _, name = full.rpartition(".")
    file = ROOT / "src" / Path(*module.split("."))
    tree = ast.parse((file / "__init__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    (node, *_) = [node for node in reversed(tree.body) if isinstance(node, kinds) and node.name == name]
    doc = ast.get_docstring(node) or ""
    assert doc, full
    makes = [node, *(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")]
    given = [a.arg for n in makes if isinstance(n, ast.FunctionDef) for a in (*n.args.args, *n.args.kwonlyargs)]
    given += [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    loose = [name for name in re.findall(r"^(\w+): ", doc, re.M) if name in given]
    assert not loose, f"{full}: {', '.join(loose)} stand outside a section Args or Attributes"


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_what_they_printed(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert cells[0]["source"][0].startswith("# ")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
