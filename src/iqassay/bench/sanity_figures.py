"""What answers to the sanity suite are worth: figures, one a line of sanity.csv, and nothing else enters the tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from iqassay.bench.sanity import Answers
from iqassay.bench.sanity_pictures import CONTENTS, Floats
from iqassay.bench.sanity_questions import (
    FLAT,
    INVARIANCE,
    MISSING,
    ORDER,
    WHERE,
    clean_file,
    questions,
    series_file,
)

FILE = "sanity.csv"
STEPS = (0.5, 2.0)  # points by which a step may go up unseen
ALL = "all"
MEAN, FALL, AGAIN, LOSS, LEAST_LOSS = "mean score", "fall", "up again", "mean loss", "least loss"
LEAST, CHANGE, SHIFT, WORST, AUC = "least score", "mean change", "mean shift", "worst change", "auc"
NO_ANSWER = "no answer"


def up_by(points: float) -> str:
    """The name of the share of steps that go up by more than so many points."""
    return f"up by {points:g}"


@dataclass(frozen=True)
class Figure:
    """One number about one model, or many. reference: "yes" when it saw the clean picture beside each.

    family, what, level: of which pictures. figure: what the number is. pictures: how many scores, steps or maps it is
    made of.
    """

    model: str
    version: str
    reference: str
    family: str
    what: str
    level: str
    figure: str
    value: float
    pictures: int


COLUMNS = tuple(one.name for one in fields(Figure))


def figures(answers: Answers, contents: Sequence[str] = tuple(CONTENTS)) -> list[Figure]:
    """All figures of a model; those for which it has no answers are left out.

    clean: its mean and least score of clean pictures (beside themselves, where it takes references). order, for each
    series: the mean score at each level; the share of steps towards more damage, on all contents, where the score goes
    UP by more than .5 and 2 points; by how much it falls from the first level to the last; and by how much the means
    rise again from their lowest to the last level. extremes: mean scores, and what a missing part costs. invariance:
    mean absolute, mean and largest absolute change. where: AUC of the map's cells.
    """
    reference = "yes" if answers.reference else "no"
    found = [
        Figure(answers.model, answers.version, reference, family, *row)
        for family, rows in FAMILIES.items()
        for row in rows(answers, contents)
    ]
    return [one for one in found if math.isfinite(one.value)]


Rows = Iterator[tuple[str, str, str, float, int]]


def _scores(answers: Answers, files: Sequence[str]) -> Floats:
    return np.array([answers.of[file].score if file in answers.of else math.nan for file in files])


def _mean(values: Floats) -> tuple[float, int]:
    there = values[np.isfinite(values)]
    return (float(there.mean()), there.size) if there.size else (math.nan, 0)


def _clean(answers: Answers, contents: Sequence[str]) -> Rows:
    scores = _scores(answers, [clean_file(name) for name in contents])
    mean, count = _mean(scores)
    if count:
        yield ALL, "", MEAN, mean, count
        yield ALL, "", LEAST, float(np.nanmin(scores)), count
    for name, score in zip(contents, scores, strict=True):
        yield name, "", "score", float(score), 1


def _order(answers: Answers, contents: Sequence[str]) -> Rows:
    every = []
    for what, levels in ORDER.items():
        scores = np.stack([_scores(answers, [series_file(what, name, k) for k in levels]) for name in contents])
        means = [_mean(column) for column in scores.T]
        for level, (mean, count) in zip(levels, means, strict=True):
            yield what, f"{level}", MEAN, mean, count
        steps = np.diff(scores, axis=1)
        steps = steps[np.isfinite(steps)]
        if steps.size:
            every.append(steps)
            yield from _ups(what, steps)
            falls = scores[:, 0] - scores[:, -1]
            yield (what, "", FALL, *_mean(falls))
            curve = np.array([mean for mean, _ in means])
            yield what, "", AGAIN, float(curve[-1] - np.nanmin(curve)), means[-1][1]
    if every:
        yield from _ups(ALL, np.concatenate(every))


def _ups(what: str, steps: Floats) -> Rows:
    for points in STEPS:
        yield what, "", up_by(points), float((steps > points).mean()), steps.size


def _extremes(answers: Answers, contents: Sequence[str]) -> Rows:
    for what in FLAT:
        file = next(q.file for q in questions(()) if q.what == what)
        yield (what, "", MEAN, *_mean(_scores(answers, [file])))
    clean = _scores(answers, [clean_file(name) for name in contents])
    files = _by_what("extremes", contents)
    for what in MISSING:
        scores = _scores(answers, files[what])
        losses = clean - scores
        yield (what, "", MEAN, *_mean(scores))
        mean, count = _mean(losses)
        if count:
            yield what, "", LOSS, mean, count
            yield what, "", LEAST_LOSS, float(np.nanmin(losses)), count


def _invariance(answers: Answers, contents: Sequence[str]) -> Rows:
    clean = _scores(answers, [clean_file(name) for name in contents])
    files = _by_what("invariance", contents)
    for what in INVARIANCE:
        shift = _scores(answers, files[what]) - clean
        mean, count = _mean(np.abs(shift))
        if count:
            yield what, "", CHANGE, mean, count
            yield (what, "", SHIFT, *_mean(shift))
            yield what, "", WORST, float(np.nanmax(np.abs(shift))), count


def _where(answers: Answers, contents: Sequence[str]) -> Rows:
    files = _by_what("where", contents)
    means = []
    for what in WHERE:
        values = np.array([answers.of[file].auc if file in answers.of else math.nan for file in files[what]])
        mean, count = _mean(values)
        means.append(mean)
        yield what, "", AUC, mean, count
    yield (ALL, "", AUC, *_mean(np.array(means)))


def _by_what(family: str, contents: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for question in questions(contents):
        if question.family == family and question.content:
            found.setdefault(question.what, []).append(question.file)
    return found


def _all(answers: Answers, contents: Sequence[str]) -> Rows:
    yield ALL, "", NO_ANSWER, float(sum(bool(answer.error) for answer in answers.of.values())), len(answers.of)


FAMILIES = {
    "clean": _clean,
    "order": _order,
    "extremes": _extremes,
    "invariance": _invariance,
    "where": _where,
    "all": _all,
}


# ---- the file -------------------------------------------------------------------------------------------------------


def as_csv(found: Sequence[Figure]) -> str:
    """The figures as CSV, with five significant digits."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(one), "value": f"{one.value:.5g}"} for one in found)
    return out.getvalue()


def read_figures(file: Path) -> list[Figure]:
    """Read what as_csv wrote. Raises ValueError for a file that is not of this kind."""
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            lines = csv.DictReader(stream)
            if tuple(lines.fieldnames or ()) != COLUMNS:
                raise ValueError(f"columns {', '.join(lines.fieldnames or ())}")
            return [_read(line) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{file}: got no figures of iqassay bench sanity ({error})") from None


def _read(line: dict[str, str]) -> Figure:
    model, version, reference, family, what, level, figure, value, pictures = (line[key] for key in COLUMNS)
    return Figure(model, version, reference, family, what, level, figure, float(value), int(pictures))
