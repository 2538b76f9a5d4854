"""What each part of DRI-IQA is worth to its score, and how it does on sets left out: the second stage, three seeds.

    python benchmarks/ablations/dri_variants.py runs/dri_head [--steps 150] [--epochs 3]

Works on what ``iqassay train dri --stage head`` kept in its folder, and trains the predictor anew by that run's recipe,
but for fewer batches: whole; with a part switched off; without the representation loss; a regression on the encoder's
statistics alone, without any of DRI-IQA's own parts; and whole, without one of the sets, which is then only looked at.
What is kept comes from networks that saw ImageNet and our own distortions of clean photos, but no opinions. The epoch
is chosen by the validation pictures of the sets trained on. Only val splits are read.

One row a run goes to benchmarks/ablations/dri_variants.csv as soon as it is there, and its validation answers are kept
in --work; runs already in the file are not repeated. At the end the paired bootstrap of the whole against each variant,
over pictures and seeds, goes to benchmarks/ablations/dri_gains.csv.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import torch
from variants import answers, gains, write

from iqassay.bench.ablate import SWITCHES, WHOLE
from iqassay.bench.train import plan
from iqassay.statistics.correlation import srcc
from iqassay.systems.blocks import Regressor
from iqassay.systems.dri import DRIConfig, Predictor
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights, recipe_of
from iqassay.training.head import Head, fit_head, predict
from iqassay.training.kept_pictures import Pictures, gather
from iqassay.training.recipes import Recipe

HERE = Path(__file__).parent
PARTS = ("restoration", "interaction", "two_vectors")
STATISTICS = "the encoder's statistics alone"
CHANGED = {name: dict(plan("dri", flags=flags).given) for name, flags in SWITCHES["dri"].items()}
VARIANTS = {WHOLE: {}, **CHANGED, STATISTICS: {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--work", type=Path, default=Path("runs/dri_variants"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    base = dataclasses.replace(
        recipe_of(args.folder / "best.ckpt"), out=args.folder, steps=args.steps, epochs=args.epochs, batch=args.batch
    )
    system = build_system(base).eval()
    load_weights(system, args.folder / "best.ckpt")
    sets = gather(base, system)

    without = {f"whole, without {s.name}": s.name for s in sets}
    file = HERE / "dri_variants.csv"
    rows = list(csv.DictReader(file.open())) if file.exists() else []
    done = {(row["variant"], row["seed"]) for row in rows}
    for seed, variant in itertools.product(range(3), (*VARIANTS, *without)):
        if (variant, str(seed)) in done:
            continue
        recipe, left_out = dataclasses.replace(base, seed=seed, **VARIANTS.get(variant, {})), without.get(variant)
        found = train(recipe, sets, left_out, variant == STATISTICS)
        raw, score, number = (np.concatenate(column) for column in zip(*found.values(), strict=True))
        np.savez(args.work / f"{variant}-{seed}.npz", raw=raw, score=score, dataset=number, sets=list(found))
        measured = {name: round(srcc(raw, score), 4) for name, (raw, score, _) in found.items()}
        trained = {"trained on": " + ".join(name for name in found if name != left_out)}
        rows.append({"variant": variant, "seed": seed, "steps": args.steps * args.epochs, **trained, **measured})
        print(rows[-1], flush=True)
        write(file, rows)

    table = []
    for variant in (*VARIANTS, *without):
        pairs = [[args.work / f"{name}-{seed}.npz" for name in ("whole", variant)] for seed in range(3)]
        runs = [(answers(whole), answers(other)) for whole, other in pairs if whole.exists() and other.exists()]
        if variant != "whole":
            found = gains(runs, ("whole", "without"), np.random.default_rng(0))
            table += [{"variant": variant, **gain} for gain in found]
    write(HERE / "dri_gains.csv", table)
    print("\n| variant | " + " | ".join(s.name for s in sets) + " |\n|" + "---|" * (1 + len(sets)))
    for variant in dict.fromkeys(row["variant"] for row in rows):
        values = [[float(row[s.name]) for row in rows if row["variant"] == variant] for s in sets]
        cells = [f"{np.mean(v):.4f} ({min(v):.4f} to {max(v):.4f})" for v in values]
        print(f"| {variant} | " + " | ".join(cells) + " |")


def train(
    recipe: Recipe, sets: list[Pictures], left_out: str | None, alone: bool
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Train a new predictor, or with ``alone`` a regression on the encoder's statistics. Of every set, left out or not:
    raw scores and opinions of the validation pictures, and the set's number, each (N,)."""
    if alone:
        sets = [dataclasses.replace(s, kept=[s.kept[0], np.zeros(len(s.score), np.float32)]) for s in sets]
    elif not recipe.restoration:
        sets = [dataclasses.replace(s, kept=s.kept[:3]) for s in sets]
    taken = [i for i, s in enumerate(sets) if s.name != left_out]
    parts = {
        "data": [argument for i, argument in enumerate(recipe.data) if i in taken],
        "synthetic": recipe.synthetic if left_out != "synthetic" else [],
        "shares": [share for i, share in enumerate(recipe.shares) if i in taken],
    }
    recipe = dataclasses.replace(recipe, **parts)
    torch.manual_seed(recipe.seed)
    sizes = tuple(kept.shape[-1] for kept in sets[0].kept)
    switches = {switch: getattr(recipe, switch) for switch in PARTS}
    head: Head = Regressor(sizes[0]) if alone else Predictor(DRIConfig(recipe.encoder, **switches), sizes)
    head = fit_head(recipe, head, [sets[i] for i in taken])[0]
    return {
        s.name: (predict(head, s), s.score[s.train :], np.full(len(s.score) - s.train, i)) for i, s in enumerate(sets)
    }


if __name__ == "__main__":
    main()
