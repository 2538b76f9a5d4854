"""The commands of ``iqassay bench``: they parse, call and print. Everything heavy is imported inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqassay.commands.options import Columns

if TYPE_CHECKING:
    from iqassay.bench.results import Results

bench = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure how well models agree with people, on rated sets; needs the extra `bench`.",
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
        from iqassay.support.errors import UsageError
        from iqassay.support.install import install_command

        try:
            return command(**options)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            if missing == "iqassay":
                raise
            wanted = install_command("train" if missing in ("torch", "lightning", "onnx") else "bench")
            raise UsageError(f"needs {missing}, which is not installed: want {wanted}") from None
        except ValueError as error:
            raise UsageError(str(error)) from None

    return run


@bench.command()
@in_one_line
def run(
    data: Sets,
    output: Output,
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            help="A model or a classical measure, as for `iqassay score`; with :nr after it, without references even "
            "where the set has them; repeatable.",
        ),
    ],
    split: Annotated[str, typer.Option(help="The rows of each set to take: all, or a split of its own.")] = "all",
    threads: Annotated[int | None, typer.Option(help="Threads to compute with. [default: all there are]")] = None,
    again: Annotated[bool, typer.Option("--again", help="Make answers anew that are there already.")] = False,
    columns: Columns = "",
) -> int:
    """Let models score rated sets; every answer is kept, and a run that was stopped goes on.

    Exit status: 0 all well, 1 some pictures could not be scored or some answers are suspicious, 2 wrong usage.
    """
    import iqassay.bench.tables  # noqa: F401 - what it needs and is not there shall be said before the work
    from iqassay.bench.protocol import open_contender
    from iqassay.bench.protocol import run as run_models
    from iqassay.data.opening import open_set

    contenders = [open_contender(text, threads) for text in dict.fromkeys(model)]
    names = [one.name for one in contenders]
    if len(set(names)) < len(names):
        raise ValueError(f"got models called {', '.join(names)}, want names that differ")
    sets = [open_set(argument, columns=columns) for argument in data]
    return _tell(run_models(contenders, sets, output, split, again))


@bench.command()
@in_one_line
def scores(
    table: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="A column image, and one of scores for each model.")
    ],
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="SET", help="As for `bench run`. [default: FILE.csv has the opinions too]"),
    ] = [],  # noqa: B006 - typer reads it and never changes it
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Keep the rows there, for `bench report`.")
    ] = None,
    split: Annotated[str, typer.Option(help="The rows of each set to take: all, or a split of its own.")] = "all",
    image: Annotated[str, typer.Option(help="The column with the picture's path or name.")] = "image",
    lower_is_better: Annotated[
        list[str], typer.Option("--lower-is-better", metavar="MODEL", help="Scores that fall with quality; repeatable.")
    ] = [],  # noqa: B006 - typer reads it and never changes it
    columns: Columns = "",
) -> int:
    """Measure anyone's scores: a CSV beside the opinions of a rated set; no model of ours is asked.

    Exit status: 0 all well, 1 some pictures have no score or some scores are suspicious, 2 wrong usage.
    """
    from iqassay.bench.protocol import judge, read_scores, rows_of
    from iqassay.bench.results import write_results
    from iqassay.data.opening import open_set

    given = read_scores(table, image, not data, columns)
    sets = [rows_of(open_set(argument, False, columns), split) for argument in data or [str(table)]]
    falling = {name.lower() for name in lower_is_better}
    if falling - set(given):
        raise ValueError(f"--lower-is-better: got {', '.join(lower_is_better)}, want of {', '.join(given)}")
    found = [judge(one, name, ratings, name in falling, split) for ratings in sets for name, one in given.items()]
    if output is not None:
        for results in found:
            write_results(output, results)
    return _tell(found)


def _tell(found: list[Results]) -> int:
    """Print the tables of some results and what is suspicious in them. Returns the exit status."""
    from iqassay.bench.checks import check_results
    from iqassay.bench.protocol import say
    from iqassay.bench.tables import markdown, summarise

    print(markdown([summarise(results) for results in found]))
    findings = [f"{results.set}, {results.model}: {text}" for results in found for text in check_results(results)]
    for text in findings:
        say(text)
    return 1 if findings else 0


@bench.command()
@in_one_line
def report(
    folder: Annotated[
        list[Path], typer.Argument(metavar="RESULTS...", help="Folders that the other commands kept answers in.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the report goes.")],
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Without the worst pictures: rated photos may not be republished.")
    ] = False,
    sets: Annotated[list[str], typer.Option("--set", metavar="NAME", help="Only this set; repeatable.")] = [],  # noqa: B006 - typer reads it and never changes it
    model: Annotated[list[str], typer.Option("--model", metavar="NAME", help="Only this model; repeatable.")] = [],  # noqa: B006
    published: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Figures of papers, for a table of their own: set, method, srcc, ..."),
    ] = None,
    resamples: Annotated[int, typer.Option(min=10, help="Bootstrap draws for each interval.")] = 1000,
) -> int:
    """Write a page with charts (index.html), tables.md and tables.csv from kept answers; prints the page's path.

    A folder that `bench sanity` wrote adds its part to the page and to tables.md.
    """
    from iqassay.bench.published import read_published
    from iqassay.bench.report import write_report
    from iqassay.bench.results import find_results
    from iqassay.bench.sanity_figures import FILE, read_figures

    sanity = [figure for one in folder if (one / FILE).is_file() for figure in read_figures(one / FILE)]
    rated = [one for one in folder if not (one / FILE).is_file() or any(one.glob("*/*.csv"))]
    found = [results for one in rated for results in find_results(one)]
    for names, option, of in ((sets, "--set", "set"), (model, "--model", "model")):
        there = list(dict.fromkeys(getattr(results, of) for results in found))
        if wrong := next((name for name in names if name not in there), None):
            raise ValueError(f"{option}: got {wrong}, want one of {', '.join(there)}")
        found = [results for results in found if not names or getattr(results, of) in names]
    if not found:
        raise ValueError("--set and --model: got no results of both, want a model that answered about the set")
    figures = read_published(published) if published else []
    print(write_report(found, output, not no_pictures, figures, resamples, sanity))
    return 0


@bench.command()
@in_one_line
def sanity(
    model: Annotated[
        list[str],
        typer.Option("--model", help="A model or a classical measure, as for `iqassay score`; repeatable."),
    ] = [],  # noqa: B006 - typer reads it and never changes it
    with_reference: Annotated[
        bool, typer.Option("--with-reference", help="Ask models that can once more, beside the clean pictures.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Keep every answer there, and sanity.csv, sanity.md and index.html."
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the pictures as PNG, and manifest.csv, for other scorers.")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Judge anyone's scores of them: columns image, score, perhaps name."),
    ] = None,
    scale: Annotated[
        str, typer.Option(metavar="WORST..BEST", help="The scale of these scores, for example 1..0.")
    ] = "0..100",
    threads: Annotated[int | None, typer.Option(help="Threads to compute with. [default: all there are]")] = None,
) -> int:
    """Ask what no one doubts: is more damage worse, is nothing bad, do harmless changes matter, is the map right?

    No data is needed: the pictures are made on the spot. A run that was stopped goes on with the same -o DIR.
    Exit status: 0 all well, 1 some pictures could not be scored, 2 wrong usage.
    """
    from iqassay.bench.protocol import say
    from iqassay.bench.sanity import ask, ends_of, given_scores, open_models, write_pictures
    from iqassay.bench.sanity_figures import figures
    from iqassay.bench.sanity_report import overview, write_sanity

    if not (model or scores or export):
        raise ValueError("got nothing to ask, want --model, --scores or --export")
    models = open_models(model, with_reference, threads)
    answers = given_scores(scores, *ends_of(scale)) if scores else []
    if export:
        print(write_pictures(export))
    if not (model or scores):
        return 0
    answers = ask(models, output) + answers
    found = [figure for one in answers for figure in figures(one)]
    if output:
        say(f"{write_sanity(found, output)}")
    print(overview(found))
    wrong = [(one, answer) for one in answers for answer in one.of.values() if answer.error]
    for one, answer in wrong[:5]:
        say(f"{one.name}: {answer.file}: {answer.error}")
    if wrong[5:]:
        say(f"and {len(wrong) - 5} more that could not be scored")
    return 1 if wrong else 0


# ---- training: --data, --start, --stage and the seed are the protocol's, all other flags those of `iqassay train` ----

_TRAINING = {"allow_extra_args": True, "ignore_unknown_options": True}
System = Annotated[str, typer.Argument(metavar="SYSTEM", help="mfen, yoto, dri, or ridge, a baseline (--encoder).")]
Splits = Annotated[int, typer.Option(help="How many of the ten splits by content.")]
Stage = Annotated[
    str,
    typer.Option(
        help="head: what makes the score, on whole pictures, with all else as --start made it; minutes. network: on "
        "crops; hours. [default: head after --start, otherwise network]",
        show_default=False,
    ),
]
Start = Annotated[
    Path | None,
    typer.Option(
        metavar="CKPT",
        help="A checkpoint to begin with, which must not have been trained on these sets. [default: none, and all is "
        "new but encoders that ImageNet made]",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Option(help="What the results are called. [default: SYSTEM]", show_default=False)]


@bench.command(context_settings=_TRAINING)
@in_one_line
def train(
    context: typer.Context,
    system: System,
    data: Sets,
    output: Output,
    splits: Splits = 10,
    stage: Stage = "",
    start: Start = None,
    name: Name = "",
) -> int:
    """Train and test inside each set, over splits by content; other flags are those of `iqassay train`.

    Prints SRCC and PLCC on the test pictures with the epoch chosen on val ("clean"), with the best test epoch as in
    many papers, and the gap. A training that is finished is kept; started again, the command goes on.
    """
    from iqassay.bench.train import plan
    from iqassay.bench.train import train as train_splits

    return _print(train_splits(plan(system, name, stage, start, context.args), data, splits, output))


@bench.command(context_settings=_TRAINING)
@in_one_line
def cross(
    context: typer.Context,
    system: System,
    data: Sets,
    output: Output,
    splits: Splits = 3,
    stage: Stage = "",
    start: Start = None,
    name: Name = "",
) -> int:
    """Train on each set and test on all of every other; other flags are those of `iqassay train`."""
    from iqassay.bench.cross import cross as cross_sets
    from iqassay.bench.train import plan

    return _print(cross_sets(plan(system, name, stage, start, context.args), data, splits, output))


@bench.command(context_settings=_TRAINING)
@in_one_line
def ablate(
    context: typer.Context,
    system: System,
    data: Sets,
    output: Output,
    splits: Splits = 3,
    stage: Stage = "network",
    start: Start = None,
) -> int:
    """Train a system whole and with one switch thrown at a time; other flags are those of `iqassay train`."""
    from iqassay.bench.ablate import ablate as ablate_system

    return _print(ablate_system(system, data, splits, output, stage, start, context.args))


def _print(tables: Iterable[str]) -> int:
    for i, text in enumerate(tables):
        print("\n" * bool(i) + text, flush=True)
    return 0


class ListFormat(str, Enum):
    table = "table"
    json = "json"


@bench.command()
@in_one_line
def sets(format: Annotated[ListFormat, typer.Option(help="How the list is written.")] = ListFormat.table) -> int:
    """List the published sets that can be read: pictures, references, scale of the opinions, where to get them."""
    from iqassay.data.datasets import DATASETS

    if format is ListFormat.json:
        import json

        facts = ("name", "title", "pictures", "references", "scale", "home", "paper")
        print(json.dumps([{key: getattr(one, key) for key in facts} for one in DATASETS.values()], indent=2))
        return 0
    print(f"{'name':9} {'pictures':>8} {'references':>10}  {'worst..best':11}  title, where to get it")
    for one in DATASETS.values():
        scale = f"{one.scale[0]:g}..{one.scale[1]:g}"
        print(f"{one.name:9} {one.pictures:8,} {one.references or '':>10}  {scale:11}  {one.title}, {one.home}")
    return 0


@bench.command()
@in_one_line
def check(
    data: Sets,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Read all pictures too: those of different groups that are nearly the same, within a set and between "
            "two sets.",
        ),
    ] = False,
    columns: Columns = "",
) -> int:
    """Tell what rated sets are, and what is wrong with them: labels, references, groups, splits.

    Exit status: 0 nothing found, 1 something found, 2 wrong usage.
    """
    from itertools import combinations

    from iqassay.data.checks import check_between, check_pictures, check_ratings, describe, look_at
    from iqassay.data.opening import open_set
    from iqassay.support.progress import with_bar
    from iqassay.support.text import printable

    found, seen = 0, []
    for ratings in (open_set(argument, columns=columns) for argument in data):
        print("\n".join(describe(ratings)), flush=True)
        findings = check_ratings(ratings)
        if pictures:
            seen.append(look_at(ratings, with_bar))
            findings += check_pictures(seen[-1])
        print("".join(f"  {printable(text)}\n" for text in findings or ["nothing found"]), flush=True)
        found += len(findings)
    for text in (text for pair in combinations(seen, 2) for text in check_between(*pair)):
        print(printable(text))
        found += 1
    return 1 if found else 0
