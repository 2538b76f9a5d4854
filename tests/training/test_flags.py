"""The flags of train and export: every field of a recipe is one, and a wrong one is told in one line."""

import pytest

from iqassay.commands.train import export_main
from iqassay.commands.train import train_main as main
from iqassay.training.flags import parser
from iqassay.training.recipes import Recipe, smoke


def test_every_field_of_the_recipe_is_a_flag():
    given = parser().parse_args(
        ["mfen", "--data", "a.csv", "--data", "b.csv", "--no-hfen", "--scales", "0.5", "--lr", "0.1"]
    )
    given = {k: v for k, v in vars(given).items() if k not in ("system", "smoke")}
    recipe = Recipe(**given)
    assert recipe.data == ["a.csv", "b.csv"]
    assert (recipe.hfen, recipe.dan, recipe.scales, recipe.lr) == (False, True, [0.5], 0.1)
    assert smoke(data=["a.csv"], steps=7).steps == 7


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["mfen"], "want at least one set"),
        (["mfen", "--data", "nowhere.csv"], "cannot be read"),
        (["mfen", "--data", "a.csv", "--crop", "100"], "want a multiple of 32"),
        (["mfen", "--data", "a.csv", "--frozen", "5"], "want 0 to 4"),
        (["mfen", "--data", "a.csv", "--shares", "1", "--shares", "2"], "got 2 --shares for 1 sets"),
        (["mfen", "--data", "a.csv:x:1..2..3"], "want WORST..BEST"),
        (["mfen", "--data", "a/set.csv", "--data", "b/set.csv"], "want files whose names differ"),
        (["mfen", "--data", "a.csv", "--stage", "head"], "head together with --start"),
        (["mfen", "--synthetic", "x", "--stage", "restoration"], "got --stage restoration for mfen, want dri"),
        (["dri", "--data", "a.csv", "--stage", "restoration"], "want dri, with --synthetic"),
        (["dri", "--data", "a.csv", "--queue", "-1"], "got --queue -1, want 0 or more"),
        (["mfen", "--dta", "a.csv"], "unrecognized arguments"),
        (["nothing"], "invalid choice"),
    ],
)
def test_wrong_flags_end_in_one_line_and_status_2(arguments, error, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert error in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.ckpt", "-o", "x.onnx", "--calibrate", "a.csv"], "no recipe.json beside it"),
        (["none.ckpt"], "required: -o"),
    ],
)
def test_wrong_exports_end_in_one_line_and_status_2(arguments, error, capsys):
    assert export_main(arguments) == 2
    assert error in capsys.readouterr().err
