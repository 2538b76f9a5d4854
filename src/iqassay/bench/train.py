"""Systems trained and tested inside a data set, over splits by content; and what choosing the epoch on the test adds.

Every seed of ``data.splits`` is a training of its own: on its train pictures, asked about its val and test pictures
after every epoch. The answers that count, "clean", are those of the epoch with the best SRCC on val. Beside them stands
what many papers report: the best test epoch. Their gap is what a figure gains by having seen the answers.

OUT/trainings/SET/NAME/SEED/answers.npz is a finished training; a run that was stopped goes on with the first seed that
has none (a network goes on from its last epoch, with other crops than it would have seen). All else is made from these
files anew: OUT/SET/NAME.csv, clean answers to the test pictures of every seed, and OUT/SET/NAME, best test epoch.csv.
YOTO's joint training answers beside references too, where the set has them: OUT/SET/NAME, with reference.csv and so on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from iqassay.bench.learners import (
    PENALTIES,
    TEST,
    TRAIN,
    VAL,
    WITH,
    Curve,
    Learner,
    Parts,
    head_learner,
    network_learner,
    opinions,
    ridge_learner,
)
from iqassay.bench.protocol import about_of, digest, row_of, say
from iqassay.bench.results import Results, Row, write_results
from iqassay.data.opening import open_set
from iqassay.data.rating import Ratings
from iqassay.data.splits import SEEDS, split_ratings
from iqassay.statistics.correlation import over_splits, plcc, srcc
from iqassay.support.files import replace_file, write_whole
from iqassay.training.checkpoints import recipe_of
from iqassay.training.flags import read_flags
from iqassay.training.presets import chosen
from iqassay.training.recipes import Recipe

CLEAN, BEST = "validation epoch", "best test epoch"
STATISTICS = {"SRCC": srcc, "PLCC": plcc}
HEAD = {"batch": 64, "steps": 75, "epochs": 6, "lr": 1e-3, "decay": 0.3, "average": 0.98}  # unless flags say otherwise
_DEFAULTS = json.loads(json.dumps(dataclasses.asdict(Recipe(data=["any"])), default=str))
MAPPING = "mean of the training opinions + their deviation * the standardised answer, held within 0 to 100"


# ---- what is to be trained ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A system and how it is trained: mfen, yoto, dri or ridge. name: what its results are called. flags: those of
    ``iqassay train``; given: the fields of the recipe that they set; small: by the two-minute recipe, --smoke."""

    system: str
    name: str
    stage: str
    start: Path | None
    flags: tuple[str, ...]
    given: Mapping[str, Any]
    small: bool

    def recipe(self, data: str) -> Recipe:
        """How one set is learned, whatever the seed."""
        if self.system == "ridge":
            return Recipe(system="ridge", data=[data], encoder=self.given.get("encoder", Recipe.encoder))
        given = {**self.given, "system": self.system, "data": [data], "start": self.start, "stage": self.stage}
        return chosen(given, self.small, HEAD if self.stage == "head" else {})

    def settings(self, data: str) -> dict[str, Any]:
        """What the answers of a training hang on, as JSON has it."""
        if self.system == "ridge":
            return {"system": "ridge", "encoder": self.recipe(data).encoder, "penalties": list(PENALTIES)}
        own = ("data", "columns", "out", "seed", "workers", "accelerator", "devices")
        recipe = {key: v for key, v in dataclasses.asdict(self.recipe(data)).items() if key not in own}
        return json.loads(json.dumps(recipe, default=str))


def plan(system: str, name: str = "", stage: str = "", start: Path | None = None, flags: Sequence[str] = ()) -> Plan:
    """A plan from the words of the command line. stage: if not given, the head's after a start, else the network's.

    Raises ValueError for an unknown system or stage, for the head of a network that nothing has trained, and for flags
    that ``iqassay train`` does not know or that the protocol sets itself.
    """
    stage = stage or ("head" if start or system == "ridge" else "network")
    if system not in ("mfen", "yoto", "dri", "ridge"):
        raise ValueError(f"got system {system!r}, want mfen, yoto, dri or ridge")
    if stage not in ("head", "network"):
        raise ValueError(f"got --stage {stage}, want head or network")
    if stage == "head" and not start and system != "ridge":
        raise ValueError(
            f"got --stage head for {system} without --start: all but the head would be random and stay so; "
            "want --start CKPT, or --stage network"
        )
    try:
        given = read_flags(["dri" if system == "ridge" else system, *flags])
    except ValueError as error:
        raise ValueError(f"flags for iqassay train: {error}") from None
    del given["system"]
    small = given.pop("smoke")
    taken = [key for key in ("data", "start", "stage", "out", "seed", "left_out") if key in given]
    if taken:
        raise ValueError(f"got --{taken[0].replace('_', '-')} among the flags for iqassay train: bench sets it itself")
    if system == "ridge" and (set(given) - {"encoder"} or start or stage == "network"):
        raise ValueError("got a ridge regression with more than --encoder, want that alone")
    if stage == "head" and given.get("test_crops"):
        raise ValueError("got --test-crops for --stage head, which sees whole pictures: want --stage network with it")
    if stage == "head" and given.get("mode") == "full-reference":
        raise ValueError("got --mode full-reference for --stage head, want --stage network with it")
    return Plan(system, name or system, stage, start, tuple(flags), given, small)


def refuse_within(folders: Iterable[Path], sets: Iterable[Ratings], what: str) -> None:
    """Raise ValueError if a picture or a reference of a set lies in a folder whose photos are trained on."""
    for folder, ratings in product([Path(folder).absolute() for folder in folders], sets):
        paths = (path for row in ratings.rows for path in (row.image, row.reference) if path is not None)
        if any(path.absolute().is_relative_to(folder) for path in paths):
            raise ValueError(f"{what} {folder}, where pictures of {ratings.name} are: a leak; want other clean photos")


def refuse_seen(start: Path, sets: Iterable[Ratings]) -> None:
    """Raise ValueError if a checkpoint, or one that it was started from, was trained on any of the sets.

    It was if its recipe names a set of that name, a table that holds one of its pictures, or a folder of clean photos
    that does.
    """
    sets, checkpoint = list(sets), start
    while True:
        recipe = recipe_of(checkpoint)
        refuse_within(recipe.synthetic, sets, f"--start {start}: was trained on")
        for argument, name in zip(recipe.data, recipe.set_names(), strict=True):
            try:
                seen = {
                    os.path.normpath(row.image.absolute()) for row in open_set(argument, False, recipe.columns).rows
                }
            except ValueError:
                seen = set()  # the table is not here any more: the name must do
            for ratings in sets:
                same = name.lower() == ratings.name.lower()
                if same or any(os.path.normpath(row.image.absolute()) in seen for row in ratings.rows):
                    raise ValueError(
                        f"--start {start}: was itself trained on {ratings.name}, test pictures and all: a leak; want a "
                        "checkpoint that was not, such as that of --stage restoration, or none"
                    )
        if recipe.start is None:
            return
        before = Path(recipe.start)
        places = (folder / before for folder in (Path(), *checkpoint.absolute().parents))
        found = next((file for file in places if file.is_file()), None)
        if found is None:
            raise ValueError(f"--start {start}: began as {before}, which is not here: what it has seen is not known")
        checkpoint = found


# ---- one training ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A finished training: the parts of its split, and its answers to them.

    mode: which answers all figures are of: "", or ``WITH`` for those of a joint training beside references.
    """

    seed: int
    parts: Parts
    curve: Curve
    mode: str = ""

    def values(self, part: str, statistic: Callable[..., float]) -> list[float]:
        """A statistic of a part for every stop; -2 where there is none, as for constant answers."""
        truth = opinions(self.parts[part])
        found = [statistic(said, truth) for said in self.curve.score[part + self.mode]]
        return [-2.0 if np.isnan(value) else value for value in found]

    def in_mode(self, mode: str) -> Training:
        """The same training, with figures of another mode."""
        return dataclasses.replace(self, mode=mode)

    def modes(self, part: str) -> list[str]:
        """The modes that it answers to a part in."""
        return [mode for mode in ("", WITH) if part + mode in self.curve.score]

    def stop(self, choice: str) -> int:
        """The stop with the best SRCC: on val, or, with ``BEST``, on test.

        On val it is the mean over the modes: one network answers in both, so one epoch is chosen for both. The best
        test epoch is that of each mode by itself.
        """
        if choice == BEST:
            return int(np.argmax(self.values(TEST, srcc)))
        return int(np.argmax(np.mean([self.in_mode(mode).values(VAL, srcc) for mode in self.modes(VAL)], axis=0)))

    def figure(self, name: str, choice: str, part: str = TEST) -> float:
        """SRCC or PLCC of a part. Of the best test epoch it is the best over the epochs, for each of the two by itself:
        the custom of the papers."""
        values = self.values(part, STATISTICS[name])
        value = values[self.stop(CLEAN)] if choice == CLEAN else max(values)
        return value if value > -2 else float("nan")

    def rows(self, part: str, choice: str) -> Iterator[Row]:
        """The pictures of a part with the answers at the stop chosen."""
        ratings, stop, said = self.parts[part], self.stop(choice), part + self.mode
        for row, raw, score in zip(ratings.rows, self.curve.raw[said][stop], self.curve.score[said][stop], strict=True):
            yield dataclasses.replace(
                row_of(row, ratings.folder), raw=float(raw), score=float(score), seed=str(self.seed)
            )


def split_parts(ratings: Ratings, seed: int, limit: int = 0, others: Sequence[Ratings] = ()) -> dict[str, Ratings]:
    """Train, val and test of a seed, and other sets as a whole; of each the first ``limit`` rows, 0 for all.

    Raises ValueError when one of the three is too small to correlate.
    """
    split = split_ratings(ratings, seed)
    parts = {name: split.split(name) for name in (TRAIN, VAL, TEST)} | {f"all of {o.name}": o for o in others}
    parts = {key: dataclasses.replace(part, rows=part.rows[: limit or None]) for key, part in parts.items()}
    for key, part in parts.items():
        if len({row.score for row in part.rows}) < 3:
            raise ValueError(f"{part.name}, seed {seed}: got {len(part)} pictures in {key}, want 3 different scores")
    return parts


def trained(
    plan: Plan, data: Sequence[str], seeds: int, out: Path, cross: bool = False
) -> Iterator[tuple[list[Training], list[Parts]]]:
    """Train on every set, over so many seeds. Yields, after each, all trainings of the set so far, and all its splits.

    cross: ask about all other sets too. What fixed parts say of the pictures is kept in OUT/kept, for all splits.

    Raises ValueError for sets of one name, a checkpoint that has seen them, and OUT with trainings by other settings.
    """
    if not 1 <= seeds <= SEEDS:
        raise ValueError(f"got {seeds} splits, want 1 to {SEEDS}")
    sets = [open_set(argument, columns=plan.given.get("columns", "")) for argument in data]
    if len({s.name for s in sets}) < len(sets):
        raise ValueError(f"got --data called {', '.join(s.name for s in sets)}, want names that differ")
    refuse_within(plan.given.get("synthetic", ()), sets, "got --synthetic")
    if plan.start is not None:
        refuse_seen(plan.start, sets)
    for argument, ratings in zip(data, sets, strict=True):
        others = [s for s in sets if s is not ratings] if cross else []
        splits: list[Parts] = [split_parts(ratings, i, plan.given.get("limit", 0), others) for i in range(seeds)]
        done: list[Training] = []
        learner = None
        for seed, parts in enumerate(splits):
            work = out / "trainings" / ratings.name / (plan.name + ", crossed" * cross) / str(seed)
            settle(work, plan.settings(argument), parts)
            if not (work / "answers.npz").exists():
                began = time.perf_counter()
                learner = learner or learner_of(plan, argument, _asked([ratings, *others], splits), out / "kept")
                save(learner(parts, seed, work), work)
                say(f"{ratings.name}, {plan.name}, seed {seed}: {time.perf_counter() - began:.0f} s")
            done.append(Training(seed, parts, load(work)))
            yield done, splits


def _asked(sets: Sequence[Ratings], splits: Sequence[Parts]) -> list[Ratings]:
    """Of some sets the rows that any part of any split has: with --limit, the only ones that need be looked at."""
    wanted = {(part.name, row.image) for parts in splits for part in parts.values() for row in part.rows}
    return [dataclasses.replace(s, rows=tuple(r for r in s.rows if (s.name, r.image) in wanted)) for s in sets]


def learner_of(plan: Plan, data: str, sets: Sequence[Ratings], kept: Path) -> Learner:
    """What trains by a plan."""
    recipe = plan.recipe(data)
    if plan.system == "ridge":
        return ridge_learner(recipe.encoder, sets, kept)
    return head_learner(recipe, sets, kept) if plan.stage == "head" else network_learner(recipe, plan.flags)


def settle(work: Path, settings: Mapping[str, Any], parts: Parts) -> None:
    """Write down what a training is made of. Raises ValueError if the folder holds one that is made of other things."""
    rows = {key: digest(row_of(row, part.folder) for row in part.rows) for key, part in parts.items()}
    said, file = {**settings, **{f"pictures of {key}": value for key, value in rows.items()}}, work / "settings.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        # A recipe may have grown fields since: what is not there was as it is by default.
        older = {key: value for key, value in _DEFAULTS.items() if key in said and key not in kept}
        other = next((key for key in said | kept if said.get(key) != (older | kept).get(key)), None)
        if other is not None:
            raise ValueError(
                f"{work}: holds a training with {other} {kept.get(other)!r}, got {said.get(other)!r} now: want another "
                "folder with -o, or another --name"
            )
    work.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(said, indent=1).encode())


def save(curve: Curve, work: Path) -> None:
    """Keep the answers of a finished training, all of them or none."""
    arrays = {f"{kind} {part}": v for kind in ("raw", "score") for part, v in getattr(curve, kind).items()}
    replace_file(work / "answers.npz", lambda out: np.savez(out, stops=np.array(curve.stops), **arrays))


def load(work: Path) -> Curve:
    """Read what ``save`` kept."""
    with np.load(work / "answers.npz") as kept:
        raw, score = ({k.partition(" ")[2]: kept[k] for k in kept if k.startswith(kind)} for kind in ("raw ", "score "))
        return Curve(tuple(map(str, kept["stops"])), raw, score)


# ---- what came of it ------------------------------------------------------------------------------------------------


def results_of(
    plan: Plan, done: Sequence[Training], splits: Sequence[Parts], part: str, model: str, choice: str = CLEAN
) -> Results:
    """The answers to one part, of the seeds that are done; splits: of all seeds."""
    ratings = done[0].parts[part]
    rows = tuple(row for training in done for row in training.rows(part, choice))
    split = TEST if part == TEST else "all"
    about = {
        **about_of(model, ratings, rows, split, plan.given.get("mode") == "full-reference" or done[0].mode == WITH),
        "kind": "trained",
        "choice": choice,
        "recipe": plan.settings(""),
        "mapping": MAPPING,
        "pictures": sum(len(parts[part]) for parts in splits),
    }
    return Results(ratings.name, model, rows, about)


def train(plan: Plan, data: Sequence[str], seeds: int, out: Path) -> Iterator[str]:
    """``iqassay bench train``. Yields a Markdown table for each set, and each mode, when all of its seeds are done."""
    for done, splits in trained(plan, data, seeds, out):
        for name, trainings in by_mode(plan.name, done, TEST):
            for choice, model in ((CLEAN, name), (BEST, f"{name}, {BEST}")):
                write_results(out, results_of(plan, trainings, splits, TEST, model, choice))
            if len(done) == seeds:
                yield table(name, trainings)


def by_mode(name: str, done: Sequence[Training], part: str) -> Iterator[tuple[str, list[Training]]]:
    """The trainings in every mode that all of them answer to a part in, and what they are called in it."""
    for mode in done[0].modes(part):
        if all(mode in one.modes(part) for one in done):
            yield name + (f",{WITH}" if mode else ""), [one.in_mode(mode) for one in done]


def table(name: str, done: Sequence[Training]) -> str:
    """Clean figures, those of the best test epoch, and the gap, for each seed and over the seeds, as Markdown."""
    columns = {
        (what, choice): [t.figure(what, choice) for t in done] for choice in (CLEAN, BEST) for what in STATISTICS
    }
    for what in STATISTICS:
        gap = [best - clean for clean, best in zip(columns[what, CLEAN], columns[what, BEST], strict=True)]
        columns[what, "gap"] = gap
    ratings = done[0].parts[TEST]
    lines = [
        f"{ratings.name}, {name}: {len(done)} splits by content, {len(ratings)} test pictures",
        "",
        "| seed | " + " | ".join(f"{what}, {choice}" for what, choice in columns) + " | chosen, best |",
        "|" + "---|" * (2 + len(columns)),
    ]
    for i, one in enumerate(done):
        stops = " / ".join(one.curve.stops[one.stop(choice)] for choice in (CLEAN, BEST))
        lines.append(f"| {one.seed} | " + " | ".join(f"{v[i]:.4f}" for v in columns.values()) + f" | {stops} |")
    spreads = [over_splits(values) for values in columns.values()]
    lines.append("| median | " + " | ".join(f"{s.median:.4f}" for s in spreads) + " | |")
    lines.append(
        "| mean (95 %) | " + " | ".join(f"{s.mean:.4f} ({s.low:.4f} to {s.high:.4f})" for s in spreads) + " | |"
    )
    lines += [
        "",
        f"{CLEAN}: the best SRCC on val chooses, for both figures. {BEST}: as in papers, the best over the epochs of "
        "each figure by itself; the kept answers are those of the best SRCC. Only the first says how good it is.",
    ]
    return "\n".join(lines)
