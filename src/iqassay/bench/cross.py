"""Across data sets: trained on one, tested on all of another."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from iqassay.bench.learners import TRAIN, VAL
from iqassay.bench.results import results_file, write_results
from iqassay.bench.train import CLEAN, STATISTICS, Plan, by_mode, results_of, trained

Figures = Mapping[tuple[str, str], Mapping[str, Sequence[float]]]  # (trained on, tested on) -> SRCC and PLCC of seeds


def cross(plan: Plan, data: Sequence[str], seeds: int, out: Path) -> Iterator[str]:
    """``iqassay bench cross``: train on every set, ask about all of every other, and about its own test pictures.

    The epoch is chosen on val of the set trained on. Keeps the answers as "NAME trained on SET" of the set tested on,
    writes every seed's figures to OUT/cross NAME.csv, and yields the matrix as Markdown, one for each mode. Nothing was
    learned from the other sets, and nothing chosen by them; whether they hold the same photos, ``iqassay bench check
    --pictures`` tells.
    """
    if len(data) < 2:
        raise ValueError(f"got {len(data)} set, want two --data or more: to train on one and test on another")
    found: dict[str, dict[tuple[str, str], dict[str, list[float]]]] = {}
    for done, splits in trained(plan, data, seeds, out, cross=True):
        learned = done[0].parts[TRAIN].name
        for part, asked in done[0].parts.items():
            for name, trainings in by_mode(plan.name, done, part) if part not in (TRAIN, VAL) else ():
                write_results(out, results_of(plan, trainings, splits, part, f"{name} trained on {learned}"))
                figures = {what: [one.figure(what, CLEAN, part) for one in trainings] for what in STATISTICS}
                found.setdefault(name, {})[learned, asked.name] = figures
    for name, figures_of in found.items():
        write_figures(results_file(out.parent, out.name, f"cross {name}"), figures_of)
        yield matrix(name, figures_of)


def write_figures(file: Path, found: Figures) -> None:
    """The figures of every seed as CSV."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("trained_on", "tested_on", "seed", *STATISTICS))
        for pair, figures in found.items():
            for seed, values in enumerate(zip(*figures.values(), strict=True)):
                writer.writerow((*pair, seed, *(f"{value:.4f}" for value in values)))


def matrix(name: str, found: Figures) -> str:
    """Medians over the seeds as Markdown: a row for each set trained on, a column for each tested on.

    "-" stands where a set has no references to answer beside.
    """
    sets = list(dict.fromkeys(learned for learned, _ in found))
    others = list(dict.fromkeys([*sets, *(asked for _, asked in found)]))
    seeds = len(next(iter(next(iter(found.values())).values())))
    lines = [
        f"{name}, median SRCC (PLCC) of {seeds} seeds; the set's own column is its test part, others are whole",
        "",
        "| trained on | " + " | ".join(others) + " |",
        "|" + "---|" * (1 + len(others)),
    ]
    for learned in sets:
        figures = [found.get((learned, asked), {}).values() for asked in others]
        medians = [[f"{np.median(values):.3f}" for values in both] for both in figures]
        lines.append(
            f"| {learned} | " + " | ".join("{} ({})".format(*both) if both else "-" for both in medians) + " |"
        )
    return "\n".join(lines)
