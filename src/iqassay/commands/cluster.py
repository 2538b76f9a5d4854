"""`iqassay cluster`: millions of pictures on many machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from iqassay.commands.options import MaxPixels, Recursive, at_least_1, open_models, say, stdout

cluster = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Score millions of pictures on many machines, with Ray (the extra `ray`).",
)


@cluster.callback(invoke_without_command=True)
def _cluster(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@cluster.command()
def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of pictures; Parquet (a file or a folder) with pictures, paths or URLs in it; any other "
            "file is a list of paths and URLs. It may be a URL itself (s3://, gs://, ...).",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="OUT", help="The folder, or URL of one, for the results: Parquet in parts."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="As for `iqassay score`; a file must be on every machine. [default: panel]", show_default=False
        ),
    ] = None,
    recursive: Recursive = False,
    column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of Parquet: which has the pictures. [default: as its name or type says]"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of Parquet: which has their names. [default: path, else FILE#ROW]"),
    ] = None,
    part: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least_1,
            help="Pictures in a part, which is what a stop costs each worker at most. [default: 1000, fewer of few]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(callback=at_least_1, help="Processes at most. [default: as many as the cluster has room for]"),
    ] = None,
    cpus: Annotated[int, typer.Option(callback=at_least_1, help="Processors that each computes with.")] = 1,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The head of the cluster. [default: $RAY_ADDRESS, or one that runs here, else this machine alone]",
            show_default=False,
        ),
    ] = None,
    max_pixels: MaxPixels = None,
) -> int:
    """Score a great many pictures into Parquet files in OUT, part by part.

    Run again after a stop it goes on: parts that are done are not done again. OUT must be a place that all machines
    see. Exit status: 0 all scored, 1 some could not be, 2 wrong usage.
    """
    from iqassay.cluster import places, pool, run
    from iqassay.cluster.question import ask
    from iqassay.cluster.sources import find_source
    from iqassay.folders.left_out import LeftOut
    from iqassay.pictures.image import MAX_PIXELS
    from iqassay.scoring.model_file import default_model
    from iqassay.support.progress import with_bar

    pool.find_ray()
    models = model or default_model(reference=False)
    scorers = open_models(models, False, 1, max_pixels)
    names = [models] if len(scorers) == 1 else [one.strip() for one in models.split(",")]
    question = ask(scorers, names, max_pixels or MAX_PIXELS, cpus)
    before = run.found_in(output)
    left_out = LeftOut()
    size = part or (before["part"] if before else None)
    own = [output] if not places.is_url(output) or places.is_url(source) else []
    found = find_source(source, size, recursive, column, name, own, left_out)
    if said := left_out.line():
        say(said)
    run.begin(output, run.about(found, question, scorers), before)
    run.clear(output)  # who was at work when a run was stopped did not die of a picture
    todo = run.still_to_do(output, found.parts)
    if before and len(todo) < len(found.parts):
        say(f"{len(found.parts) - len(todo):,} of {len(found.parts):,} parts are there already")
    if todo:
        with pool.connected(address) as processors:
            most = workers or max(1, processors // cpus)
            done = pool.score_parts(todo, question, output, most)
            for _ in with_bar(_each(done), sum(one.pictures for one in todo)):
                pass
    rows, failed = run.totals(output, found)
    run.clear(output)
    if failed:
        say(f"{failed:,} of {rows:,} pictures could not be scored: see the column error")
    print(output, file=stdout())
    return int(failed > 0)


def _each(parts: Iterator[int]) -> Iterator[None]:
    """One thing for each picture of parts that are done, as the bar counts them."""
    for pictures in parts:
        for _ in range(pictures):
            yield None
