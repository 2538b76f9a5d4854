"""The command line: gathers the commands, each of which has a file in commands/, and turns errors into one line.

Exit status: 0 all well, 1 some pictures could not be scored, 2 wrong usage, 3 a gate that is not passed, 130
interrupted by Ctrl-C. Standard output holds results alone; messages and the progress bar go to standard error.
Everything heavy is imported inside the commands, so that --help is quick.
"""

from __future__ import annotations

import inspect
import os
import sys
from typing import Annotated

import typer

from iqassay.commands.bench import bench
from iqassay.commands.cluster import cluster
from iqassay.commands.compare import compare
from iqassay.commands.curve import curve
from iqassay.commands.doctor import doctor
from iqassay.commands.encode import encode
from iqassay.commands.explain import explain
from iqassay.commands.gate import gate
from iqassay.commands.group import group
from iqassay.commands.mcp import mcp
from iqassay.commands.models import models
from iqassay.commands.options import say
from iqassay.commands.report import report
from iqassay.commands.score import score
from iqassay.commands.serve import serve
from iqassay.commands.stars import stars
from iqassay.commands.train import export, train
from iqassay.support.version import __version__
from iqassay.training.flags import Grouped

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

COMPLETE = "_IQASSAY_COMPLETE"  # the variable by which shells ask, as in the scripts that --install-completion writes
START = f"""iqassay {__version__}: how good a picture looks, why, and where. It works offline.

Score a picture or a folder, from 0 to 100; higher is better:
  iqassay score photo.jpg
  iqassay score photos/ -o scores.csv

See why, on a page that opens in your browser:
  iqassay explain photo.jpg -o why/

Look through the results of a folder:
  iqassay report scores.csv -o page.html

Compare pictures:
  iqassay compare a.jpg b.jpg

iqassay --help lists all commands, iqassay COMMAND --help what each can do,
and iqassay doctor tells whether everything works here."""


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
        print(START)


for command in (score, compare, explain, report, group, stars, gate, encode, curve, serve, mcp, models, doctor):
    app.command()(command)

app.command(cls=Grouped)(train)
app.command()(export)

app.add_typer(bench, name="bench", short_help=bench.info.help)
app.add_typer(cluster, name="cluster", short_help=cluster.info.help)

for known in (
    one for kind in (app, bench, cluster) for one in kind.registered_commands
):  # typer would cut after 45 characters
    known.short_help = (inspect.getdoc(known.callback) or "").split("\n\n")[0].replace("\n", " ")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status. User errors end in one line on standard error."""
    command = typer.main.get_command(app)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this: the next file opened would take its place
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        if os.environ.get(COMPLETE):  # a shell asks what may come next: typer answers, and ends the process
            command(prog_name="iqassay", complete_var=COMPLETE)
        # The two steps of click's own main(), which would turn interrupts and closed pipes into its own answers.
        with command.make_context("iqassay", list(sys.argv[1:] if arguments is None else arguments)) as context:
            status = command.invoke(context)
        sys.stdout.flush()
        return status or 0
    except typer.Exit as ending:
        return ending.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has had enough
        _drop_output()
        return 141
    except OSError as error:
        say(f"cannot go on: {error}")
        _drop_output()
        return 1
    except Exception as error:
        if hasattr(error, "format_message"):  # the family of click's usage errors, wherever this typer keeps them
            where = getattr(error, "ctx", None)
            path = where.command_path if where else "iqassay"
            message = " ".join(error.format_message().split()).rstrip(".")
            say(f"{message} (see {path} --help)")
            return 2
        if type(error).__module__.startswith("iqassay."):  # UsageError, ModelFileError
            say(str(error))
            return 2
        raise


def _drop_output() -> None:
    """Where standard output takes no more, throw away what waits for it: Python would complain when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
