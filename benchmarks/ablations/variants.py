"""Trainings that differ in a switch, over three seeds: what the scripts called ..._variants.py share."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from iqassay.bench.ablate import gain_over_seeds

Answers = dict[str, tuple[np.ndarray, np.ndarray]]  # set -> raw scores and opinions of its validation pictures


def arguments(doc: str, steps: int, work: str, limit: int | None = None) -> argparse.Namespace:
    """The flags of short trainings. limit: rows of each rated set; None is for trainings without such sets."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    if limit is not None:
        parser.add_argument("--biq", required=True)
        parser.add_argument("--flive", required=True)
        parser.add_argument("--limit", default=str(limit))
    parser.add_argument("--pristine", required=True)
    parser.add_argument("--steps", default=str(steps))
    parser.add_argument("--work", type=Path, default=Path(work))
    return parser.parse_args()


def train_all(
    command: list[str],
    variants: dict[str, list[str]],
    args: argparse.Namespace,
    file: Path,
    measure: Callable[[Path], dict[str, float]],
) -> None:
    """Run ``iqassay train`` for every variant and seed that has no row in ``file`` yet, and add its row at once."""
    done = list(csv.DictReader(file.open())) if file.exists() else []
    seen = {(row["variant"], row["seed"]) for row in done}
    everything = ["--synthetic", args.pristine, "--steps", args.steps]
    if "limit" in args:
        everything += ["--data", args.biq, "--data", args.flive, "--limit", args.limit]
    for seed, variant in itertools.product(map(str, range(3)), variants):
        if (variant, seed) in seen:
            continue
        out = args.work / f"{variant}-{seed}"
        own = ["--seed", seed, "--out", str(out), *variants[variant]]
        subprocess.run([sys.executable, "-m", "iqassay", "train", *command, *everything, *own], check=True)
        steps = json.loads((out / "recipe.json").read_text())["recipe"]["steps"]  # a variant may have its own
        done.append({"variant": variant, "seed": seed, "steps": steps, **measure(out)})
        write(file, done)


def answers(file: Path) -> Answers:
    """What a run left after an epoch as val-EPOCH.npz, or a script in the same form."""
    kept = np.load(file)
    return {
        str(name): (kept["raw"][kept["dataset"] == i], kept["score"][kept["dataset"] == i])
        for i, name in enumerate(kept["sets"])
    }


def gains(runs: list[tuple[Answers, Answers]], names: tuple[str, str], rng: np.random.Generator) -> Iterator[dict]:
    """``gain_over_seeds`` for every set, as rows of a table.

    runs: both trainings of every seed, which answer the same pictures. names: of the two, for their columns.
    """
    for name in runs[0][1] if runs else ():
        found = gain_over_seeds([(first[name][0], *second[name]) for first, second in runs], rng)
        numbers = dict(zip((*names, "gain", "low", "high"), dataclasses.astuple(found), strict=True))
        yield {"set": name, "seeds": len(runs), **{key: round(value, 4) for key, value in numbers.items()}}


def write(file: Path, rows: list[dict]) -> None:
    """A CSV with every column that some row has."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
