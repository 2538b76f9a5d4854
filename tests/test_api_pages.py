"""docs/api is what docs/make_api.py makes of the docstrings of today."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import iqassay
import iqassay.systems

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def make_api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_api"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(make_api: ModuleType) -> dict[str, str]:
    return make_api.pages()


@pytest.mark.slow
def test_the_pages_are_up_to_date(pages):
    on_disk = {file.name: file.read_text(encoding="utf-8") for file in (DOCS / "api").glob("*.md")}
    stale = [name for name in {*pages, *on_disk} if pages.get(name) != on_disk.get(name)]
    assert not stale, f"docs/api: {', '.join(sorted(stale))} differ from the docstrings: run python docs/make_api.py"


@pytest.mark.slow
def test_every_public_name_has_its_place(pages):
    for name in set(iqassay.__all__) - {"__version__"}:
        assert f"\n### `{name}`\n" in pages["scoring.md"], name
    for name in iqassay.systems.__all__:
        assert f"\n### `{name}`\n" in pages["systems.md"], name


def test_every_link_leads_somewhere(make_api, pages):
    anchors = {
        page: {make_api.anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)}
        for page, text in pages.items()
    }
    links = 0
    for page, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file, _, place = target.partition("#")
            if file.startswith("../"):
                assert (DOCS / "api" / file).is_file(), f"{page}: {target}"
            else:
                assert not place or place in anchors[file], f"{page}: {target}"
            links += 1
    assert links > 80


def test_no_two_headings_of_a_page_share_an_anchor(make_api, pages):
    for page, text in pages.items():
        found = [make_api.anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)]
        assert len(found) == len(set(found)), page


def test_they_are_modest(pages):
    assert sum(map(len, pages.values())) < 150_000


def test_a_docstring_becomes_markdown(make_api):
    known = {"iqassay.score": "scoring.md#score", "iqassay.Verdict": "scoring.md#verdict"}
    doc = """What it does, as ``score`` does: 2 * 3 * 4 < 25.

    picture: what to look at; low, high: the ends of the `Verdict`,
    in two lines. other: no parameter.
    Raises nothing.

        a --> drawing

    >>> score("a.png")  # doctest: +SKIP

    Raises:
        ValueError: for a shape
            of another kind.
    """
    lines = make_api.documented(doc, ["picture", "low", "high"], make_api.Links(known, "iqassay"))
    assert "\n".join(lines).rstrip() == (
        "What it does, as [`score`](scoring.md#score) does: 2 \\* 3 \\* 4 &lt; 25.\n\n"
        "- `picture`: what to look at\n"
        "- `low`, `high`: the ends of the [`Verdict`](scoring.md#verdict), in two lines. other: no parameter.\n\n"
        "Raises nothing.\n\n"
        "```text\na --> drawing\n```\n\n"
        '```python\n>>> score("a.png")\n```\n\n'
        "Raises:\n\n- `ValueError`: for a shape of another kind."
    )


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("def f(a: int, b='x', *, c: float = 1.0) -> str: ...", ["f(a: int, b='x', *, c: float = 1.0) -> str"]),
        ("def f(self, *args: int, **more: int): ...", ["f(*args: int, **more: int)"]),
        (
            f"def f(a: {'A' * 50}, b: {'B' * 50} = None) -> int: ...",
            ["f(", f"    a: {'A' * 50},", f"    b: {'B' * 50} = None,", ") -> int"],
        ),
    ],
)
def test_a_signature_is_shown_as_it_is_called(make_api, source, shown):
    assert make_api.signature("f", ast.parse(source).body[0], source) == shown


def test_a_name_that_is_gone_is_said(make_api):
    with pytest.raises(ValueError, match=r"errors\.py: got no NoSuchError, want a function or a class"):
        make_api.things("scoring", "iqassay.support.errors", ["NoSuchError"])
