"""Model cards: the facts of a model file's card, as model hubs read them."""

import json
import re

from conftest import write_model, write_pair_model, write_panel

from iqassay.cli import main
from iqassay.scoring import model_file


def test_a_card_for_each_model(tmp_path, monkeypatch, capsys):
    write_model(tmp_path, "mfen", name="mfen", licence={"weights": "CC0-1.0"})
    write_pair_model(tmp_path, "yoto", licence={"weights": "Apache-2.0; from elsewhere", "code": "Apache-2.0"})
    write_panel(tmp_path, summary="the two together")
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    assert main(["models", "--cards", str(tmp_path / "cards")]) == 0
    made = [tmp_path / "cards" / f"{name}.md" for name in ("mfen", "panel", "yoto")]
    assert capsys.readouterr().out.split() == [str(path) for path in made]
    mfen, panel, yoto = (path.read_text() for path in made)

    front, body = mfen.removeprefix("---\n").split("\n---\n")
    assert "license: other\n" in front
    assert re.search(
        r'name: "made up"\n      type: "made-up"\n    metrics:\n    - type: srcc\n.*\n      value: 0\.5', front
    )
    assert body.startswith("\n# mfen 0.0.1\n\n")
    assert json.loads((tmp_path / "mfen.json").read_text())["sha256"] in body
    assert "\n| made up | 7 | 0.5 | 0.25 |\n" in body
    assert "**With a reference:** no" in body
    assert "license: apache-2.0\n" in yoto
    assert "- full-reference\n" in yoto
    assert "**With a reference:** yes" in yoto
    assert "**Members:** mfen, yoto\n" in panel
    assert "sha256" not in panel
