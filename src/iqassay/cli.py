"""The command line: parses, calls, prints. Everything heavy is imported inside the commands, so that --help is quick.

Exit status: 0 all well, 1 some pictures could not be scored, 2 wrong usage, 130 interrupted by Ctrl-C.
Standard output holds results alone; messages and the progress bar go to standard error.
"""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from iqassay import __version__
from iqassay.bench.command import ListFormat, bench

if TYPE_CHECKING:
    from pathlib import Path

    from iqassay.comparison import Comparison
    from iqassay.folder import Result
    from iqassay.model_file import NetworkCard, PanelCard
    from iqassay.scorer import Scorer

CLEAR = 0.6  # from this probability on, one of two pictures is called the better one
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(bench, name="bench")


class Format(str, Enum):
    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class TextFormat(str, Enum):
    text = "text"
    json = "json"


class Align(str, Enum):
    fail = "fail"
    resize = "resize"
    crop = "crop"


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
        "crop both to the middle that they have in common."
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"iqassay {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def iqassay(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """How good a picture looks, why, and where. Works offline."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command()
def score(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    model: Model = None,
    ref: Annotated[
        str | None,
        typer.Option(
            "--ref",
            metavar="REF",
            help="Score against references: REF is one picture, or a folder whose pictures pair by name "
            "(photo.jpg with photo.png).",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pair",
            metavar="PATTERN",
            help="How a picture is named after its reference in the folder REF: {ref} stands for the reference's name "
            "without its ending, * for anything. '{ref}_q*' pairs photo_q20.jpg with photo.png.",
        ),
    ] = None,
    align: Alignment = Align.fail,
    format: Annotated[
        Format | None, typer.Option(help="How results are written. [default: by the ending of -o, else table]")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write results to FILE.")] = None,
    map: Annotated[
        str | None, typer.Option(metavar="DIR", help="For each picture write a PNG to DIR that shows where it is bad.")
    ] = None,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Look into subfolders too.")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads to compute with. [default: all there are]")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Refuse larger pictures. [default: 200 million pixels]")
    ] = None,
) -> int:
    """Score pictures from 0 to 100: 90 flawless, 70 good, 50 flaws plainly visible, 30 bad, 10 ruined.

    Exit status: 0 all scored, 1 some could not be, 2 wrong usage.
    """
    from iqassay import folder, pairs
    from iqassay.progress import with_bar

    for option, value in (("--threads", threads), ("--max-pixels", max_pixels)):
        if value is not None and value < 1:
            raise folder.UsageError(f"{option}: got {value}, want 1 or more")
    if format is None:
        ending = os.path.splitext(output or "")[1].lower().lstrip(".")
        format = Format(ending) if ending in Format.__members__ else Format.table
    if ref is None and (pattern is not None or align is not Align.fail):
        raise folder.UsageError(f"{'--align' if pattern is None else '--pair'}: got no references, want --ref too")
    if ref is None:
        todo = [folder.Pair(picture) for picture in folder.find_pictures(paths, recursive)]
    else:
        todo = pairs.find_pairs(paths, ref, pattern, recursive)
    pictures = [pair.path for pair in todo]
    references = {pair.reference for pair in todo if pair.reference is not None}
    if (
        output
        and os.path.exists(output)
        and os.path.realpath(output) in {os.path.realpath(picture) for picture in (*pictures, *references)}
    ):
        raise folder.UsageError(f"-o {output}: is one of the pictures, want another file for the results")
    if map is not None:
        try:
            os.makedirs(map, exist_ok=True)
        except OSError as error:
            raise folder.UsageError(f"--map {map}: cannot make this folder: {error.strerror}") from error
    scorer = _open(model, ref is not None, threads, max_pixels)
    write = folder.WRITERS[format.value]
    if format is Format.table:
        write = functools.partial(write, paths=pictures, reference=ref, raw=not scorer.card.distortions)
    elif format is Format.csv:
        write = functools.partial(write, reference=ref)

    map_files = folder.map_names(pictures, references) if map is not None else {}
    failed = {"pictures": 0, "maps": 0}

    def records() -> Iterator[dict[str, Any]]:
        for result in folder.score_pairs(scorer, todo, align.value):
            failed["pictures"] += result.verdict is None
            if map is not None:
                failed["maps"] += not _write_map(result, os.path.join(map, map_files[result.path]))
            yield result.record()

    with folder.open_results(output) if output is not None else nullcontext(_stdout(format)) as out:
        try:
            write(with_bar(records(), len(pictures), same_screen=out.isatty()), out)
        finally:
            if failed["pictures"]:
                _say(f"{failed['pictures']} of {len(pictures)} pictures could not be scored")
    return int(any(failed.values()))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A picture.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    ref: Annotated[str | None, typer.Option(metavar="REF", help="The picture that both were made from.")] = None,
    model: Model = None,
    align: Alignment = Align.fail,
    format: Annotated[TextFormat, typer.Option(help="How the answer is written.")] = TextFormat.text,
) -> int:
    """Say which of two pictures looks better, by how much, and how surely.

    Exit status: 0 compared, 1 a picture could not be read, 2 wrong usage.
    """
    from iqassay import comparison, folder
    from iqassay.image import ImageError

    for path in (a, b) if ref is None else (a, b, ref):
        if os.path.isdir(path):
            raise folder.UsageError(f"{path}: is a folder, want a picture")
        folder.find_pictures([path])  # is there such a file?
    if ref is None and align is not Align.fail:
        raise folder.UsageError("--align: got no reference, want --ref too")
    scorer = _open(model, ref is not None)
    try:
        found = comparison.compare(scorer, a, b, ref, align.value)
    except (ImageError, MemoryError) as error:
        _say(str(error) or "not enough memory")
        return 1
    if format is TextFormat.json:
        import json

        record = {
            "a": found.a.record(a, ref),
            "b": found.b.record(b, ref),
            "difference": round(found.difference, 2),
            "win_probability": round(found.win_probability, 4),
            "better": {"a": a, "b": b, "equal": None}[found.better],
        }
        print(json.dumps(record, indent=2))
    else:
        print(_comparison_text(a, b, found), file=_stdout(Format.table))
    return 0


@app.command()
def explain(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="The folder for the explanation.")],
    ref: Annotated[str | None, typer.Option(metavar="REF", help="The picture as it should look.")] = None,
    align: Alignment = Align.fail,
    model: Model = None,
    restorer: Annotated[
        str, typer.Option(metavar="MODEL", help="The model that restores: a shipped one, or an .onnx file.")
    ] = "dri",
    threads: Annotated[int | None, typer.Option(help="Threads to compute with. [default: all there are]")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Refuse larger pictures. [default: 200 million pixels]")
    ] = None,
) -> int:
    """Say why a picture has its score, on one page: what is wrong and where, and what it may have looked like before.

    Writes DIR/index.html (one file, opens offline), DIR/explain.json and DIR/estimate.png, and prints the path of the
    page. Exit status: 0 explained, 1 a picture could not be read, 2 wrong usage.
    """
    from iqassay import folder, page
    from iqassay.explanation import explain as explain_picture
    from iqassay.image import ImageError

    for option, value in (("--threads", threads), ("--max-pixels", max_pixels)):
        if value is not None and value < 1:
            raise folder.UsageError(f"{option}: got {value}, want 1 or more")
    inputs = [picture] if ref is None else [picture, ref]
    for path in inputs:
        if os.path.isdir(path):
            raise folder.UsageError(f"{path}: is a folder, want a picture")
        folder.find_pictures([path])  # is there such a file?
    if ref is None and align is not Align.fail:
        raise folder.UsageError("--align: got no reference, want --ref too")
    scorer, healer = _open(model, False, threads, max_pixels), _open(restorer, False, threads, max_pixels)
    if not healer.restores:
        raise folder.UsageError(f"--restorer {restorer}: restores nothing, want a model that does, such as 'dri'")
    page.check_folder(output, *inputs)  # before the work
    try:
        explanation = explain_picture(picture, ref, align.value, scorer, healer)
    except (ImageError, MemoryError) as error:
        _say(str(error) or "not enough memory")
        return 1
    print(page.write_page(explanation, output), file=_stdout(Format.table))
    return 0


@app.command()
def models(format: Annotated[ListFormat, typer.Option(help="How the list is written.")] = ListFormat.table) -> int:
    """List the models in this package, alone and as a panel: size, licence, training data, measured accuracy."""
    from iqassay.model_file import shipped_models

    shipped = shipped_models()
    if format is ListFormat.json:
        import json

        print(json.dumps([_model_record(path, card) for path, card in shipped], indent=2))
    elif shipped:
        print("\n\n".join(_model_text(path, card) for path, card in shipped))
        print(f"\n{_measures_text()}")
    else:
        _say("no models are shipped with this package")
    return 0


# Their words, --help too, go on untouched to the training side, which knows the recipes.
_passed_on: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    "add_help_option": False,
}


@app.command(**_passed_on)
def train(context: typer.Context) -> int:
    """Train a model on your own ratings; needs `pip install 'iqassay[train]'`."""
    return _on_the_training_side("main", context.args)


@app.command(**_passed_on)
def export(context: typer.Context) -> int:
    """Turn a trained system into a model file; needs `pip install 'iqassay[train]'`."""
    return _on_the_training_side("export_main", context.args)


def _on_the_training_side(function: str, arguments: list[str]) -> int:
    try:
        import iqassay.training.command as command

        return getattr(command, function)(list(arguments))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "iqassay":
            raise
        _say(f"training needs {error.name}, which is not installed: want pip install 'iqassay[train]'")
        return 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status. User errors end in one line on standard error."""
    command = typer.main.get_command(app)
    try:
        # The two steps of click's own main(), which would turn interrupts and closed pipes into its own answers.
        with command.make_context("iqassay", list(sys.argv[1:] if arguments is None else arguments)) as context:
            status = command.invoke(context)
        sys.stdout.flush()
        return status or 0
    except typer.Exit as ending:
        return ending.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        return 141
    except OSError as error:
        _say(f"cannot go on: {error}")
        return 1
    except Exception as error:
        if hasattr(error, "format_message"):  # the family of click's usage errors, wherever this typer keeps them
            where = getattr(error, "ctx", None)
            path = where.command_path if where else "iqassay"
            _say(f"{error.format_message().rstrip('.')} (see {path} --help)")
            return 2
        if type(error).__module__.startswith("iqassay."):  # UsageError, ModelFileError
            _say(str(error))
            return 2
        raise


def _open(model: str | None, reference: bool, threads: int | None = None, max_pixels: int | None = None) -> Scorer:
    """Open the model that is asked for, or else the one that suits; with references it must be one that takes them."""
    from iqassay.folder import UsageError
    from iqassay.image import MAX_PIXELS
    from iqassay.model_file import default_model
    from iqassay.panel import open_scorer

    scorer = open_scorer(default_model(reference) if model is None else model, threads, max_pixels or MAX_PIXELS)
    if reference and not scorer.takes_reference:
        suits = default_model(reference=True)
        raise UsageError(f"--model {scorer.card.name}: takes no reference, want one that does, such as {suits}")
    if scorer.needs_reference and not reference:
        suits = default_model(reference=False)
        raise UsageError(
            f"--model {scorer.card.name}: scores against references alone, want --ref, or another, such as {suits}"
        )
    return scorer


def _say(message: str) -> None:
    from iqassay.text import printable

    print(f"iqassay: {printable(message)}", file=sys.stderr, flush=True)


def _stdout(format: Format) -> TextIO:
    """Standard output, made fit for any file name; JSON and CSV are UTF-8 whatever the locale is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if format is Format.table else "utf-8", errors="backslashreplace")
    return sys.stdout


def _comparison_text(a: str, b: str, found: Comparison) -> str:
    """One line that says which looks better, the better one first; a second one where there are warnings."""
    from iqassay.text import printable

    sides = [(printable(a), found.a), (printable(b), found.b)]
    if found.better == "b":
        sides.reverse()
    (better, high), (worse, low) = sides
    probability = max(found.win_probability, 1 - found.win_probability)
    if probability < CLEAR:
        text = f"no clear difference: {better} {high.score:.1f}, {worse} {low.score:.1f}; people would prefer {better}"
    else:
        text = (
            f"{better} looks better than {worse}: {high.score:.1f} against {low.score:.1f}, "
            f"by {abs(found.difference):.1f} points; people would prefer it"
        )
    doubts = [printable(f"{name}: {warning}") for name, verdict in sides for warning in verdict.warnings]
    return f"{text} with probability {probability:.2f}" + ("\n" + "; ".join(doubts) if doubts else "")


def _write_map(result: Result, path: str) -> bool:
    """Write the heatmap of a picture; says so and returns False when that fails. Without a verdict there is no map."""
    if result.verdict is None or result.picture is None:
        return True
    from iqassay.heatmap import heatmap

    try:
        heatmap(result.picture, result.verdict.map).save(path, "PNG")
    except OSError as error:
        _say(f"--map: cannot write {path}: {error.strerror or error}")
        return False
    return True


def _model_record(path: Path, card: NetworkCard | PanelCard) -> dict[str, Any]:
    from iqassay.model_file import PanelCard

    keys = ("name", "version", "summary", "system", "licence", "training_data", "accuracy", "limits")
    record = {key: getattr(card, key) for key in keys}
    if isinstance(card, PanelCard):
        return {**record, "members": card.members}
    return {**record, "bytes": path.stat().st_size, "sha256": card.sha256}


def _measures_text() -> str:
    from iqassay.bench.measure import MEASURES

    compared, alone = (
        [name for name, known in MEASURES.items() if known.reference is wanted] for wanted in (True, False)
    )
    return f"measures, for --model too (need scipy): {', '.join(compared)} with --ref; {', '.join(alone)} without"


def _model_text(path: Path, card: NetworkCard | PanelCard) -> str:
    from iqassay.model_file import PanelCard

    made_of = ("size", [f"{path.stat().st_size / 1e6:.1f} MB"])
    if isinstance(card, PanelCard):
        made_of = ("members", [", ".join(card.members)])
    measured = []
    for row in card.accuracy:
        values = [f"{name.upper()} {row[name]:.3f}" for name in ("srcc", "plcc") if isinstance(row.get(name), float)]
        measured.append(f"{row['set']} ({row.get('images', '?')} pictures): {', '.join(values)}")
    rows = [
        ("system", [card.system]),
        made_of,
        ("licence", [f"{part}: {licence}" for part, licence in card.licence.items()]),
        ("training data", list(card.training_data)),
        ("accuracy", measured),
        ("limits", list(card.limits)),
    ]
    lines = [f"{card.name} {card.version}: {card.summary}"]
    for title, values in rows:
        lines += [f"  {title if index == 0 else '':<14} {value}" for index, value in enumerate(values)]
    return "\n".join(lines)
