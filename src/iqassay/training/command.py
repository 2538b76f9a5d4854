"""``iqassay train SYSTEM [flags]``: a recipe's fields as flags."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from pathlib import Path

from iqassay.training.recipes import Recipe, smoke

_SYSTEMS = ("mfen",)


def parser() -> argparse.ArgumentParser:
    """Flags from the fields of ``Recipe``: --name VALUE, --name/--no-name for switches, lists by repetition."""
    top = argparse.ArgumentParser(
        prog="iqassay train",
        description="Train a system on rated pictures and on synthetic distortions.",
        allow_abbrev=False,
    )
    top.add_argument("system", choices=_SYSTEMS, help="which system")
    top.add_argument("--smoke", action="store_true", help="the two-minute recipe; other flags still count")
    hints = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        flag, kind = "--" + field.name.replace("_", "-"), hints[field.name]
        default = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore
        shown = f"{field.metadata['help']} (default: {default if default not in (None, []) else 'none'})"
        if kind is bool:
            top.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=shown)
        elif typing.get_origin(kind) is list:
            item = typing.get_args(kind)[0]
            top.add_argument(flag, action="append", type=item, default=argparse.SUPPRESS, help=shown)
        else:
            plain = Path if Path in (kind, *typing.get_args(kind)) else kind
            top.add_argument(flag, type=plain, default=argparse.SUPPRESS, help=shown)
    return top


def main(arguments: list[str]) -> int:
    """Run the command. Returns the exit status: 0 done, 2 for a wrong flag, file or range, 130 when stopped."""
    try:
        given = vars(parser().parse_args(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    given.pop("system")
    try:
        recipe = smoke(**given) if given.pop("smoke") else Recipe(**given)
        from iqassay.training.fit import fit

        best = fit(recipe)
    except ValueError as error:
        print(f"iqassay train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(best)
    return 0
