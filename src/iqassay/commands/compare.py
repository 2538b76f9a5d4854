"""`iqassay compare`: which of two pictures looks better, or which of many is the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqassay.commands.options import (
    Align,
    Alignment,
    Model,
    TextFormat,
    Threads,
    check_references,
    one_picture,
    open_model,
    say,
    stdout,
)

if TYPE_CHECKING:
    from iqassay.folders.folder import Result
    from iqassay.scoring.comparison import Comparison


def compare(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="Two pictures or more.")],
    ref: Annotated[str | None, typer.Option(metavar="REF", help="The picture that all were made from.")] = None,
    model: Model = None,
    align: Alignment = Align.fail,
    format: Annotated[TextFormat, typer.Option(help="How the answer is written.")] = TextFormat.text,
    threads: Threads = None,
) -> int:
    """Say which of two pictures looks better, by how much, and how surely; of more, rank them, each with the
    probability that it is the best.

    Exit status: 0 compared, 1 a picture could not be read, 2 wrong usage.
    """
    from iqassay.folders.folder import Beside, Pair, score_pairs
    from iqassay.scoring.comparison import SHARED, of_pictures, of_verdicts
    from iqassay.support.errors import UsageError
    from iqassay.support.progress import with_bar

    if len(pictures) < 2:
        raise UsageError("got one picture, want at least two to compare")
    for path in pictures if ref is None else (*pictures, ref):
        one_picture(path)
    check_references(ref, None, align)
    scorer = open_model(model, ref is not None, threads)
    pairs = [Pair(path, ref) for path in pictures]
    found = list(with_bar(score_pairs(scorer, pairs, Beside(align.value), workers=threads), len(pairs)))
    failed = [result for result in found if result.verdict is None]
    for error in dict.fromkeys(_error(result) for result in failed):
        say(error)
    if len(found) == 2 and not failed:
        a, b = found
        assert a.verdict is not None and b.verdict is not None  # noqa: PT018  # for the type checker
        if ref is None:
            read = scorer.read(a.path), scorer.read(b.path)
            compared = of_pictures(scorer, read, (a.verdict, b.verdict))
        else:
            compared = of_verdicts(a.verdict, b.verdict, SHARED)
        _print_two(a, b, compared, format)
    elif len(found) - len(failed) >= 2:
        _print_many([result for result in found if result.verdict], format, ref is not None)
    return int(bool(failed))


def _error(result: Result) -> str:
    return result.error.removeprefix("reference ") if _of_reference(result) else f"{result.path}: {result.error}"


def _of_reference(result: Result) -> bool:
    return result.reference is not None and result.error.startswith("reference ")


def _print_two(a: Result, b: Result, found: Comparison, format: TextFormat) -> None:
    if format is TextFormat.json:
        import json

        from iqassay.folders.comparing import two_records

        print(json.dumps(two_records(a, b, found), indent=2))
    else:
        print(_comparison_text(a, b, found), file=stdout())


def _comparison_text(a: Result, b: Result, found: Comparison) -> str:
    """One line that says which looks better, the better one first; others where there is something to know."""
    from iqassay.folders.comparing import size_note
    from iqassay.scoring.comparison import CLEAR
    from iqassay.support.text import odds, printable

    sides = [(printable(a.path), found.a), (printable(b.path), found.b)]
    if found.better == "b":
        sides.reverse()
    (better, high), (worse, low) = sides
    probability = max(found.win_probability, 1 - found.win_probability)
    where = " at one size" if found.at_one_size else ""
    if probability < CLEAR:
        text = (
            f"no clear difference{where}: {better} {high.score:.1f}, {worse} {low.score:.1f}; "
            f"people would prefer {better}"
        )
    else:
        text = (
            f"{better} looks better than {worse}: {high.score:.1f} against {low.score:.1f}, "
            f"by {abs(found.difference):.1f} points{where}; people would prefer it"
        )
    doubts = [printable(f"{name}: {warning}") for name, verdict in sides for warning in verdict.warnings]
    lines = [
        f"{text} with probability {odds(probability)}",
        "; ".join(doubts),
        printable(size_note([a, b], found.at_one_size)),
    ]
    return "\n".join(line for line in lines if line)


def _print_many(found: list[Result], format: TextFormat, reference: bool) -> None:
    """The ranking, the best first."""
    from iqassay.folders.comparing import size_note
    from iqassay.scoring.comparison import SHARED, best_probabilities
    from iqassay.support.text import odds, printable

    records = [result.record() for result in found]
    intervals = [(one["score"], one["low"], one["high"]) for one in records]
    chances = best_probabilities(intervals, SHARED if reference else _shared([one["path"] for one in records]))
    order = sorted(range(len(found)), key=lambda at: -records[at]["score"])
    if format is TextFormat.json:
        import json

        ranked = [{"place": place, "best": round(chances[at], 4), **records[at]} for place, at in enumerate(order, 1)]
        print(json.dumps(ranked, indent=2))
        return
    out = stdout()
    width = max(7, *(len(printable(one["path"])) for one in records))
    print(f"{'picture':<{width}}  score  90 % interval  best of all with  pixels", file=out)
    for at in order:
        one = records[at]
        interval, size = f"{one['low']:.1f} to {one['high']:.1f}", f"{one['width']}x{one['height']}"
        doubts = "".join(f"; {printable(warning)}" for warning in one["warnings"])
        print(
            f"{printable(one['path']):<{width}}  {one['score']:5.1f}  {interval:<13}  {odds(chances[at]):>16}  "
            f"{size}{doubts}",
            file=out,
        )
    if note := size_note(found):
        print(printable(note), file=out)


def _shared(paths: list[str]) -> float:
    """How much of their errors pictures have in common, the mean over all pairs, by how alike they look."""
    from itertools import combinations
    from pathlib import Path

    from iqassay.pictures.fingerprints import fingerprint, likeness
    from iqassay.scoring.comparison import correlation_of

    prints = [fingerprint(Path(path)) for path in paths]
    shared = [correlation_of(likeness(one, other)) for one, other in combinations(prints, 2)]
    return sum(shared) / len(shared)
