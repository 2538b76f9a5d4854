"""What others build on the gate with: the hook for pre-commit, the action for GitHub, and the page about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from iqassay.cli import app

ROOT = Path(__file__).parents[2]


def described(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def options() -> set[str]:
    """The options of `iqassay gate`."""
    group: Any = typer.main.get_command(app)
    return {name for parameter in group.commands["gate"].params for name in parameter.opts}


def test_the_hook_runs_the_gate_on_pictures() -> None:
    (hook,) = described(".pre-commit-hooks.yaml")
    words = [*hook["entry"].split(), *hook["args"]]
    assert (hook["id"], hook["language"], words[:2]) == ("iqassay-gate", "python", ["iqassay", "gate"])
    assert {word for word in words if word.startswith("--")} <= options()
    assert all(isinstance(word, str) for word in words)
    assert hook["types"] == ["image"]


def test_the_action_uses_all_its_inputs_and_options_that_exist() -> None:
    action = described("action.yml")
    assert {"name", "description", "inputs", "runs"} == action.keys()
    assert action["runs"]["using"] == "composite"
    used: set[str] = set()
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "what users write must not become a part of the script"
        for variable, value in step["env"].items():
            used |= set(re.findall(r"inputs\.([a-z-]+)", value))
            assert re.search(rf"\$\{{?{variable}\b", step["run"])
    assert used == action["inputs"].keys()
    given = set(re.findall(r"--[a-z][a-z-]*", action["runs"]["steps"][1]["run"]))
    assert {"--ref", "--min", "--max-drop", "--junit", "--markdown", "--baseline"} <= given <= options()
    assert all("description" in value for value in action["inputs"].values())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_the_action_passes_on_odd_words_as_they_are(tmp_path: Path) -> None:
    told = tmp_path / "iqassay" / "bin" / "iqassay"
    told.parent.mkdir(parents=True)
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 3\n')
    told.chmod(0o755)
    step = described("action.yml")["runs"]["steps"][1]
    environment = {
        **os.environ,
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": "s",
        **dict.fromkeys(step["env"], ""),
    }
    environment |= {"PICTURES": "a b\n\n$(touch gone)\n*", "REF": "the ref", "MIN": "60", "JUNIT": "j"}
    environment |= {"OPTIONS": "-r --model *"}
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines() == [
        *("gate", "-r", "--model", "*", "--junit", "j", "--markdown", "s", "--ref", "the ref", "--min", "60"),
        *("--", "a b", "$(touch gone)", "*"),
    ]


def test_the_page_about_the_gate_names_options_that_exist() -> None:
    page = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    commands = re.findall(r"iqassay gate [^\n`]*", page)
    assert len(commands) > 8
    assert {option for command in commands for option in re.findall(r"(?<= )--?[a-z-]+", command)} <= options()
