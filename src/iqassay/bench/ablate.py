"""What the parts of a system are worth: the whole against the same with one switch thrown, over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iqassay.bench.learners import TEST, opinions
from iqassay.bench.results import write_results
from iqassay.bench.train import CLEAN, Training, by_mode, plan, results_of, trained
from iqassay.statistics.correlation import srcc

WHOLE = "whole"
SWITCHES: dict[str, dict[str, list[str]]] = {
    "mfen": {
        "no HFEN": ["--no-hfen"],
        "no DAN": ["--no-dan"],
        "fusion by sum": ["--fusion", "sum"],
        "fusion by concat": ["--fusion", "concat"],
    },
    "yoto": {
        "no HA: difference": ["--adapter", "difference"],
        "no HA: concat": ["--adapter", "concat"],
        "no SDA": ["--no-sda"],
        "no windows": ["--no-windows"],
        "no segments": ["--no-segments"],
        "no joint training": ["--mode", "no-reference"],
    },
    "dri": {
        "no restoration": ["--no-restoration"],
        "no interaction": ["--no-interaction"],
        "no representation loss": ["--representation", "0"],
        "one vector": ["--no-two-vectors"],
    },
}


@dataclass(frozen=True)
class Gain:
    """Mean SRCC over the seeds of two trainings, and the first less the second with its 95 % interval."""

    first: float
    second: float
    gain: float
    low: float
    high: float


Pair = tuple[NDArray, NDArray, NDArray]  # what two trainings said of the same pictures, and the opinions


def gain_over_seeds(
    runs: Sequence[Pair], rng: np.random.Generator, groups: Sequence[Sequence[str]] | None = None, rounds: int = 2000
) -> Gain:
    """How much better the first of two trainings is, by a paired bootstrap over seeds and pictures.

    Every round draws a seed, and of its pictures as many as there are, with replacement, the same for both. groups: of
    the pictures of each seed; those of one group are drawn together.
    """
    first, second = (float(np.mean([srcc(run[i], run[2]) for run in runs])) for i in range(2))
    members = [_members(groups[i] if groups else np.arange(len(run[2]))) for i, run in enumerate(runs)]
    found = []
    for _ in range(rounds):
        i = int(rng.integers(len(runs)))
        drawn = np.concatenate([members[i][j] for j in rng.integers(len(members[i]), size=len(members[i]))])
        ours, other, truth = (column[drawn] for column in runs[i])
        found.append(srcc(ours, truth) - srcc(other, truth))
    low, high = np.nanquantile(found, (0.025, 0.975))
    return Gain(first, second, first - second, float(low), float(high))


def _members(groups: ArrayLike) -> list[NDArray[np.intp]]:
    """The pictures of each group."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    return np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])


def ablate(
    system: str, data: Sequence[str], seeds: int, out: Path, stage: str, start: Path | None, flags: Sequence[str]
) -> Iterator[str]:
    """``iqassay bench ablate``: the whole system and each of its variants, trained as by ``train`` on the same splits.

    Yields a Markdown table for each set, and each mode of YOTO: mean SRCC on the test parts, epochs chosen on val, and
    what the switch costs.

    Raises ValueError as ``train`` does, and for a stage in which the switches change nothing.
    """
    if system not in SWITCHES:
        raise ValueError(f"got system {system!r}, want one with switches: {', '.join(SWITCHES)}")
    if stage == "head" and system != "dri":
        raise ValueError(f"got --stage head for {system}, whose switches belong to parts that it leaves fixed: "
                         "want --stage network")  # fmt: skip
    found: dict[tuple[str, str], dict[str, list[Training]]] = {}
    for variant, switch in {WHOLE: [], **SWITCHES[system]}.items():
        wanted = plan(system, f"{system}, {variant}", stage, start, (*flags, *switch))
        for done, splits in trained(wanted, data, seeds, out):
            for name, trainings in by_mode(wanted.name, done, TEST):
                write_results(out, results_of(wanted, trainings, splits, TEST, name))
                kind = system + name.removeprefix(wanted.name)  # "yoto", and "yoto, with reference"
                found.setdefault((done[0].parts[TEST].name, kind), {})[variant] = trainings
    for (name, kind), of_variants in found.items():
        yield table(f"{name}, {kind}: test SRCC, mean of {seeds} seeds, epochs chosen on val", of_variants)


def table(title: str, trainings: dict[str, list[Training]]) -> str:
    """Every variant beside the whole, as Markdown."""
    lines = [title, "", "| variant | SRCC | the whole is better by (95 %) |", "|---|---|---|"]
    for variant, others in trainings.items():
        if variant == WHOLE:
            mean = np.mean([one.figure("SRCC", CLEAN) for one in others])
            lines.append(f"| {variant} | {mean:.4f} | |")
            continue
        pairs = list(zip(trainings[WHOLE], others, strict=True))
        runs = [(said(ours), said(other), opinions(ours.parts[TEST])) for ours, other in pairs]
        groups = [[row.group for row in ours.parts[TEST].rows] for ours, _ in pairs]
        gain = gain_over_seeds(runs, np.random.default_rng(0), groups)
        lines.append(f"| {variant} | {gain.second:.4f} | {gain.gain:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}) |")
    return "\n".join(lines)


def said(training: Training) -> NDArray[np.float64]:
    """The answers to the test pictures, by the clean choice."""
    return training.curve.score[TEST + training.mode][training.stop(CLEAN)]
