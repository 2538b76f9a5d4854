"""`iqassay compare`: which of two pictures looks better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqassay.commands.options import Align, Alignment, Model, TextFormat, one_picture, open_model, say, stdout

if TYPE_CHECKING:
    from iqassay.scoring.comparison import Comparison


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
    from iqassay.pictures.image import ImageError
    from iqassay.scoring import comparison
    from iqassay.support.errors import UsageError

    for path in (a, b) if ref is None else (a, b, ref):
        one_picture(path)
    if ref is None and align is not Align.fail:
        raise UsageError("--align: got no reference, want --ref too")
    scorer = open_model(model, ref is not None)
    try:
        found = comparison.compare(scorer, a, b, ref, align.value)
    except (ImageError, MemoryError) as error:
        say(str(error) or "not enough memory")
        return 1
    if format is TextFormat.json:
        import json

        print(json.dumps(found.record(a, b, ref), indent=2))
    else:
        print(_comparison_text(a, b, found), file=stdout())
    return 0


def _comparison_text(a: str, b: str, found: Comparison) -> str:
    """One line that says which looks better, the better one first; a second one where there are warnings."""
    from iqassay.scoring.comparison import CLEAR
    from iqassay.support.text import printable

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
