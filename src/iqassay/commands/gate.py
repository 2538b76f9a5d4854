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
    Shave,
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
    from iqassay.folders.gate import Outcome, Worst
    from iqassay.folders.left_out import LeftOut
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
    least_worst: Annotated[
        float | None,
        typer.Option(
            "--min-worst",
            metavar="SCORE",
            help="The lowest that the worst part of a picture may have, 0 to 100: a missing button is a small part.",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="With --ref: a part of every picture that does not count, in pixels; repeatable.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="MASK",
            help="With --ref: a picture that is black where nothing counts, or a folder of such that pair by name.",
        ),
    ] = None,
    shave: Shave = 0,
    allow_unlike: Annotated[
        bool,
        typer.Option(
            "--allow-unlike", help="Pass pictures that are unlike what the model learned from, and empty ones."
        ),
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

    Exit status: 0 passed, 3 not passed, 2 wrong usage. A picture that cannot be scored, is missing, empty or unlike
    what the model learned from does not pass.
    """
    from iqassay.folders.finding import places
    from iqassay.folders.folder import Beside, Pair, Result, score_pairs
    from iqassay.folders.gate import (
        Limits,
        judge,
        match,
        missing,
        parse_boxes,
        read_baseline,
        summary,
        worst_part,
    )
    from iqassay.folders.left_out import LeftOut
    from iqassay.support.errors import UsageError
    from iqassay.support.progress import with_bar

    _check({"--min": least, "--max-drop": max_drop, "--min-worst": least_worst}, ref, baseline, update)
    check_references(ref, pattern, align, shave)
    if ref is None and (ignore or mask is not None):
        raise UsageError(f"{'--ignore' if ignore else '--mask'}: got no references, want --ref too")
    limits = Limits(least, max_drop, least_worst, allow_unlike or update)
    beside_reference = Beside(align.value, shave, parse_boxes(ignore or []))
    _check_files({"--junit": junit, "--markdown": markdown, "--baseline": baseline if update else None})
    start = datetime.now(timezone.utc)
    left_out = LeftOut()
    pairs, gone = _find(new, ref, pattern, recursive, mask, left_out)
    beside = max_drop is not None and ref is not None and baseline is None  # picture and reference, each by itself
    against = ref is not None and not (beside and least is None and least_worst is None)
    if not against and (ignore or mask or shave):
        raise UsageError(
            "--ignore, --mask and --shave: count where pictures are compared with references, want --min or --min-worst"
        )
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
        worst: dict[str, Worst] = {}  # of each picture

        def score(pairs: list[Pair], maps: bool = False) -> Iterator[Record]:
            results = score_pairs(scorer, pairs, beside_reference, kept, maps, threads)
            for result in with_bar(results, len(pairs), same_screen=text and out.isatty()):
                if result.map is not None:
                    worst[result.path] = worst_part(result.map, *result.size)
                yield result.record()

        alone: dict[str, Record] = {}
        if beside:
            paths = dict.fromkeys(path for pair in pairs for path in (pair.path, pair.reference) if path is not None)
            alone = {record["path"]: record for record in score([Pair(path) for path in paths])}
        if against or not beside:
            records = score(pairs, least_worst is not None)
        else:
            records = (
                Result(pair.path, error=pair.error).record() if pair.error else alone[pair.path] for pair in pairs
            )
        for pair, record in zip(pairs, records, strict=True):
            part = worst.get(pair.path)
            if beside and pair.reference is not None:
                add(judge(record, limits, alone[pair.reference], alone[pair.path], "its reference", part))
            else:
                add(judge(record, limits, old.get(pair.path), worst=part))
    if not allow_missing:
        for path, what in gone:
            add(missing(path, what))

    added = sum(pair.path not in old for pair in pairs) if baseline is not None and not update else 0
    said = summary(outcomes, added)
    print(said if text else _json(outcomes), file=out, flush=True)
    failed = any(outcome.failures for outcome in outcomes)
    if seen := left_out.line():
        say(seen)
    written = _write_files(outcomes, said, junit, markdown, start)
    if baseline is not None and update:
        written &= _write_baseline(baseline, outcomes, places(new))
    return NOT_PASSED if failed else 0 if written else 2


def _check(limits: dict[str, float | None], ref: str | None, baseline: str | None, update: bool) -> None:
    """Refuse what makes no sense together."""
    from iqassay.support.errors import UsageError

    for option, value in limits.items():
        if value is not None and not 0 <= value <= 100:
            raise UsageError(f"{option}: got {value:g}, want 0 to 100")
    max_drop = limits["--max-drop"]
    if update and baseline is None:
        raise UsageError("--update: got no --baseline, want the file to write")
    if baseline is not None and max_drop is None and not update:
        raise UsageError("--baseline: got no --max-drop, want how far a score may fall")
    if max_drop is not None and baseline is None and ref is None:
        raise UsageError("--max-drop: got nothing to compare with, want --baseline or --ref")
    if not update and all(value is None for value in limits.values()):
        raise UsageError("got no limit, want --min, --min-worst, or --max-drop with --baseline or --ref")


def _check_files(files: dict[str, str | None]) -> None:
    """Refuse files that cannot be written, before the work, and make their folders."""
    from iqassay.pictures.formats import keeps_pictures
    from iqassay.support.errors import UsageError

    for option, path in files.items():
        if path is None:
            continue
        if os.path.isdir(path) or keeps_pictures(path):
            raise UsageError(
                f"{option} {path}: is a {'folder' if os.path.isdir(path) else 'picture'}, want another file"
            )
        try:
            os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{option} {path}: cannot make its folder: {error.strerror}") from error


def _find(
    new: list[str], ref: str | None, pattern: str | None, recursive: bool, mask: str | None, left_out: LeftOut
) -> tuple[list[Pair], list[tuple[str, str]]]:
    """What to score, and the references that no picture has: each with what to say about it."""
    from dataclasses import replace

    from iqassay.folders.finding import find_pictures
    from iqassay.folders.folder import Pair
    from iqassay.folders.pairs import find_pairs
    from iqassay.support.errors import UsageError

    if ref is None:
        return [Pair(path) for path in find_pictures(new, recursive, left_out=left_out)], []
    pairs = find_pairs(new, ref, pattern, recursive, left_out=left_out)
    used = {pair.reference for pair in pairs}
    lacking = [path for path in find_pictures([ref], recursive) if path not in used]
    if mask is not None:
        try:
            masks = {pair.path: pair.reference for pair in find_pairs(new, mask, recursive=recursive)}
        except UsageError as error:
            raise UsageError(str(error).replace("--ref", "--mask", 1).replace("reference", "mask")) from error
        pairs = [replace(pair, mask=masks.get(pair.path)) for pair in pairs]
    return pairs, [(path, "no picture goes with this reference") for path in lacking]


def _json(outcomes: list[Outcome]) -> str:
    import json

    pictures = [
        {
            **(outcome.record or {"path": outcome.path}),
            **({} if outcome.before is None else {"before": outcome.before}),
            **({} if outcome.worst is None else {"worst": _worst_record(outcome.worst)}),
            "passed": not outcome.failures,
            "failures": list(outcome.failures),
        }
        for outcome in outcomes
    ]
    return json.dumps({"passed": all(picture["passed"] for picture in pictures), "pictures": pictures}, indent=2)


def _worst_record(worst: Worst) -> dict[str, float]:
    return {"score": worst.score, **dict(zip(("x", "y", "width", "height"), worst.box, strict=True))}


def _write_files(outcomes: list[Outcome], said: str, junit: str | None, markdown: str | None, start: datetime) -> bool:
    """Write what is asked for; says so and returns False where that fails."""
    from iqassay.folders import gate
    from iqassay.support.files import write_whole

    def write_junit(path: str) -> None:
        seconds = (datetime.now(timezone.utc) - start).total_seconds()
        write_whole(path, gate.junit(outcomes, start, seconds))

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
