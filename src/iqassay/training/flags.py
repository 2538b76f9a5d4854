"""The flags of ``iqassay train SYSTEM``, which are a recipe's fields, and of ``iqassay export FILE...``."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from pathlib import Path

from iqassay.training.recipes import Recipe

_SYSTEMS = ("mfen", "yoto", "dri")


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
        if field.name == "system":  # an argument, above
            continue
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


def export_parser() -> argparse.ArgumentParser:
    """Flags of ``iqassay export``."""
    top = argparse.ArgumentParser(
        prog="iqassay export",
        description="Calibrate a trained system and write its model file; or several model files, as one panel.",
        allow_abbrev=False,
    )
    top.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="best.ckpt of a run of iqassay train; or two or more models for a panel: shipped ones or .onnx files",
    )
    top.add_argument(
        "-o", "--out", type=Path, required=True, help="the .onnx file, whose card goes beside it; or the panel's .json"
    )
    rated = "rated set (CSV, CSV:FOLDER or CSV:FOLDER:WORST..BEST) whose val split "
    top.add_argument("--calibrate", action="append", default=[], help=rated + "sets the 0-100 scale; repeatable")
    top.add_argument("--report", action="append", default=[], help=rated + "is only measured; repeatable")
    synthetic = "panel: folder of clean photos whose held-out ones, distorted, join the table; repeatable"
    top.add_argument("--synthetic", action="append", type=Path, default=[], help=synthetic)
    top.add_argument("--about", type=Path, help="JSON with the words of the card: summary, licence, limits, ...")
    force = "write even a model that hardly follows the opinions, or whose calibration has few; its card then says so"
    top.add_argument("--force", action="store_true", help=force)
    return top
