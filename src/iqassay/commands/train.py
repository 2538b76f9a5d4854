"""`iqassay train` and `iqassay export`: what runs is imported inside; the flags of train are a recipe's fields."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from iqassay.commands.options import Columns
from iqassay.support.errors import UsageError
from iqassay.support.install import needs
from iqassay.support.parallel import leads
from iqassay.training.flags import with_flags


def _on_the_training_side(command: Callable[..., Path]) -> Callable[..., int]:
    """Print what a command made; what users got wrong, a missing package too, ends in one line and exit status 2."""

    @functools.wraps(command)
    def run(*given: Any, **options: Any) -> int:
        try:
            made = command(*given, **options)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "iqassay":
                raise
            raise UsageError(needs("training", error.name, "train")) from None
        except ImportError as error:
            if error.name is not None:  # python's own; ours, of a package with an encoder's weights, have none
                raise
            raise UsageError(str(error)) from None
        except ValueError as error:
            raise UsageError(str(error)) from None
        if leads():
            print(made)
        return 0

    return run


@with_flags
@_on_the_training_side
def train(given: dict[str, Any]) -> Path:
    """Train a system on rated pictures and on synthetic distortions; needs the extra `train`.

    A run that was stopped goes on where it was. Which flags a system and a stage heed, the headings say.
    """
    from iqassay.training.presets import chosen

    recipe = chosen(given, given.pop("smoke", False))
    if recipe.stage == "head":
        from iqassay.training.whole_pictures import fit_on_whole_pictures

        return fit_on_whole_pictures(recipe)
    if recipe.stage == "map":
        from iqassay.training.locating import fit_map

        return fit_map(recipe)
    if recipe.stage == "semantic":
        from iqassay.training.whole_pictures import fit_semantic

        return fit_semantic(recipe)
    if recipe.stage == "restoration":
        from iqassay.training.restoration import fit_assistants

        return fit_assistants(recipe)
    from iqassay.training.fit import fit

    return fit(recipe)


_VAL = "Rated set (CSV, CSV:FOLDER or CSV:FOLDER:WORST..BEST) whose val split "


@_on_the_training_side
def export(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="best.ckpt of a run of iqassay train; or two or more models for a panel: shipped ones or .onnx files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="The .onnx file, whose card goes beside it; or the panel's .json.",
            show_default=False,
        ),
    ],
    calibrate: Annotated[list[str], typer.Option(metavar="SET", help=f"{_VAL}sets the 0-100 scale; repeatable.")] = [],  # noqa: B006 - typer reads it and never changes it
    report: Annotated[list[str], typer.Option(metavar="SET", help=f"{_VAL}is only measured; repeatable.")] = [],  # noqa: B006
    columns: Columns = "",
    synthetic: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER",
            help="Panel: folder of clean photos. Of the held-out ones KADID-10k's damage and blurs to nothing are "
            "made, which are anchors of the table, as flat frames are; repeatable.",
        ),
    ] = [],  # noqa: B006
    professional: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER",
            help="Panel: folder of clean professional photos, whose median becomes 90; repeatable.",
        ),
    ] = [],  # noqa: B006
    ordinary: Annotated[
        list[str],
        typer.Option(
            metavar="SET",
            help="Panel: set of ordinary photos, whose val split's middle half spreads over 20 points at least; "
            "repeatable.",
        ),
    ] = [],  # noqa: B006
    ordinary_subset: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Panel: only this subset of --ordinary sets that have a column subset; repeatable.",
        ),
    ] = [],  # noqa: B006
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where answers about pictures are kept, so that a stopped command goes on, and a panel of this "
            "model need not ask again; default, of a panel: cache, beside the card.",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME=X,...",
            help="Panel: shares of its members in the score, none for a member that is not named; default: equal.",
        ),
    ] = "",
    generated_weights: Annotated[
        str,
        typer.Option(
            metavar="NAME=X,...",
            help="Panel: shares for a picture that a member is sure was generated; default: those of --weights.",
        ),
    ] = "",
    about: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="JSON with the words of the card: summary, licence, limits, ..."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write even a model that hardly follows the opinions, or whose calibration has few; its card then "
            "says so.",
        ),
    ] = False,
) -> Path:
    """Calibrate a trained system and write its model file; or several model files, as one panel; needs the extra
    `train`.
    """
    if len(files) > 1:
        from iqassay.training.panel import PanelExport, make_panel

        of_panels = (professional, ordinary, ordinary_subset, cache, weights, generated_weights)
        return make_panel(PanelExport(files, out, calibrate, report, synthetic, about, force, columns, *of_panels))
    if synthetic:
        raise ValueError("--synthetic: got a checkpoint, which knows its clean photos, want it with a panel only")
    given = {"--professional": professional, "--ordinary": ordinary, "--ordinary-subset": ordinary_subset}
    given |= {"--weights": weights, "--generated-weights": generated_weights}
    for option, value in given.items():
        if value:
            raise ValueError(f"{option}: got a checkpoint, want it with a panel only")
    if Path(files[0]).suffix != ".ckpt":
        raise ValueError(f"got {files[0]} alone, want a checkpoint (.ckpt), or two models or more to make a panel of")
    from iqassay.training.ship import Export, ship

    return ship(Export(Path(files[0]), out, calibrate, report, about, force, columns, cache))
