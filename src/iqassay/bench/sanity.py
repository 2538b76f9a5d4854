"""Asking the sanity suite: every answer is kept as it comes, so that a run that was stopped goes on where it was.

What is asked is in sanity_questions.py, what the answers are worth in sanity_figures.py. A model that is asked beside
references, as well as one that can do nothing else, gets the clean picture as the reference.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from PIL import Image

from iqassay.bench.sanity_pictures import CONTENTS, Floats, Pixels, content
from iqassay.bench.sanity_questions import SUITE, Question, clean_file, questions
from iqassay.data.ratings import number, read_table
from iqassay.models.opening import open_scorer
from iqassay.pictures.image import ImageError
from iqassay.scoring.model_file import NetworkCard, PanelCard
from iqassay.scoring.panel import Panel
from iqassay.scoring.scorer import Scorer, placed
from iqassay.statistics.pairs import share_below
from iqassay.support.files import write_whole
from iqassay.support.progress import with_bar
from iqassay.support.text import did_you_mean

ANSWERS, MANIFEST = "answers.csv", "manifest.csv"
VISIBLE = 0.5  # steps of 255: a cell whose mean change is less shows no damage
ROUND = 9  # digits behind the point that a score has here


@dataclass(frozen=True)
class Answer:
    """What was said of one picture. score: 0 to 100, higher is better. auc: of the cells of the map, where a quarter is
    damaged. Both are nan where there is none; error says why there is no score.
    """

    file: str
    score: float = math.nan
    auc: float = math.nan
    error: str = ""


@dataclass(frozen=True)
class Answers:
    """All answers of one model. reference: it saw the clean picture beside each. identity: of the model, to the bit."""

    model: str
    version: str = ""
    reference: bool = False
    identity: str = ""
    of: dict[str, Answer] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, bool]:
        """Under what its answers are kept."""
        return self.model, self.version, self.reference

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return f"{self.model}, with reference" if self.reference else self.model


@dataclass(frozen=True)
class Asked:
    """A model that is to answer, and its answers so far."""

    scorer: Scorer
    answers: Answers

    def wants(self, question: Question) -> bool:
        """Whether the picture is for it, and not answered yet."""
        return (question.beside or not self.answers.reference) and question.file not in self.answers.of


def open_models(names: Sequence[str], with_reference: bool = False, threads: int | None = None) -> list[Asked]:
    """Open models as ``iqassay score --model`` does. with_reference: those that can are asked a second time, beside
    references.

    Raises ModelFileError when there is no such model, ValueError when two have one name, and when references are
    wanted and no model takes any.
    """
    found = []
    for name in dict.fromkeys(names):
        scorer = open_scorer(name, threads)
        modes = [False] * (not scorer.needs_reference)
        modes += [True] * (scorer.needs_reference or (with_reference and scorer.takes_reference))
        for paired in modes:
            identity = hashlib.sha256(f"{SUITE} {scorer.identity} {paired}".encode()).hexdigest()[:16]
            found.append(Asked(scorer, Answers(scorer.card.name, scorer.card.version, paired, identity)))
    if len({one.answers.key for one in found}) < len(found):
        raise ValueError(f"got models called {', '.join(one.answers.name for one in found)}, want names that differ")
    if with_reference and found and not any(one.answers.reference for one in found):
        raise ValueError(f"--with-reference: got {', '.join(names)}, want a model that takes references, such as yoto")
    return found


def ask(
    models: Sequence[Asked], folder: Path | None = None, contents: Sequence[str] = tuple(CONTENTS)
) -> list[Answers]:
    """Ask models about every picture of the suite that they have not answered yet.

    folder: where answers are kept, in answers.csv; those that are there already are not asked for again. Returns the
    answers of these models, then those of other models that the folder has. contents: the clean pictures to use.

    Raises ValueError when the folder holds answers of another model of the same name and version.
    """
    kept = {one.key: one for one in read_answers(folder / ANSWERS)} if folder else {}
    for one in models:
        before = kept.pop(one.answers.key, one.answers)
        if before.identity != one.answers.identity:
            raise ValueError(
                f"{folder}: holds answers of another {one.answers.name} {one.answers.version}, "
                "want another folder with -o"
            )
        one.answers.of.update(before.of)
    everyone = [*(one.answers for one in models), *kept.values()]
    asked = [question for question in questions(contents) if any(one.wants(question) for one in models)]
    with _keeping(folder / ANSWERS if folder else None, everyone) as keep:
        for question in with_bar(asked, len(asked), "sanity"):
            picture = question.make()
            for one in sorted(models, key=lambda one: not isinstance(one.scorer, Panel)):  # they answer for members
                if one.wants(question):
                    for who, answer in _said(one, question, picture, models):
                        who.of[question.file] = answer
                        keep(who, answer)
    return everyone


def _said(
    one: Asked, question: Question, picture: Pixels | bytes, models: Sequence[Asked]
) -> Iterator[tuple[Answers, Answer]]:
    """The answer of one model, and of a panel those of its members too; only of their maps it does not tell."""
    reference = content(question.content) if one.answers.reference else None
    try:
        verdict = one.scorer.score(picture, reference)
    except ImageError as error:  # some measures refuse what they cannot measure
        yield one.answers, Answer(question.file, error=str(error))
        return
    auc = math.nan
    if question.corner is not None and not isinstance(picture, bytes):
        auc = map_auc(verdict.map, question.corner, picture, content(question.content))
    yield one.answers, Answer(question.file, round(float(verdict.score), ROUND), round(auc, ROUND))
    panel = one.scorer.card
    if isinstance(panel, PanelCard) and reference is None and question.corner is None:
        for other in models:
            card = other.scorer.card
            known = isinstance(card, NetworkCard) and panel.members.get(card.name) == card.sha256
            told = known and card.name in verdict.raws  # a member without a share is not asked
            if told and not other.answers.reference and other.wants(question):
                score = placed(verdict.raws[card.name], card)[0]
                yield other.answers, Answer(question.file, round(score, ROUND))


def map_auc(cells: Floats | np.ndarray, corner: tuple[int, int], picture: Pixels, clean: Pixels) -> float:
    """How well the cells of a map tell the damaged quarter: the chance that a damaged cell has a lower value than
    another, half of it for a tie; 1 is perfect, .5 is guessing, nan where the map has no cells to compare.

    Left out are cells that straddle the border, and those of the quarter where nothing visible changed, as on the bare
    paper of a blurred page.
    """
    height, width = picture.shape[:2]
    rows, columns = cells.shape
    owner = (np.arange(height) * rows // height)[:, None] * columns + np.arange(width) * columns // width
    inside = np.zeros((height, width))
    inside[corner[0] : corner[0] + height // 2, corner[1] : corner[1] + width // 2] = 1
    change = np.abs(picture.astype(np.float32) - clean).mean(axis=2)
    sizes, share, changed = (
        np.bincount(owner.ravel(), weights, minlength=cells.size) for weights in (None, inside.ravel(), change.ravel())
    )
    damaged = (share == sizes) & (changed >= VISIBLE * sizes) & (sizes > 0)
    other = (share == 0) & (sizes > 0)
    if not (damaged.any() and other.any()):
        return math.nan
    return float(share_below(cells.ravel()[other], cells.ravel()[damaged]).mean())


# ---- what is kept ---------------------------------------------------------------------------------------------------

_OF_MODEL = ("model", "version", "reference", "identity")
COLUMNS = (*_OF_MODEL, *(one.name for one in fields(Answer)))


def read_answers(file: Path) -> list[Answers]:
    """The answers of every model that a run kept; a last line that was being written when it was killed is left out.

    Raises ValueError for a file that is not of this kind.
    """
    if not file.exists():
        return []
    found: dict[tuple[str, ...], Answers] = {}
    try:
        text = file.read_text(encoding="utf-8")
        lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise ValueError(f"columns {', '.join(lines.fieldnames or ())}")
        for line in lines:
            model, version, reference, identity = head = tuple(line[key] for key in _OF_MODEL)
            answers = found.setdefault(head, Answers(model, version, reference == "yes", identity))
            score, auc = (float(line[key] or "nan") for key in ("score", "auc"))
            answers.of[line["file"]] = Answer(line["file"], score, auc, line["error"])
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{file}: got no answers of iqassay bench sanity ({error})") from None
    return list(found.values())


@contextmanager
def _keeping(file: Path | None, known: Sequence[Answers]) -> Iterator[Callable[[Answers, Answer], None]]:
    """A function that adds an answer to a file, which is written with the known ones first; None keeps nothing."""
    if file is None:
        yield lambda answers, answer: None
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_line(one, answer) for one in known for answer in one.of.values())
    write_whole(file, text.getvalue().encode())
    with file.open("a", newline="", encoding="utf-8") as stream:
        added = csv.writer(stream, lineterminator="\n")

        def keep(answers: Answers, answer: Answer) -> None:
            added.writerow(_line(answers, answer))
            stream.flush()

        yield keep


def _line(answers: Answers, answer: Answer) -> list[str]:
    numbers = ["" if math.isnan(value) else f"{value!r}" for value in (answer.score, answer.auc)]
    head = [answers.model, answers.version, "yes" if answers.reference else "no", answers.identity]
    return [*head, answer.file, *numbers, answer.error]


# ---- anyone's scores ------------------------------------------------------------------------------------------------


def write_pictures(folder: Path, contents: Sequence[str] = tuple(CONTENTS)) -> Path:
    """Write the pictures of the suite as PNG, and manifest.csv, which says what each is; returns the manifest's path.

    The pictures with a damaged quarter are left out: they ask for a map, and scores have none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = [question for question in questions(contents) if question.family != "where"]
    for question in with_bar(asked, len(asked), "pictures"):
        made = question.make()
        file = folder / question.file
        if isinstance(made, bytes):
            file.write_bytes(made)
        else:
            Image.fromarray(made).save(file, "PNG")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "reference", "family", "what", "level", "content"))
    for one in asked:
        reference = clean_file(one.content) if one.beside else ""
        writer.writerow((one.file, reference, one.family, one.what, one.level, one.content))
    write_whole(folder / MANIFEST, text.getvalue().encode())
    return folder / MANIFEST


def ends_of(scale: str) -> tuple[float, float]:
    """The ends of a scale that a command line names, WORST..BEST. Raises ValueError for anything else."""
    worst, dots, best = scale.partition("..")
    try:
        ends = float(worst), float(best)
    except ValueError:
        ends = (0.0, 0.0)
    if not dots or ends[0] == ends[1] or not all(map(math.isfinite, ends)):
        raise ValueError(f"--scale: got {scale!r}, want WORST..BEST, for example 0..1 or 100..0")
    return ends


def given_scores(
    table: Path, worst: float = 0.0, best: float = 100.0, contents: Sequence[str] = tuple(CONTENTS)
) -> list[Answers]:
    """Somebody's scores of the exported pictures: a CSV with the columns image (or path) and score, and perhaps name,
    that of the model. worst, best: the ends of their scale, which is brought to 0 to 100.

    A whole family may be missing, as invariance is for models that need references. Raises ValueError for a file that
    cannot be read, a missing column, a field that is no number, two scores of one picture, and pictures without one.
    """
    lines = read_table(table)
    header = list(lines[0]) if lines else []
    image = next((column for column in ("image", "path") if column in header), None)
    if image is None or "score" not in header:
        wanted = "image" if image is None else "score"
        guess = did_you_mean(wanted, header).removesuffix(";")
        raise ValueError(f"{table}: got columns {', '.join(header) or 'none'}, want image and score{guess}")
    found: dict[str, Answers] = {}
    for i, line in enumerate(lines, start=2):
        name = line.get("name") or table.stem
        of = found.setdefault(name, Answers(name)).of
        file = line[image].replace("\\", "/").rpartition("/")[2]
        if file in of:
            raise ValueError(f"{table} line {i}: got a second score of {file} by {name}, want one")
        score = 100 * (number(line["score"], f"{table} line {i}, score") - worst) / (best - worst)
        of[file] = Answer(file, round(score, ROUND))
    for one in found.values():
        _check_whole(table, one, contents)
    return list(found.values())


def _check_whole(table: Path, answers: Answers, contents: Sequence[str]) -> None:
    """Raises ValueError where some pictures of a family have scores and others none."""
    wanted: dict[str, list[str]] = {}
    for question in questions(contents):
        if question.family != "where":
            wanted.setdefault(question.family, []).append(question.file)
    there = {family: [file for file in files if file in answers.of] for family, files in wanted.items()}
    if not any(there.values()):
        got, want = next(iter(answers.of)), clean_file(contents[0])
        raise ValueError(f"{table}: no score by {answers.model} is of the suite: got {got!r}, want ones like {want!r}")
    missing = [file for family, files in wanted.items() if there[family] for file in files if file not in answers.of]
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(
            f"{table}: got no score by {answers.model} of {len(missing)} pictures: {some}, want one of each"
        )
