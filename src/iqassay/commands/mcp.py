"""`iqassay mcp`: score, compare and explain as tools for agents, by the Model Context Protocol on standard streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

INSTRUCTIONS = (
    "Says how good pictures look, from 0 to 100, higher is better: 90 and more is flawless at a normal look, 70 good, "
    "50 has flaws that are plainly visible, 30 is bad, 10 ruined. low and high are the ends of a 90 % interval; "
    "differences within it mean little. Pictures are files on this machine and never leave it."
)


def mcp(
    root: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Let the tools read pictures below this folder alone. [default: any file]"),
    ] = None,
) -> int:
    """Give agents the tools score, compare and explain, on standard input and output (Model Context Protocol).

    Needs the extra `mcp`. An agent's settings want the command `iqassay mcp`; docs/agents.md has an example.
    """
    from iqassay.support.errors import UsageError
    from iqassay.support.install import install_command

    if root is not None and not Path(root).is_dir():
        raise UsageError(f"--root: got {root!r}, want a folder that exists")
    try:
        made = server(root)
    except ModuleNotFoundError as error:
        raise UsageError(f"this needs {error.name}, which is not installed: want {install_command('mcp')}") from None
    made.run("stdio")
    return 0


def server(root: str | None = None) -> MCPServer:
    """The server and its tools. root: a folder, below which all files must lie; None is any file."""
    from functools import lru_cache

    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    from iqassay.models.opening import open_scorer
    from iqassay.scoring import comparison, explanation
    from iqassay.scoring.model_file import default_model
    from iqassay.scoring.verdict import Verdict
    from iqassay.support.version import __version__

    made = MCPServer("iqassay", version=__version__, instructions=INSTRUCTIONS, log_level="ERROR")
    opened = lru_cache(maxsize=4)(open_scorer)

    @contextmanager
    def said_to_the_agent(*paths: str | None) -> Iterator[None]:
        """What a caller did wrong goes back to it; anything else is a fault of ours, which the library hides."""
        for path in paths:
            if path is not None and not _lies_below(path, root):
                raise ToolError(f"got {path!r}, want a file below the folder that the tools may read")
        try:
            yield
        except ValueError as error:
            raise ToolError(str(error)) from None

    @made.tool()
    def score(paths: list[str], reference: str | None = None, model: str | None = None) -> dict[str, Any]:
        """How good pictures look: of each its score, its 90 % interval, what is wrong with it, and warnings.

        paths: picture files. reference: the picture as it should look, of the same size, for all of them. model: one of
        those in `iqassay models`, by default the best one. A file that cannot be read has "error" instead.
        """
        with said_to_the_agent(*paths, reference):
            scorer = opened(model or default_model(reference is not None))
            beside = None if reference is None else [scorer.read(reference)] * len(paths)
            found = list(scorer.score_many(paths, beside, errors="return"))
        return {
            "pictures": [
                one.record(path, reference)
                if isinstance(one, Verdict)
                else {"path": path, "error": str(one).removeprefix(f"{path}: ")}
                for path, one in zip(paths, found, strict=True)
            ]
        }

    @made.tool()
    def compare(a: str, b: str, reference: str | None = None) -> dict[str, Any]:
        """Which of two pictures looks better: "a", "b" or "equal", by how many points, and how probable it is that
        people would prefer a. reference: the picture that both were made from, of the same size."""
        with said_to_the_agent(a, b, reference):
            found = comparison.compare(opened(default_model(reference is not None)), a, b, reference)
        return {
            "better": found.better,
            "difference": round(found.difference, 2),
            "win_probability": round(found.win_probability, 4),
            "a": found.a.record(a, reference),
            "b": found.b.record(b, reference),
        }

    @made.tool()
    def explain(path: str) -> dict[str, Any]:
        """Why a picture has its score: what is wrong with it, which known damage it resembles (at levels 1 to 5), and
        where it is worst and best: shares of width and height from the left and the top, with the score there."""
        with said_to_the_agent(path):
            found = explanation.explain(path, opened(default_model(reference=False)), opened(explanation.RESTORER))
        record = found.record()
        return {name: record[name] for name in ("width", "height", "verdict", "nearest")} | _ends(record["quality_map"])

    return made


def _lies_below(path: str, root: str | None) -> bool:
    return root is None or Path(path).resolve().is_relative_to(Path(root).resolve())


def _ends(quality: list[list[float]]) -> dict[str, dict[str, float]]:
    """The worst and the best cell of a map: the middle of each, as shares of width and height, and its score."""
    cells = [
        (value, (column + 0.5) / len(row), (line + 0.5) / len(quality))
        for line, row in enumerate(quality)
        for column, value in enumerate(row)
    ]
    named = {"worst": min(cells), "best": max(cells)}
    return {name: {"x": round(x, 3), "y": round(y, 3), "score": score} for name, (score, x, y) in named.items()}
