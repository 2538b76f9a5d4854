"""What mkdocs.yml asks for while it makes the site: model cards out of the model files, and links to files beside them.

The pages link to files of the repository that are no pages (../benchmarks/speed/folders.csv). On a code host these
links work; the site has no such files, so here they become plain text. A link to a file that there is not stays one,
and --strict refuses it. In notebooks links are followed here too: mkdocs reads them in Markdown alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from iqassay.pages.model_cards import model_card
from iqassay.scoring.model_file import shipped_models

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\[([^\]\n]+)\]\(((?:\.\./)+[^)\s#]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add cards/NAME.md for every shipped model."""
    for path, card in shipped_models():
        files.append(File.generated(config, f"cards/{card.name}.md", content=model_card(path, card)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files outside the documentation into plain text."""
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def plain(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        beside = target.exists() and not target.is_relative_to(ROOT / "docs")
        return f"{link[1]} (`{target.relative_to(ROOT).as_posix()}`)" if beside else link[0]

    return OUTSIDE.sub(plain, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Let the links of a notebook to other pages lead to what is made of them. Raises PluginError for a broken one."""
    if not page.file.src_uri.endswith(".ipynb"):
        return output
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def led(link: re.Match[str]) -> str:
        if not (folder / f"{link[1]}.{link[2]}").is_file():
            raise PluginError(
                f"{page.file.src_uri}: got a link to {link[1]}.{link[2]}, want one to a page that there is"
            )
        return f'href="{link[1]}.html'

    return re.sub(r'href="([\w./-]+)\.(md|ipynb)(?=["#])', led, output)
