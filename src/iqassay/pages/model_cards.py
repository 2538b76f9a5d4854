"""Model cards in the format that model hubs read: Markdown with facts in YAML on top, made from a model file's card."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from iqassay.pages.templates import environment
from iqassay.scoring.model_file import Card, NetworkCard, PanelCard
from iqassay.support.files import write_whole


def model_card(path: Path, card: Card) -> str:
    """The model card of the model file, or of the panel, whose JSON card lies at ``path``."""
    licence = re.match(r"[\w.-]+", card.licence.get("weights", ""))
    takes_reference = isinstance(card, PanelCard) or (isinstance(card, NetworkCard) and card.reference is not None)
    figures = [
        {name: row[name] for name in ("srcc", "plcc") if isinstance(row.get(name), float)} for row in card.accuracy
    ]
    measured = [
        {
            "set": row["set"],
            "slug": re.sub(r"\W+", "-", row["set"].lower()).strip("-"),
            "images": row.get("images", ""),
            "figures": found,
        }
        for row, found in zip(card.accuracy, figures, strict=True)
    ]
    # Markdown, not HTML: a card is the project's own text, and nothing in it is to be escaped.
    text = environment.overlay(autoescape=False).get_template("pages/model_card.md").render(
        card=card,
        license="apache-2.0" if licence and licence[0] == "Apache-2.0" else "other",
        tags=["no-reference", *(["full-reference"] if takes_reference else [])],
        measured=measured,
        members=", ".join(card.members) if isinstance(card, PanelCard) else "",
        file=path.name,
        megabytes=f"{path.stat().st_size / 1e6:.1f}",
        takes_reference=takes_reference,
        quoted=json.dumps,
    )  # fmt: skip
    return re.sub(r"\n(## [^\n]*)\n(?=[-|])", r"\n\1\n\n", text)


def write_model_cards(models: Sequence[tuple[Path, Card]], folder: Path) -> list[Path]:
    """Write NAME.md for each of some models into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path, card in models:
        written.append(folder / f"{card.name}.md")
        write_whole(written[-1], model_card(path, card).encode())
    return written
