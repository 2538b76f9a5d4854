"""The gate of a build: which pictures are good enough, and what those who look after the build get to read.

A picture passes when its score is not under a limit, and has not fallen by more than so many points since an earlier
run, the baseline. Scores are compared as records hold them, with two decimals.
"""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TypeVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from iqassay.folders.folder import CUT, EMPTY
from iqassay.folders.records import Record, read_records
from iqassay.pictures.align import Box
from iqassay.scoring.scorer import UNLIKE
from iqassay.support.errors import UsageError
from iqassay.support.text import counted, printable

Thing = TypeVar("Thing")
MOST_ROWS = 500  # of the table in Markdown: build servers refuse large ones as a whole


@dataclass(frozen=True)
class Worst:
    """The worst part of a picture: what the map says of it, 0 to 100, and where it is: left, top, width and height in
    pixels of what was scored.
    """

    score: float
    box: tuple[int, int, int, int]

    def place(self) -> str:
        left, top, width, height = self.box
        return f"{width}x{height} pixels at {left},{top}"


@dataclass(frozen=True)
class Limits:
    """What passes.

    least: the lowest score. max_drop: how many points a score may be below an earlier one. least_worst: the lowest that
    the worst part of a picture may have. allow_unlike: whether pictures that the model cannot judge pass: those unlike
    its training data, and empty ones.
    """

    least: float | None = None
    max_drop: float | None = None
    least_worst: float | None = None
    allow_unlike: bool = False


@dataclass(frozen=True)
class Outcome:
    """What becomes of one picture at the gate.

    record: what was said of it; None of a picture that is missing. before: the score that it must not fall too far
    below, 0 to 100. failures: why it does not pass; empty when it does. broken: it could not be scored at all. worst:
    its worst part, where that was asked for.
    """

    path: str
    record: Record | None
    before: float | None = None
    failures: tuple[str, ...] = ()
    broken: bool = False
    worst: Worst | None = None

    def line(self) -> str:
        """Why it does not pass, in one line for people."""
        return printable(f"{self.path}: {self.reason()}")

    def reason(self) -> str:
        found = self.record.get("distortions", ()) if self.record else ()
        causes = ", ".join(f"{item['name']} {item['severity']:.1f}" for item in found)
        return "; ".join(self.failures) + (f" ({causes})" if causes else "")


# ---- judging --------------------------------------------------------------------------------------------------------


def judge(
    record: Record,
    limits: Limits,
    before: Record | None = None,
    alone: Record | None = None,
    of: str = "the baseline",
    worst: Worst | None = None,
) -> Outcome:
    """One picture at the gate.

    before: what its score must not be too far below. alone: what is compared with `before` where it is not the record
    itself: the score without a reference beside that of the reference. of: whose score `before` is. worst: its worst
    part, if there is a limit for that.
    """
    if "error" in record:
        return Outcome(record["path"], record, failures=(f"cannot be scored: {record['error']}",), broken=True)
    for other, whose in ((alone, "without its reference"), (before, f"as {of} was")):
        if other is not None and "error" in other:
            reason = f"cannot be scored {whose}: {other['error']}"
            return Outcome(record["path"], record, failures=(reason,), broken=True)
    failures = []
    if limits.least is not None and record["score"] < limits.least:
        failures.append(f"{_below(record['score'], limits.least)}, want {limits.least:g} or more")
    if limits.max_drop is not None and before is not None:
        now, was = (alone or record)["score"], before["score"]
        want = round(was - limits.max_drop, 2)  # the points themselves, not what binary fractions make of them
        if now < want:
            by_itself = " by itself" if alone else ""
            failures.append(
                f"{_below(now, want)}{by_itself}, want {want:g} or more: "
                f"at most {limits.max_drop:g} below the {was:g} of {of}"
            )
    if limits.least_worst is not None and worst is not None and worst.score < limits.least_worst:
        failures.append(
            f"worst part {_below(worst.score, limits.least_worst)} ({worst.place()}), "
            f"want {limits.least_worst:g} or more everywhere"
        )
    if not limits.allow_unlike and (doubt := _doubt(alone or record, before)):
        failures.append(f"{doubt}; --allow-unlike passes it")
    return Outcome(record["path"], record, before["score"] if before else None, tuple(failures), worst=worst)


def _doubt(record: Record, before: Record | None) -> str:
    """Why a score may say nothing; "" where it does, or where a picture that was accepted before was so too. Beside a
    reference what is unlike the training data can still be compared, what is empty or cut short there alone cannot.
    """
    starts = (EMPTY, CUT) if "reference" in record else (EMPTY, CUT, UNLIKE)
    accepted = before["warnings"] if before else ()
    new = [said for said in record["warnings"] if said not in accepted]
    return next((said for start in starts for said in new if said.startswith(start)), "")  # the surest first


def worst_part(map: NDArray[np.floating], width: int, height: int) -> Worst:
    """The cell of a map (h, w) with the lowest value, in a picture of so many pixels."""
    row, column = np.unravel_index(int(map.argmin()), map.shape)
    down, across = height / map.shape[0], width / map.shape[1]
    left, top = round(column * across), round(row * down)
    box = (left, top, round((column + 1) * across) - left, round((row + 1) * down) - top)
    return Worst(round(float(map[row, column]), 2), box)


def parse_boxes(texts: Sequence[str]) -> tuple[Box, ...]:
    """Parts of pictures, each as x,y,width,height in pixels. Raises UsageError."""
    boxes = []
    for text in texts:
        found = re.fullmatch(r"\s*(\d{1,7})\s*,\s*(\d{1,7})\s*,\s*(\d{1,7})\s*,\s*(\d{1,7})\s*", text)
        box = tuple(int(number) for number in found.groups()) if found else ()
        if len(box) != 4 or not box[2] * box[3]:
            raise UsageError(f"--ignore: got {text!r}, want x,y,width,height in pixels, such as 20,40,300,100")
        boxes.append((box[0], box[1], box[2], box[3]))
    return tuple(boxes)


def _below(score: float, limit: float) -> str:
    """A score with so many decimals that it does not look like the limit that it is under."""
    return f"{score:.1f}" if round(score, 1) < limit else f"{score:.2f}"


def missing(path: str, what: str) -> Outcome:
    """A picture that should be there and is not."""
    return Outcome(path, None, failures=(f"missing: {what}",))


def summary(outcomes: Sequence[Outcome], new: int = 0) -> str:
    """All in one line; new: how many of the pictures are not in the baseline."""
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    told = f"; {new:,} not in the baseline" if new else ""
    return f"{counted(len(outcomes), 'picture')}: {len(outcomes) - failed:,} passed, {failed:,} failed{told}"


# ---- the baseline ---------------------------------------------------------------------------------------------------


def read_baseline(path: str, model: str, version: str, reference: bool) -> list[Record]:
    """The scores of an earlier run. Raises UsageError when they do not compare with those of this run, made by `model`
    of this `version`, against references or not. It says what to do so that they do; a baseline that is good for
    something is never to be written over.
    """

    def refuse(reason: str) -> None:
        raise UsageError(printable(f"--baseline {path}: {reason}"))

    def cut_short(line: str) -> None:
        refuse(f"{line.removeprefix(f'{path}: ')}; --update writes it anew")

    records = [record for record in read_records(path, cut_short) if "error" not in record]
    if not records:
        refuse("got no scores in it; --update writes it anew")
    for record in records:
        if ("reference" in record) != reference:
            if reference:
                refuse(
                    "was made without --ref, and this run has it: leave --ref out, or name another file for a baseline "
                    "with references"
                )
            refuse("was made with --ref: want --ref here too, with the references that it was made with")
        if record["model"] != model:
            refuse(
                f"was made by {record['model']} {record['version']}, and this run scores by {model} {version}: want "
                f"--model {record['model']}, or another file for a baseline of {model}"
            )
        if record["version"] != version:
            refuse(
                f"was made by {model} {record['version']}, and this is {model} {version}, whose scores do not compare "
                "with them: want the iqassay of then; or check out the pictures that it was made from, and --update"
            )
    return records


def match(
    records: Sequence[Record], pictures: Iterable[str], place: Callable[[str], str]
) -> tuple[dict[str, Record], list[Record]]:
    """Which record of the baseline is that of each picture, and the records that no picture has.

    All pictures are matched in the same way, the first of these that fits any: by their paths; by the place of the
    picture below the folder it was found in (see `finding.places`) and the path of the record; by this place and that
    of the record below the folder that all records have in common. Names are compared with / between folders.

    Raises UsageError where two pictures, or two different scores, go by one name.
    """
    pictures = list(pictures)
    paths = [_plain(record["path"]) for record in records]
    new, old = [_plain(picture) for picture in pictures], _one_each(zip(paths, records, strict=True))
    if not old.keys() & set(new):
        given, new = new, [_plain(place(picture)) for picture in pictures]
        _one_each(zip(new, given, strict=True))
        if not old.keys() & set(new):
            old = _one_each(zip(_below_all(paths), records, strict=True))
    found = {picture: old[name] for picture, name in zip(pictures, new, strict=True) if name in old}
    here = set(new)
    return found, [record for name, record in old.items() if name not in here]


def places_or_paths(pictures: Sequence[str], place: Callable[[str], str]) -> list[str]:
    """What a new baseline calls the pictures: their places below the folders they were found in, so that it holds
    wherever these lie; their paths where two have the same place.
    """
    names = [_plain(place(picture)) for picture in pictures]
    return names if len(set(names)) == len(set(pictures)) else [_plain(picture) for picture in pictures]


def _one_each(named: Iterable[tuple[str, Thing]]) -> dict[str, Thing]:
    found: dict[str, Thing] = {}
    for name, thing in named:
        if found.setdefault(name, thing) != thing:
            raise UsageError(f"--baseline: got two pictures called {printable(name)}, want names that differ")
    return found


def _below_all(paths: Sequence[str]) -> list[str]:
    """The paths without the folders that all have in common."""
    parts = [path.split("/") for path in paths]
    levels = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*(part[:-1] for part in parts), strict=False))
    common = len(list(levels))
    return ["/".join(part[common:]) for part in parts]


def _plain(path: str) -> str:
    """A path as a name to compare: the same on all systems."""
    return unicodedata.normalize("NFC", os.path.normpath(path).replace("\\", "/"))


# ---- for the watchers of a build ------------------------------------------------------------------------------------


def junit(outcomes: Sequence[Outcome], start: datetime, seconds: float) -> bytes:
    """JUnit XML, a test case a picture, as the schemas of Ant and of Jenkins' xUnit plugin want it. Characters that XML
    cannot hold come out as escapes.

    start: when the run began. seconds: how long it took.
    """
    broken = sum(outcome.broken for outcome in outcomes)
    failed = sum(bool(outcome.failures) for outcome in outcomes) - broken
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name="iqassay gate",
        package="iqassay",
        id="0",
        hostname="localhost",
        timestamp=start.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"),
        tests=str(len(outcomes)),
        failures=str(failed),
        errors=str(broken),
        skipped="0",
        time=f"{seconds:.3f}",
    )
    ElementTree.SubElement(suite, "properties")
    for outcome in outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname="iqassay", name=printable(outcome.path), time="0")
        if outcome.failures:
            kind = "error" if outcome.broken else "failure"
            reason = printable(outcome.reason())
            ElementTree.SubElement(case, kind, type="quality", message=reason).text = outcome.line()
    ElementTree.SubElement(suite, "system-out")
    ElementTree.SubElement(suite, "system-err")
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n"


def markdown(outcomes: Sequence[Outcome], said: str) -> str:
    """A summary in Markdown: what is `said` of all, and a table of the pictures that failed: those without a score,
    then the worst first.
    """
    failed = sorted(
        (outcome for outcome in outcomes if outcome.failures),
        key=lambda outcome: (outcome.record or {}).get("score", -1.0),
    )
    lines = [f"### Picture quality: {'not passed' if failed else 'passed'}", "", said]
    if failed:
        lines += ["", "| picture | why it does not pass |", "|---|---|"]
    lines += [f"| {_literal(outcome.path)} | {_literal(outcome.reason())} |" for outcome in failed[:MOST_ROWS]]
    if len(failed) > MOST_ROWS:
        lines += ["", f"and {len(failed) - MOST_ROWS:,} more"]
    return "\n".join(lines) + "\n\n"


def _literal(text: str) -> str:
    """Text that Markdown leaves as it is, in a table too."""
    return re.sub(r"[^\w ./,:;()+%-]|_", lambda character: f"&#{ord(character[0])};", printable(text))
