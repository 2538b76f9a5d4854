"""Across data sets: trained on one, tested on all of another."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from iqassay.bench.learners import TRAIN, VAL
from iqassay.bench.results import results_file, write_results
from iqassay.bench.train import CLEAN, STATISTICS, Plan, results_of, trained

Figures = Mapping[tuple[str, str], Mapping[str, Sequence[float]]]  # (trained on, tested on) -> SRCC and PLCC of seeds


def cross(plan: Plan, data: Sequence[str], seeds: int, out: Path) -> Iterator[str]:
    """``iqassay bench cross``: train on every set, ask about all of every other, and about its own test pictures.

    The epoch is chosen on val of the set trained on. Keeps the answers as "NAME trained on SET" of the set tested on,
    writes every seed's figures to OUT/cross NAME.csv, and yields the matrix as Markdown. Nothing was learned from the
    other sets, and nothing chosen by them; whether they hold the same photos, ``iqassay bench check --pictures`` tells.
    """
    if len(data) < 2:
        raise ValueError(f"got {len(data)} set, want two --data or more: to train on one and test on another")
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for done, splits in trained(plan, data, seeds, out, cross=True):
        learned = done[0].parts[TRAIN].name
        for part, asked in done[0].parts.items():
            if part not in (TRAIN, VAL):
                write_results(out, results_of(plan, done, splits, part, f"{plan.name} trained on {learned}"))
                figures = {what: [one.figure(what, CLEAN, part) for one in done] for what in STATISTICS}
                found[learned, asked.name] = figures
    write_figures(results_file(out.parent, out.name, f"cross {plan.name}"), found)
    yield matrix(plan.name, found)


def write_figures(file: Path, found: Figures) -> None:
    """The figures of every seed as CSV."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("trained_on", "tested_on", "seed", *STATISTICS))
        for pair, figures in found.items():
            for seed, values in enumerate(zip(*figures.values(), strict=True)):
                writer.writerow((*pair, seed, *(f"{value:.4f}" for value in values)))


def matrix(name: str, found: Figures) -> str:
    """Medians over the seeds as Markdown: a row for each set trained on, a column for each tested on."""
    sets = list(dict.fromkeys(learned for learned, _ in found))
    seeds = len(next(iter(next(iter(found.values())).values())))
    lines = [
        f"{name}, median SRCC (PLCC) of {seeds} seeds; the set's own column is its test part, others are whole",
        "",
        "| trained on | " + " | ".join(sets) + " |",
        "|" + "---|" * (1 + len(sets)),
    ]
    for learned in sets:
        medians = [[float(np.median(values)) for values in found[learned, asked].values()] for asked in sets]
        lines.append(f"| {learned} | " + " | ".join(f"{srcc:.3f} ({plcc:.3f})" for srcc, plcc in medians) + " |")
    return "\n".join(lines)
