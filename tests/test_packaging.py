"""What stands in several files of the package says the same in all of them."""

import re
import subprocess
from pathlib import Path

import pytest

from iqassay.support.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_citation_and_the_conda_recipe_have_the_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'{{% set version = "{__version__}" %}}' in (ROOT / "conda/meta.yaml").read_text(encoding="utf-8")


def test_the_conda_recipe_needs_what_the_package_needs():
    wanted = re.findall(r'"(.+)"', PROJECT.partition("\ndependencies = [")[2].partition("]")[0])
    recipe = (ROOT / "conda/meta.yaml").read_text(encoding="utf-8").partition("  run:\n")[2].partition("\n\n")[0]
    needed = [line.replace(" ", "") for line in re.findall(r"- (.+)", recipe)]
    assert needed == ["python" + re.search(r'requires-python = "(.+)"', PROJECT)[1], *wanted]


def test_the_pythons_of_the_workflow_are_those_of_the_package():
    told = re.findall(r"Python :: (3\.\d+)", PROJECT)
    workflow = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8").partition("  pythons:")[2]
    assert re.findall(r"3\.\d+", workflow.partition("]")[0]) == told
    assert told[0] == re.search(r'requires-python = ">=(.+)"', PROJECT)[1]


def test_no_text_has_a_placeholder_for_whoever_owns_it():
    try:
        command = ["git", "grep", "-lwI", "OWN" + "ER", "--", "."]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no git")
    if found.returncode > 1:
        pytest.skip("this is no clone")
    assert found.stdout == ""
