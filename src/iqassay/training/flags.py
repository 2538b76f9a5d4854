"""The flags of ``iqassay train SYSTEM``: a recipe's fields, in groups by what they are about."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from iqassay.training.recipes import Recipe


class System(str, Enum):
    mfen = "mfen"
    yoto = "yoto"
    dri = "dri"


# A help text that begins with a system's name is about that system alone. All others are listed here, the first group
# first; a field that is in none of them is about training.
TRAINING = "Training, any stage"
GROUPS: dict[str, tuple[str, ...]] = {
    "What is trained": ("smoke", "stage", "start", "out", "config", "seed"),
    "Pictures": (
        *("data", "columns", "shares", "limit", "left_out", "synthetic", "synthetic_count", "synthetic_size"),
        *("synthetic_seed", "synthetic_without", "synthetic_covered", "patched", "generated", "photos"),
        "teacher_heads",
    ),
    "Network of any system": ("encoder", "encoder_weights"),
    TRAINING: (
        *("epochs", "steps", "batch", "lr", "decay", "average", "patience", "rank", "kind", "severity"),
        *("damaged", "located"),
    ),
    "Stage network, on crops": (
        *("crop", "scales", "test_crops", "encoder_lr", "level_decay", "frozen", "dan_frozen"),
    ),
    "Machine": ("workers", "precision", "accelerator", "devices"),
    "System mfen alone": (),
    "System yoto alone": (),
    "System dri alone, and its stage restoration": (),
}


def group_of(name: str, help: str) -> str:
    """The heading in ``GROUPS`` that a flag stands under, by its field's name and its help text."""
    system = help.partition(":")[0]
    if system in System.__members__:
        return next(group for group in GROUPS if group.startswith(f"System {system} "))
    return next((group for group, names in GROUPS.items() if name in names), TRAINING)


class Grouped(typer.core.TyperCommand):
    """A command whose --help lists the options under their headings; typer's own headings want rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{group: [] for group in GROUPS}, "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                plain = "Arguments" if parameter.param_type_name == "argument" else "Options"
                groups[getattr(parameter, "rich_help_panel", None) or plain].append(record)
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def with_flags(command: Callable[[dict[str, Any]], int]) -> Callable[..., int]:
    """A command for typer: it takes SYSTEM and --smoke, and --name VALUE for each field of ``Recipe``, --name/--no-name
    for switches, lists by repetition; and hands on the values that were given, by the fields' names."""

    @functools.wraps(command)
    def run(system: System, **options: Any) -> int:
        given = {name: value for name, value in options.items() if value not in (None, [], ())}
        return command({"system": system.value, **given})

    which = typer.Argument(metavar="SYSTEM", help="mfen, yoto or dri.", show_default=False)
    smoke = typer.Option("--smoke", help="the two-minute recipe; other flags still count", rich_help_panel=_FIRST)
    parameters = [
        _parameter("system", Annotated[System, which], inspect.Parameter.empty),
        _parameter("smoke", Annotated[bool, smoke], False),
    ]
    hints = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        if field.name != "system":  # an argument, above
            kind = hints[field.name]
            parameters.append(_parameter(field.name, Annotated[kind | None, _option(field, kind)], None))
    run.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


_FIRST = next(iter(GROUPS))
_METAVARS = {str: "TEXT", int: "N", float: "X", Path: "PATH"}


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _option(field: dataclasses.Field, kind: Any) -> Any:
    default = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore
    text = field.metadata["help"]
    shown = f"{text} (default: {default if default not in (None, [], '') else 'none'})"
    flag = "--" + field.name.replace("_", "-")
    names = [f"{flag}/--no-{flag[2:]}"] if isinstance(default, bool) else [flag]
    metavar = next((_METAVARS[one] for one in (kind, *typing.get_args(kind)) if one in _METAVARS), None)
    panel = group_of(field.name, text)
    return typer.Option(*names, help=shown, show_default=False, metavar=metavar, rich_help_panel=panel)


def read_flags(words: Sequence[str]) -> dict[str, Any]:
    """What the words after ``iqassay train`` give: fields of a ``Recipe`` by their names, and whether ``smoke``.

    Raises ValueError for a flag that there is not, or a value of another kind.
    """
    found: dict[str, Any] = {}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=Grouped)(with_flags(lambda given: found.update(given) or 0))
    command = typer.main.get_command(app)
    try:
        with command.make_context("iqassay train", list(words)) as context:
            command.invoke(context)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise ValueError(error.format_message().rstrip(".")) from None
    return found
