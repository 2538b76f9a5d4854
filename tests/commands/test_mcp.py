"""The tools for agents, asked by the client of the official library."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import write_restorer
from mcp import Client, StdioServerParameters
from PIL import Image

from iqassay import cli
from iqassay.commands.mcp import server


def ask(where: Any, tool: str, **arguments: object) -> Any:
    """The answer of a tool, or the text of its error."""

    async def asking() -> Any:
        async with Client(where) as client:
            answer = await client.call_tool(tool, arguments)
            return answer.content[0].text if answer.is_error else answer.structured_content

    return asyncio.run(asking())


@pytest.fixture
def files(shelf: Path) -> list[str]:
    """A dark picture and a lighter one, in a folder of their own."""
    write_restorer(shelf)
    folder = shelf / "photos"
    folder.mkdir()
    for name, level in (("dark", 50), ("light", 200)):
        Image.new("RGB", (96, 64), (level,) * 3).save(folder / f"{name}.png")
    return [str(folder / "dark.png"), str(folder / "light.png")]


def test_it_says_what_it_can() -> None:
    async def asking() -> list[Any]:
        async with Client(server()) as client:
            assert "higher is better" in client.instructions
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(asking())}
    assert set(tools) == {"score", "compare", "explain"}
    assert set(tools["score"].input_schema["properties"]) == {"paths", "reference", "model"}
    assert all(tool.description for tool in tools.values())


def test_score(files: list[str], shelf: Path) -> None:
    gone = str(shelf / "gone.png")
    dark, missing, light = ask(server(), "score", paths=[files[0], gone, files[1]])["pictures"]
    assert missing == {"path": gone, "error": "no such file"}
    assert (dark["path"], dark["model"]) == (files[0], "panel")
    assert dark["low"] <= dark["score"] < light["score"] <= light["high"]
    (beside,) = ask(server(), "score", paths=files[:1], reference=files[0])["pictures"]
    assert (beside["score"], beside["reference"], beside["model"]) == (98, files[0], "yoto")
    (named,) = ask(server(), "score", paths=files[:1], model="mfen")["pictures"]
    assert named["model"] == "mfen"


def test_compare_and_explain(files: list[str]) -> None:
    dark, light = files
    found = ask(server(), "compare", a=dark, b=light)
    assert found["better"] == "b"
    assert found["difference"] < 0
    assert found["win_probability"] < 0.5
    assert ask(server(), "compare", a=dark, b=light, reference=dark)["better"] == "a"
    why = ask(server(), "explain", path=light)
    assert (why["width"], why["height"]) == (96, 64)
    assert why["verdict"]["score"] == ask(server(), "score", paths=[light])["pictures"][0]["score"]
    assert {"name", "level", "similarity"} == set(why["nearest"][0])
    assert 0 < why["worst"]["x"] < 1


def test_what_an_agent_does_wrong_is_one_sentence(files: list[str], shelf: Path) -> None:
    assert "no such file" in ask(server(), "compare", a=files[0], b=str(shelf / "gone.png"))
    assert "there is no model 'mfn', did you mean 'mfen'" in ask(server(), "score", paths=files, model="mfn")
    assert "'mfen' takes no reference" in ask(server(), "score", paths=files, reference=files[0], model="mfen")


def test_files_outside_the_folder_are_not_read(files: list[str], shelf: Path) -> None:
    root = str(Path(files[0]).parent)
    assert len(ask(server(root), "score", paths=files)["pictures"]) == 2
    outside = shelf / "secret.png"
    Image.new("RGB", (64, 64)).save(outside)
    link = Path(root) / "link.png"
    link.symlink_to(outside)
    for path in (str(outside), str(link), os.path.join(root, "..", "secret.png")):
        for tool, arguments in (("score", {"paths": [path]}), ("explain", {"path": path})):
            assert "want a file below the folder" in ask(server(root), tool, **arguments)
    assert "want a file below" in ask(server(root), "score", paths=files, reference=str(outside))


@pytest.mark.slow
def test_over_standard_streams(tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), (9, 9, 9)).save(tmp_path / "a.png")
    arguments = ["-m", "iqassay", "mcp", "--root", str(tmp_path)]
    where = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    (found,) = ask(where, "score", paths=[str(tmp_path / "a.png")], model="mfen")["pictures"]
    assert 0 <= found["score"] <= 100


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["mcp", "--root", "nowhere"]) == 2
    assert "got 'nowhere', want a folder that exists" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    assert cli.main(["mcp"]) == 2
    assert "want pip install 'mcp>=2'" in capsys.readouterr().err
