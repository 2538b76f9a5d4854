"""The commands of ``iqassay bench``: they parse, call and print. Everything heavy is imported inside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure how well models agree with people, on rated sets; needs `pip install 'iqassay[bench]'`.",
)
Sets = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="SET",
        help="A rated set: NAME:FOLDER of a published one (see `iqassay bench sets`), or CSV, CSV:FOLDER of its "
        "pictures, CSV:FOLDER:WORST..BEST of its scores; repeatable.",
    ),
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder that keeps every answer.")]


@bench.callback(invoke_without_command=True)
def _bench(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def in_one_line(command: Callable[..., int]) -> Callable[..., int]:
    """What users got wrong ends in one line and exit status 2, whichever part of the protocol noticed."""

    @functools.wraps(command)
    def run(**options: object) -> int:
        from iqassay.folder import UsageError

        try:
            return command(**options)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "iqassay":
                raise
            extra = "train" if error.name in ("torch", "lightning", "onnx") else "bench"
            raise UsageError(
                f"needs {error.name}, which is not installed: want pip install 'iqassay[{extra}]'"
            ) from None
        except ValueError as error:
            raise UsageError(str(error)) from None

    return run
