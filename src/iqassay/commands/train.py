"""`iqassay train` and `iqassay export`: the training side, which knows the recipes, reads their flags itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from iqassay.commands.options import say
from iqassay.support.parallel import leads

if TYPE_CHECKING:
    import argparse

# Their words, --help too, go on untouched to the training side.
PASSED_ON: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    "add_help_option": False,
}


def train(context: typer.Context) -> int:
    """Train a model on your own ratings; needs `pip install 'iqassay[train]'`."""
    return _on_the_training_side(train_main, context.args)


def export(context: typer.Context) -> int:
    """Turn a trained system into a model file; needs `pip install 'iqassay[train]'`."""
    return _on_the_training_side(export_main, context.args)


def _on_the_training_side(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    try:
        return run(list(arguments))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "iqassay":
            raise
        say(f"training needs {error.name}, which is not installed: want pip install 'iqassay[train]'")
        return 2


def train_main(arguments: list[str]) -> int:
    """Run ``iqassay train``. Returns the exit status: 0 done, 2 for a wrong flag, file or range, 130 when stopped."""
    from iqassay.training.flags import parser
    from iqassay.training.presets import chosen

    def work(given: dict) -> Path:
        recipe = chosen(given, given.pop("smoke"))
        if recipe.stage == "head":
            from iqassay.training.whole_pictures import fit_on_whole_pictures

            return fit_on_whole_pictures(recipe)
        if recipe.stage == "restoration":
            from iqassay.training.restoration import fit_assistants

            return fit_assistants(recipe)
        from iqassay.training.fit import fit

        return fit(recipe)

    return _run(parser(), arguments, work)


def export_main(arguments: list[str]) -> int:
    """Run ``iqassay export``; exit status as for ``train_main``."""
    from iqassay.training.flags import export_parser

    def work(given: dict) -> Path:
        files = given.pop("files")
        if len(files) > 1:
            from iqassay.training.panel import PanelExport, make_panel

            return make_panel(PanelExport(files, **given))
        if given.pop("synthetic"):
            raise ValueError("--synthetic: got a checkpoint, which knows its clean photos, want it with a panel only")
        if Path(files[0]).suffix != ".ckpt":
            raise ValueError(
                f"got {files[0]} alone, want a checkpoint (.ckpt), or two models or more to make a panel of"
            )
        from iqassay.training.ship import Export, ship

        return ship(Export(Path(files[0]), **given))

    return _run(export_parser(), arguments, work)


def _run(flags: argparse.ArgumentParser, arguments: list[str], work: Callable[[dict], Path]) -> int:
    try:
        given = vars(flags.parse_args(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        made = work(given)
        if leads():
            print(made)
    except ValueError as error:
        print(f"{flags.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
