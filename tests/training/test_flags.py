"""The flags of train and export: every field of a recipe is one, and a wrong one is told in one line."""

import dataclasses
import re
from pathlib import Path

import pytest
from conftest import export_main
from conftest import train_main as main

from iqassay.training.flags import GROUPS, read_flags
from iqassay.training.recipes import Recipe, smoke


def test_every_field_of_the_recipe_is_a_flag():
    words = ["--data", "a.csv", "--data", "b.csv", "--no-hfen", "--scales", "0.5", "--lr", "0.1", "--start", "x.ckpt"]
    assert read_flags(["mfen", *words]) == {
        "system": "mfen",
        "smoke": False,
        "data": ["a.csv", "b.csv"],
        "hfen": False,
        "scales": [0.5],
        "lr": 0.1,
        "start": Path("x.ckpt"),
    }
    assert smoke(data=["a.csv"], steps=7).steps == 7


def test_the_help_has_every_flag_once_under_the_heading_of_its_system_or_stage(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out.partition("Arguments:")[2]
    parts = re.split(r"^(\S.*):$", shown, flags=re.MULTILINE)
    of = {
        heading: re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    fields = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(Recipe)} - {"--system"}
    assert sorted(flag for flags in of.values() for flag in flags) == sorted(fields | {"--smoke", "--help"})
    assert list(of) == [*GROUPS, "Options"]
    assert "--hfen" in of["System mfen alone"]
    assert "--adapter" in of["System yoto alone"]
    assert "--contrast" in of["System dri alone, and its stage restoration"]
    assert "--crop" in of["Stage network, on crops"]
    assert of["Options"] == ["--help"]


def test_the_groups_name_fields_that_there_are():
    fields = {field.name for field in dataclasses.fields(Recipe)} | {"smoke"}
    listed = [name for names in GROUPS.values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) <= fields


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
        (["dri", "--synthetic", "x", "--predictors", "3"], "got --predictors 3 for --stage network of dri, want them"),
        (["dri", "--synthetic", "x", "--generated-begun"], "got --generated-begun for --stage network of dri, want it"),
        (["dri", "--synthetic", "x", "--photos", "y"], "got --photos for --stage network of dri, want them beside"),
        (
            ["dri", "--synthetic", "x", "--kept-predictors", "1"],
            "got --kept-predictors 1 and --predictors 1 for --stage",
        ),
        (
            ["dri", "--synthetic", "x", "--linear", "0.4"],
            "got --linear 0.4 for --stage network of dri, want 0 to 1, for",
        ),
        (
            ["yoto", "--data", "a.csv", "--stage", "head", "--start", "x", "--linear", "0.4"],
            "got --linear 0.4 for --stage head of yoto, want 0 to 1, for --stage head of mfen or dri",
        ),
        (["dri", "--synthetic", "x", "--predictors", "0"], "got --predictors 0, want at least 1"),
        (["dri", "--data", "a.csv", "--stage", "restoration"], "want dri, with --synthetic"),
        (["dri", "--data", "a.csv", "--near", "-1"], "got --near -1, want 0 or more"),
        (["mfen", "--dta", "a.csv"], "No such option: --dta"),
        (["nothing"], "'nothing' is not one of 'mfen', 'yoto', 'dri'"),
    ],
)
def test_wrong_flags_end_in_one_line_and_status_2(arguments, error, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert error in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.ckpt", "-o", "x.onnx", "--calibrate", "a.csv"], "no recipe.json beside it"),
        (["none.ckpt"], "Missing option '-o' / '--out'"),
    ],
)
def test_wrong_exports_end_in_one_line_and_status_2(arguments, error, capsys):
    assert export_main(arguments) == 2
    assert error in capsys.readouterr().err
