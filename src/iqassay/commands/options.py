"""What the commands share: options, opening a model, and saying things."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import Enum
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from iqassay.folders.cache import Cache
    from iqassay.scoring.scorer import Scorer


class Align(str, Enum):
    fail = "fail"
    resize = "resize"
    crop = "crop"
    centre = "centre"
    top_left = "top-left"


class TextFormat(str, Enum):
    text = "text"
    json = "json"


def at_least_1(value: int | None) -> int | None:
    """The check of an option that counts something."""
    if value is not None and value < 1:
        raise typer.BadParameter(f"got {value}, want 1 or more")
    return value


def on_the_scale(value: float | None) -> float | None:
    """The check of an option that is a score."""
    if value is not None and not 0 <= value <= 100:  # NaN is not
        raise typer.BadParameter(f"got {value:g}, want a score from 0 to 100")
    return value


Model = Annotated[
    str | None,
    typer.Option(
        help="A shipped model or a measure such as ssim (see `iqassay models`), an .onnx file, or a panel's .json "
        "file. [default: panel; yoto with --ref]",
        show_default=False,
    ),
]
Alignment = Annotated[
    Align,
    typer.Option(
        help="When a picture and its reference differ in size: fail; resize the picture to the reference's size; "
        "cut both to what they have in common around the centre (crop is the same) or at the top-left corner."
    ),
]
Shave = Annotated[
    int,
    typer.Option(
        metavar="PIXELS",
        min=0,
        help="Cut so many pixels off each border of both first, as papers on super-resolution do.",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--ref",
        metavar="REF",
        help="Score against references: REF is one picture, or a folder whose pictures pair by name "
        "(photo.jpg with photo.png).",
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--pair",
        metavar="PATTERN",
        help="How a picture is named after its reference in the folder REF: {ref} stands for the reference's name "
        "without its ending, * for anything. '{ref}_q*' pairs photo_q20.jpg with photo.png.",
    ),
]
Recursive = Annotated[bool, typer.Option("-r", "--recursive", help="Look into subfolders too.")]
Threads = Annotated[
    int | None, typer.Option(callback=at_least_1, help="Threads to compute with. [default: all there are]")
]
MaxPixels = Annotated[
    int | None, typer.Option(callback=at_least_1, help="Refuse larger pictures. [default: 200 million pixels]")
]
Columns = Annotated[
    str,
    typer.Option(
        metavar="WHAT=COLUMN,...",
        help="What columns of unusual names in these CSV files are: image=name,mos=quality; dmos is a score that "
        "falls.",
        show_default=False,
    ),
]
Codecs = Annotated[
    str | None,
    typer.Option(
        metavar="CODEC,...",
        help="jpeg, webp, avif or jxl, with commas between them. [default: the first three]",
        show_default=False,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where the network computes: cpu, auto, or one that onnxruntime has here, such as cuda, cuda:1 or "
        "directml; never another instead.",
    ),
]
CacheFile = Annotated[
    str | None, typer.Option("--cache", metavar="FILE", help="Keep answers in FILE. [default: see `iqassay doctor`]")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Score every picture, and keep no answers.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read every file through, even where size and times are as they were.")
]


@contextmanager
def the_cache(path: str | None, none: bool, verify: bool) -> Iterator[Cache | None]:
    """The cache that the options ask for."""
    from iqassay.folders.cache import open_cache
    from iqassay.support.errors import UsageError

    if none and (path is not None or verify):
        raise UsageError(f"--no-cache: got {'--verify' if path is None else '--cache'} too, want one of them")
    with (None if none else open_cache(path, verify)) or nullcontext() as cache:
        yield cache


def open_model(
    model: str | None,
    reference: bool,
    threads: int | None = None,
    max_pixels: int | None = None,
    device: str = "cpu",
) -> Scorer:
    """Open the model that is asked for, or else the one that suits; with references it must be one that takes them."""
    from iqassay.models.opening import open_scorer
    from iqassay.pictures.image import MAX_PIXELS
    from iqassay.scoring.model_file import default_model
    from iqassay.support.errors import UsageError

    scorer = open_scorer(
        default_model(reference) if model is None else model, threads, max_pixels or MAX_PIXELS, device
    )
    if reference and not scorer.takes_reference:
        suits = default_model(reference=True)
        raise UsageError(f"--model {scorer.card.name}: takes no reference, want one that does, such as {suits}")
    if scorer.needs_reference and not reference:
        suits = default_model(reference=False)
        raise UsageError(
            f"--model {scorer.card.name}: scores against references alone, want --ref, or another, such as {suits}"
        )
    return scorer


def open_models(
    models: str | None,
    reference: bool,
    threads: int | None = None,
    max_pixels: int | None = None,
    device: str = "cpu",
) -> list[Scorer]:
    """Open each of the models that are asked for, with commas between them. Raises UsageError for one named twice."""
    import os

    from iqassay.support.errors import UsageError

    names = [models] if models is None or os.path.exists(models) else [name.strip() for name in models.split(",")]
    scorers = [open_model(name, reference, threads, max_pixels, device) for name in names]
    cards = [scorer.card.name for scorer in scorers]
    if twice := next((name for name in cards if cards.count(name) > 1), None):
        raise UsageError(f"--model {models}: got {twice} twice, want each once")
    return scorers


def check_references(ref: str | None, pattern: str | None, align: Align, shave: int = 0) -> None:
    """Raises UsageError for options about references where there are none."""
    from iqassay.support.errors import UsageError

    if ref is not None:
        return
    for option, given in (("--pair", pattern is not None), ("--align", align is not Align.fail), ("--shave", shave)):
        if given:
            raise UsageError(f"{option}: got no references, want --ref too")


def one_picture(path: str) -> None:
    """Raises UsageError unless there is a file of this name."""
    import os

    from iqassay.folders.finding import find_pictures
    from iqassay.support.errors import UsageError

    if os.path.isdir(path):
        raise UsageError(f"{path}: is a folder, want a picture")
    find_pictures([path])


def say(message: str) -> None:
    """One line on standard error; where that is full or gone, the work goes on."""
    from iqassay.support.text import printable

    with suppress(OSError):
        print(f"iqassay: {printable(message)}", file=sys.stderr, flush=True)


def stdout(utf8: bool = False) -> TextIO:
    """Standard output, made fit for any file name; utf8: whatever the locale is, as JSON and CSV want it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if utf8 else None, errors="backslashreplace")
    return sys.stdout
