"""Models on rated sets: every answer is kept as it comes, so that a run that was stopped goes on where it was.

The pictures go through the scorer that users run. Nothing is fitted, chosen or left out here; what the answers are
worth is worked out afterwards, from the kept rows alone (tables.py, report.py).
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iqassay.bench.results import Results, Row, adding, read_results, results_file
from iqassay.data.rating import Rating, Ratings
from iqassay.data.ratings import columns_of, number, parse_columns, read_table
from iqassay.folders.folder import Pair, Result, score_pairs
from iqassay.models.opening import open_scorer
from iqassay.scoring.model_file import Card, NetworkCard, PanelCard
from iqassay.scoring.scorer import Scorer, placed
from iqassay.support.progress import with_bar
from iqassay.support.text import did_you_mean
from iqassay.support.version import __version__

ALONE = ":nr"  # after a model's name: without references, even where the set has them
ANYTHING = "all"  # stands for every split
# What makes answers others, so that a run cannot go on with them.
DECIDING = ("set", "model", "version", "sha256", "kind", "pictures", "split", "labels", "reference")


@dataclass(frozen=True)
class Contender:
    """A model that is to answer, and under which name its answers are kept. alone: never with references."""

    name: str
    scorer: Scorer
    alone: bool = False


def open_contender(text: str, threads: int | None = None) -> Contender:
    """A model by its name or file, as ``iqassay score --model`` takes it; with ":nr" after it, without references.

    Raises ModelFileError when there is no such model, ValueError for a measure that cannot do without references.
    """
    alone = text.endswith(ALONE)
    scorer = open_scorer(text.removesuffix(ALONE), threads)
    if alone and scorer.needs_reference:
        raise ValueError(f"{text}: got a measure that compares with references, want it without {ALONE}")
    return Contender(scorer.card.name + ("-nr" if alone else ""), scorer, alone)


def run(
    contenders: Sequence[Contender], sets: Sequence[Ratings], folder: Path, split: str = ANYTHING, again: bool = False
) -> list[Results]:
    """Let every contender score every picture of every set, and keep the answers in ``folder``.

    split: the rows to take, "all" or one of the set's own. again: answers that are there already are made anew. A
    measure that needs references leaves sets without them out, and is then not among the results of that set.

    Raises ValueError when a set has no such rows, and when the folder holds answers of another version of a model or
    to other labels.
    """
    found = []
    for ratings in sets:
        chosen = rows_of(ratings, split)
        paired = all(row.reference for row in chosen.rows)
        todo = [one for one in contenders if paired or not one.scorer.needs_reference]
        for left_out in (one.name for one in contenders if one not in todo):
            say(f"{ratings.name} has no references, which {left_out} needs: left out")
        answered: set[str] = set()
        for one in sorted(todo, key=lambda c: not isinstance(c.scorer.card, PanelCard)):  # panels answer for members
            if one.name not in answered:
                files = _answer(one, todo, chosen, split, folder, again)
                answered |= files.keys()
                found += [read_results(file) for file in files.values()]
    return found


def rows_of(ratings: Ratings, split: str) -> Ratings:
    """A set's rows of a split, or of "all". Raises ValueError for fewer than 3."""
    chosen = ratings if split == ANYTHING else ratings.split(split)
    if len(chosen) < 3:
        raise ValueError(f"{ratings.name}: got {len(chosen)} pictures of split {split!r}, want 3 or more")
    return chosen


def _answer(
    one: Contender, contenders: Sequence[Contender], ratings: Ratings, split: str, folder: Path, again: bool
) -> dict[str, Path]:
    """Fill the file of one contender, and those of the others whom it asks anyway. Returns the files by name."""
    paired = all(row.reference for row in ratings.rows) and one.scorer.takes_reference and not one.alone
    cards = {one.name: one.scorer.card} | ({} if paired else _members(one, contenders, ratings))
    files = {name: results_file(folder, ratings.name, name) for name in cards}
    rows = [row_of(rating, ratings.folder) for rating in ratings.rows]
    done: dict[str, int] = {}
    with ExitStack() as stack:
        add: dict[str, Callable[[Row], None]] = {}
        for name, card in cards.items():
            about = {**about_of(name, ratings, rows, split, paired), **identity(card), "seen": seen(card, ratings)}
            done[name] = 0 if again else _kept(files[name], about)
            if again:
                files[name].unlink(missing_ok=True)
            add[name] = stack.enter_context(adding(files[name], about))
        first, start = min(done.values()), time.perf_counter()
        pairs = [Pair(str(r.image), str(r.reference) if paired else None) for r in ratings.rows[first:]]
        title = f"{ratings.name}, {' and '.join(cards)}"
        for i, result in enumerate(with_bar(score_pairs(one.scorer, pairs), len(pairs), title), start=first):
            for name, card in cards.items():
                if i >= done[name]:
                    add[name](_said(rows[i], result, one.scorer, card))
    if pairs:
        pace = (time.perf_counter() - start) / len(pairs)
        say(f"{title}: {len(pairs)} pictures, {pace:.3f} s each, {pace * len(pairs):.0f} s")
    return files


def _members(one: Contender, contenders: Sequence[Contender], ratings: Ratings) -> dict[str, NetworkCard]:
    """The other contenders that a panel asks anyway: what it tells of them is what they would say alone."""
    panel = one.scorer.card
    if not isinstance(panel, PanelCard):
        return {}
    paired = all(row.reference for row in ratings.rows)
    alone = [other for other in contenders if other.alone or not paired or not other.scorer.takes_reference]
    cards = {other.name: other.scorer.card for other in alone}
    asked = one.scorer.asked(False)  # a member without a share is not
    same = {name: card for name, card in cards.items() if isinstance(card, NetworkCard) and card.name in asked}
    return {name: card for name, card in same.items() if panel.members.get(card.name) == card.sha256}


def _said(row: Row, result: Result, scorer: Scorer, card: Any) -> Row:
    """The row of a picture with what one model said of it."""
    verdict = result.verdict
    if verdict is None:
        return replace(row, error=result.error)
    if card is scorer.card:
        return replace(row, score=verdict.score, low=verdict.low, high=verdict.high, raw=verdict.raw)
    raw = verdict.raws[card.name]
    score, low, high = placed(raw, card)
    return replace(row, score=score, low=low, high=high, raw=raw)


def identity(card: Card) -> dict[str, str]:
    """Which model it is, to the bit."""
    if isinstance(card, PanelCard):
        made_of = repr((card.members, card.weights, card.calibration, card.interval)).encode()
        return {"version": card.version, "sha256": hashlib.sha256(made_of).hexdigest(), "kind": "network"}
    if isinstance(card, NetworkCard):
        return {"version": card.version, "sha256": card.sha256, "kind": "network"}
    return {"version": card.version, "sha256": "", "kind": "measure"}


def _kept(file: Path, about: Mapping[str, Any]) -> int:
    """How many rows are there already. Raises ValueError when they are answers to something else."""
    if not file.exists():
        return 0
    kept = read_results(file)
    other = next((key for key in DECIDING if kept.about.get(key) != about[key]), None)
    if other is not None:
        raise ValueError(
            f"{file}: holds answers with {other} {kept.about.get(other)!r}, got {about[other]!r} now: "
            "want another folder with -o, or --again to make them anew"
        )
    return len(kept.rows)


def about_of(model: str, ratings: Ratings, rows: Sequence[Row], split: str, reference: bool) -> dict[str, Any]:
    """What is known of any answers to a set, whoever gave them: see ``Results``."""
    return {
        "set": ratings.name,
        "model": model,
        "version": "",
        "sha256": "",
        "reference": reference,
        "pictures": len(rows),
        "split": split,
        "labels": digest(rows),
        "scale": ratings.scale,
        "folder": str(ratings.folder),
        "iqassay": __version__,
    }


def seen(card: Card, ratings: Ratings) -> int:
    """How many of the pictures a model may know: those of the split train, where its card names the set."""
    spelled = r"[\W_]*".join(map(re.escape, re.sub(r"[\W_]", "", ratings.name)))  # KADID-10k is kadid10k
    named = re.compile(rf"(?<![^\W_]){spelled}(?![^\W_])", re.IGNORECASE)  # and FLIVE is not live
    train = sum(row.split == "train" for row in ratings.rows)
    return train if any(named.search(text) for text in card.training_data) else 0


def row_of(rating: Rating, folder: Path) -> Row:
    """A row that has no answer yet."""

    def below(path: Path | None) -> str:
        if path is None:
            return ""
        return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()

    return Row(
        below(rating.image),
        rating.score,
        reference=below(rating.reference),
        group=rating.group,
        split=rating.split,
        subset=rating.subset,
        distortion=rating.distortion,
        level=rating.level,
        deviation=rating.deviation,
        votes=rating.votes,
    )


def digest(rows: Iterable[Row]) -> str:
    """Names the pictures and their opinions, in their order."""
    text = "\n".join(f"{row.image}\t{row.reference}\t{row.mos:.5f}" for row in rows)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


# ---- anyone's scores ------------------------------------------------------------------------------------------------


def read_scores(
    table: Path, image: str = "image", opinions: bool = False, columns: str = ""
) -> dict[str, dict[str, float]]:
    """A CSV of somebody's scores: a column for the picture, and each further column of numbers is a model's.

    opinions: the file is a ratings CSV as well, whose own columns are nobody's scores; columns: what these are, as for
    ``read_ratings``. Returns model -> picture ->
    score, in the file's own scale; a field that is empty or "nan" is left out. Names of columns are in lower case.
    Raises ValueError for a file that cannot be read, a missing column and a field that is no number.
    """
    lines = read_table(table)
    header, image = list(lines[0]) if lines else [], image.lower()
    said = parse_columns(columns) if opinions else {}
    image = said.get("image", image)
    own = {image, *said.values(), *(columns_of(header).values() if opinions else ())}
    found: dict[str, dict[str, float]] = {column: {} for column in header if column not in own}
    if image not in header or not found:
        guess = "" if image in header else did_you_mean(image, header).removesuffix(";")
        raise ValueError(
            f"{table}: got columns {', '.join(header)}; want {image}{guess}, and one of scores for each model"
        )
    for i, line in enumerate(lines, start=2):
        for column, scores in found.items():
            if line[column].lower() not in ("", "nan"):
                scores[line[image]] = number(line[column], f"{table} line {i}, {column}")
    return found


def judge(
    scores: Mapping[str, float], model: str, ratings: Ratings, lower_is_better: bool = False, split: str = ANYTHING
) -> Results:
    """Somebody's scores of a rated set as Results: pictures are found by their path below the set's folder, or by their
    name alone where it is the only one; a picture without a score is a row with an error.

    lower_is_better: scores are turned round. split: which rows of the set these are. Raises ValueError when no score is
    of a picture of the set, or when one name has scores of several.
    """
    names: dict[str, list[str]] = {}
    for path in scores:
        names.setdefault(Path(path).name, []).append(path)
    rows = []
    for row in (row_of(rating, ratings.folder) for rating in ratings.rows):
        fits = [row.image] if row.image in scores else names.get(Path(row.image).name, [])
        if len(fits) > 1:
            raise ValueError(f"{model}: got {len(fits)} scores that {row.image} of {ratings.name} may mean, want one")
        if fits:
            raw = scores[fits[0]]
            rows.append(replace(row, score=-raw if lower_is_better else raw, raw=raw))
        else:
            rows.append(replace(row, error="no score"))
    if all(row.error for row in rows):
        got, want = next(iter(scores), "none"), rows[0].image
        raise ValueError(f"{model}: no score is of a picture of {ratings.name}: got {got!r}, want ones like {want!r}")
    about = {**about_of(model, ratings, rows, split, reference=False), "kind": "scores"}
    return Results(ratings.name, model, tuple(rows), about)


# ---- telling --------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)
