"""`iqassay report`: a folder's results as one page."""

from __future__ import annotations

from typing import Annotated

import typer

from iqassay.commands.options import say, stdout


def report(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="What `iqassay score -o` wrote; no table.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The page, such as report.html.")],
    examples: Annotated[
        int, typer.Option(min=0, help="How many of the worst and of the best are shown; 0 needs no picture.")
    ] = 12,
    pictures: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where the pictures are now. [default: where they were]")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The heading of the page.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The model that draws the heatmaps. [default: the one that RESULTS names]")
    ] = None,
) -> int:
    """Show the results of many pictures on one page that opens offline: scores, damage, the worst and the best with
    heatmaps, and a table of all to search, sort and take rows from.

    Prints the path of the page. Exit status: 0 written, 2 wrong usage. Pictures that are gone are said, and no error.
    """
    import os

    from iqassay.pages.folder_report import write_report
    from iqassay.support.errors import UsageError

    if pictures is not None and not os.path.isdir(pictures):
        raise UsageError(f"--pictures {pictures}: got no such folder, want one that is there")
    for note in write_report(results, output, examples, pictures, model, title):
        say(note)
    print(output, file=stdout())
    return 0
