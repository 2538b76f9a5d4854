"""`iqassay models`: what there is to score with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqassay.commands.bench import ListFormat
from iqassay.commands.options import say

if TYPE_CHECKING:
    from iqassay.scoring.model_file import NetworkCard, PanelCard


def models(
    format: Annotated[ListFormat, typer.Option(help="How the list is written.")] = ListFormat.table,
    cards: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a model card for each into DIR instead, as model hubs read them: Markdown with facts on top.",
        ),
    ] = None,
) -> int:
    """List the models in this package, alone and as a panel: size, licence, training data, measured accuracy."""
    from iqassay.scoring.model_file import shipped_models

    shipped = shipped_models()
    if cards is not None:
        from iqassay.pages.model_cards import write_model_cards

        print(*write_model_cards(shipped, cards), sep="\n")
        return 0
    if format is ListFormat.json:
        import json

        from iqassay.models.listing import model_record

        print(json.dumps([model_record(path, card) for path, card in shipped], indent=2))
    elif shipped:
        print("\n\n".join(_model_text(path, card) for path, card in shipped))
        print(f"\n{_measures_text()}")
    else:
        say("no models are shipped with this package")
    return 0


def _measures_text() -> str:
    from iqassay.measures.measure import MEASURES

    compared, alone = (
        [name for name, known in MEASURES.items() if known.reference is wanted] for wanted in (True, False)
    )
    return f"measures, for --model too (need scipy): {', '.join(compared)} with --ref; {', '.join(alone)} without"


def _model_text(path: Path, card: NetworkCard | PanelCard) -> str:
    from iqassay.scoring.model_file import PanelCard

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
