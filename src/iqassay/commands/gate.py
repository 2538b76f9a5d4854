"""`iqassay gate`: fails a build whose pictures are not good enough."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from iqassay.commands.options import (
    Align,
    Alignment,
    CacheFile,
    Device,
    MaxPixels,
    Model,
    NoCache,
    Pattern,
    Recursive,
    TextFormat,
    Threads,
    Verify,
    check_references,
    open_model,
    say,
    stdout,
    the_cache,
)

if TYPE_CHECKING:
    from iqassay.folders.folder import Pair
    from iqassay.folders.gate import Outcome
    from iqassay.folders.records import Record

NOT_PASSED = 3  # the exit status


def gate(
    new: Annotated[list[str], typer.Argument(metavar="NEW", help="Pictures, or folders of pictures.")],
    least: Annotated[
        float | None, typer.Option("--min", metavar="SCORE", help="The lowest score that passes, 0 to 100.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="How far a picture may be below its score in the baseline; without one, and with --ref, how far below "
            "its reference, both scored by themselves.",
        ),
    ] = None,
    ref: Annotated[
        str | None,
        typer.Option(
            metavar="GOLDEN",
            help="Score against references: one picture, or a folder whose pictures pair by name (photo.jpg with "
            "photo.png).",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Results of an earlier run: by --update, or by `iqassay score -o`."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the baseline anew, and do not look at the old one.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Pass although NEW lacks pictures of the baseline or of GOLDEN.")
    ] = False,
    pattern: Pattern = None,
    align: Alignment = Align.fail,
    recursive: Recursive = False,
    model: Model = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write JUnit XML, a test case a picture.")] = None,
    markdown: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a summary in Markdown; added to the end of $GITHUB_STEP_SUMMARY."),
    ] = None,
    format: Annotated[TextFormat, typer.Option(help="How the answer is written.")] = TextFormat.text,
    cache: CacheFile = None,
    no_cache: NoCache = False,
    verify: Verify = False,
    threads: Threads = None,
    device: Device = "cpu",
    max_pixels: MaxPixels = None,
) -> int:
    """Fail a build whose pictures are not good enough: too low a score, or too far below an earlier one.

    Exit status: 0 passed, 3 not passed, 2 wrong usage. A picture that cannot be scored, or is missing, does not pass.
    """
    from iqassay.folders.finding import places
    from iqassay.folders.folder import Beside, Pair, Result, score_pairs
    from iqassay.folders.gate import judge, match, missing, read_baseline, summary
    from iqassay.support.errors import UsageError
    from iqassay.support.progress import with_bar

    _check(least, max_drop, ref, baseline, update, pattern, align)
    _check_files({"--junit": junit, "--markdown": markdown, "--baseline": baseline if update else None})
    start = datetime.now(timezone.utc)
    pairs, gone = _find(new, ref, pattern, recursive)
    beside = max_drop is not None and ref is not None and baseline is None  # picture and reference, each by itself
    against = ref is not None and not (beside and least is None)
    scorer = open_model(model, against, threads, max_pixels, device)
    if beside and scorer.needs_reference:
        raise UsageError(
            f"--max-drop: got no --baseline, and {scorer.card.name} scores nothing by itself, want another"
        )
    old: dict[str, Record] = {}
    if baseline is not None and not update:
        known = read_baseline(baseline, scorer.card.name, scorer.card.version, ref is not None)
        old, lost = match(known, [pair.path for pair in pairs], places(new))
        gone = [(record["path"], f"scored {record['score']:.1f} in the baseline") for record in lost]
    text = format is TextFormat.text
    out = stdout(utf8=not text)
    outcomes: list[Outcome] = []

    def add(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if text and outcome.failures:
            print(outcome.line(), file=out, flush=True)

    with the_cache(cache, no_cache, verify) as kept:

        def score(pairs: list[Pair]) -> Iterator[Record]:
            results = score_pairs(scorer, pairs, Beside(align.value), kept, workers=threads)
            for result in with_bar(results, len(pairs), same_screen=text and out.isatty()):
                yield result.record()

        alone: dict[str, Record] = {}
        if beside:
            paths = dict.fromkeys(path for pair in pairs for path in (pair.path, pair.reference) if path is not None)
            alone = {record["path"]: record for record in score([Pair(path) for path in paths])}
        if against or not beside:
            records = score(pairs)
        else:
            records = (
                Result(pair.path, error=pair.error).record() if pair.error else alone[pair.path] for pair in pairs
            )
        for pair, record in zip(pairs, records, strict=True):
            if beside and pair.reference is not None:
                add(judge(record, least, max_drop, alone[pair.reference], alone[pair.path], "its reference"))
            else:
                add(judge(record, least, max_drop, old.get(pair.path)))
    if not allow_missing:
        for path, what in gone:
            add(missing(path, what))

    added = sum(pair.path not in old for pair in pairs) if baseline is not None and not update else 0
    said = summary(outcomes, added)
    print(said if text else _json(outcomes), file=out, flush=True)
    failed = any(outcome.failures for outcome in outcomes)
    written = _write_files(outcomes, said, junit, markdown, start)
    if baseline is not None and update:
        written &= _write_baseline(baseline, outcomes, places(new))
    return NOT_PASSED if failed else 0 if written else 2


def _check(
    least: float | None,
    max_drop: float | None,
    ref: str | None,
    baseline: str | None,
    update: bool,
    pattern: str | None,
    align: Align,
) -> None:
    """Refuse what makes no sense together."""
    from iqassay.support.errors import UsageError

    for option, value in (("--min", least), ("--max-drop", max_drop)):
        if value is not None and not 0 <= value <= 100:
            raise UsageError(f"{option}: got {value:g}, want 0 to 100")
    if update and baseline is None:
        raise UsageError("--update: got no --baseline, want the file to write")
    if baseline is not None and max_drop is None and not update:
        raise UsageError("--baseline: got no --max-drop, want how far a score may fall")
    if max_drop is not None and baseline is None and ref is None:
        raise UsageError("--max-drop: got nothing to compare with, want --baseline or --ref")
    if least is None and max_drop is None and not update:
        raise UsageError("got no limit, want --min, or --max-drop with --baseline or --ref")
    check_references(ref, pattern, align)


def _check_files(files: dict[str, str | None]) -> None:
    """Refuse files that cannot be written, before the work, and make their folders."""
    from iqassay.pictures.formats import SUFFIXES
    from iqassay.support.errors import UsageError

    for option, path in files.items():
        if path is None:
            continue
        if os.path.isdir(path) or os.path.splitext(path)[1].lower() in SUFFIXES:
            raise UsageError(
                f"{option} {path}: is a {'folder' if os.path.isdir(path) else 'picture'}, want another file"
            )
        try:
            os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{option} {path}: cannot make its folder: {error.strerror}") from error


def _find(
    new: list[str], ref: str | None, pattern: str | None, recursive: bool
) -> tuple[list[Pair], list[tuple[str, str]]]:
    """What to score, and the references that no picture has: each with what to say about it."""
    from iqassay.folders.finding import find_pictures
    from iqassay.folders.folder import Pair
    from iqassay.folders.pairs import find_pairs

    if ref is None:
        return [Pair(path) for path in find_pictures(new, recursive)], []
    pairs = find_pairs(new, ref, pattern, recursive)
    used = {pair.reference for pair in pairs}
    return pairs, [
        (path, "no picture goes with this reference") for path in find_pictures([ref], recursive) if path not in used
    ]


def _json(outcomes: list[Outcome]) -> str:
    import json

    pictures = [
        {
            **(outcome.record or {"path": outcome.path}),
            **({} if outcome.before is None else {"before": outcome.before}),
            "passed": not outcome.failures,
            "failures": list(outcome.failures),
        }
        for outcome in outcomes
    ]
    return json.dumps({"passed": all(picture["passed"] for picture in pictures), "pictures": pictures}, indent=2)


def _write_files(outcomes: list[Outcome], said: str, junit: str | None, markdown: str | None, start: datetime) -> bool:
    """Write what is asked for; says so and returns False where that fails."""
    from iqassay.folders import gate
    from iqassay.support.files import replace_file

    def write_junit(path: str) -> None:
        seconds = (datetime.now(timezone.utc) - start).total_seconds()
        replace_file(path, lambda out: out.write(gate.junit(outcomes, start, seconds)))

    def write_markdown(path: str) -> None:
        summaries = os.environ.get("GITHUB_STEP_SUMMARY")  # every step adds its own
        mode = "a" if summaries and os.path.realpath(summaries) == os.path.realpath(path) else "w"
        with open(path, mode, encoding="utf-8") as out:
            out.write(gate.markdown(outcomes, said))

    well = True
    for option, path, write in (("--junit", junit, write_junit), ("--markdown", markdown, write_markdown)):
        try:
            if path is not None:
                write(path)
        except OSError as error:
            say(f"{option}: cannot write {path}: {error.strerror or error}")
            well = False
    return well


def _write_baseline(path: str, outcomes: list[Outcome], place: Callable[[str], str]) -> bool:
    """Write a baseline of these pictures, unless one of them could not be scored: the next run would not miss it."""
    from iqassay.folders.gate import places_or_paths
    from iqassay.folders.records import open_results, write_json

    if any(outcome.broken for outcome in outcomes):
        say(f"--update: {path} is left as it was, since some pictures could not be scored")
        return False
    records = [outcome.record for outcome in outcomes if outcome.record]
    names = places_or_paths([record["path"] for record in records], place)
    with open_results(path) as out:
        write_json([{**record, "path": name} for record, name in zip(records, names, strict=True)], out)
    return True
