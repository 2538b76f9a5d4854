"""A run's folder is its own: each system has one by default, and a run of another kind is refused before it writes."""

from pathlib import Path

import pytest
from conftest import train_main as main

from iqassay.training.recipes import Recipe
from iqassay.training.run_folder import refuse_another_run, write_recipe


def test_every_system_and_stage_has_a_folder_of_its_own():
    stages = [(system, stage) for system in ("mfen", "yoto", "dri") for stage in ("network", "head")]
    stages.append(("dri", "restoration"))
    recipes = [Recipe(system=system, stage=stage, data=["a.csv"], synthetic=[Path("b")]) for system, stage in stages]
    assert recipes[0].out == Path("runs/mfen")
    assert recipes[-1].out == Path("runs/dri-restoration")
    assert len({recipe.out for recipe in recipes}) == len(stages)
    assert Recipe(data=["a.csv"], out=Path("mine")).out == Path("mine")


BEFORE = {"system": "yoto", "encoder": "van_tiny", "data": ["a.csv"]}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"system": "mfen"}, "holds a run with system yoto, got mfen: want another folder with --out"),
        ({"encoder": "van_b0"}, "holds a run with --encoder van_tiny, got van_b0"),
        ({"tokens": 8}, "holds a run with --tokens 64, got 8"),
        ({"config": "paper"}, "holds a run with --config light, got paper"),
        ({"stage": "head"}, "holds a run with --stage network, got head"),
        ({"data": ["a.csv", "b.csv"]}, "holds a run with --data a, got a, b"),
        ({"synthetic": [Path("clean")]}, "holds a run with --synthetic False, got True"),
        ({"left_out": ["c.csv"]}, "holds a run with --left-out 0, got 1"),
        ({"epochs": 99, "lr": 0.1, "data": ["elsewhere/a.csv"]}, None),
    ],
)
def test_a_folder_with_another_run_is_refused(tmp_path, changes, error):
    write_recipe(Recipe(**BEFORE, out=tmp_path))
    now = Recipe(**BEFORE | changes, out=tmp_path)
    if error is None:
        refuse_another_run(now)
    else:
        with pytest.raises(ValueError, match=error):
            refuse_another_run(now)


def test_checkpoints_whose_recipe_is_lost_are_left_alone(tmp_path):
    refuse_another_run(Recipe(**BEFORE, out=tmp_path / "new"))
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(ValueError, match=r"no recipe\.json beside it"):
        refuse_another_run(Recipe(**BEFORE, out=tmp_path))


@pytest.mark.slow
def test_yoto_after_mfen_leaves_the_run_of_mfen_as_it_was(rated, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--smoke", "--encoder", "van_tiny", "--frozen", "0", "--dan-frozen", "0", "--steps", "1"]
    flags += ["--data", str(rated / "set.csv"), "--out", str(out)]
    assert main(["mfen", *flags, "--epochs", "1"]) == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    for stage in ([], ["--stage", "head", "--start", str(out / "best.ckpt")]):
        assert main(["yoto", *flags, *stage]) == 2
        said = capsys.readouterr().err
        assert "holds a run with system mfen, got yoto" in said
        assert said.count("\n") == 1
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
