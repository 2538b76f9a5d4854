"""Which lever generalises: the head trained on some sets and looked at on others that it never saw.

    python benchmarks/ablations/head_variants.py runs/head --biq biq2021.csv:IMAGES --flive flive_voc.csv:IMAGES
        --pristine FOLDER

Works on the statistics that ``iqassay train mfen --stage head`` left in its folder. "Encoder" rows use those of the
fixed ImageNet encoder alone, which has seen none of the sets; "fused" rows add those of HFEN and DAN, whose first stage
saw the training pictures of all sets, so that only the head is new to the set left out. Only val splits are read.
Writes benchmarks/ablations/left_out.csv.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from variants import write

from iqassay.data.distortions import KINDS
from iqassay.statistics.correlation import srcc
from iqassay.training.build import build_system
from iqassay.training.checkpoints import load_weights
from iqassay.training.head import fit_head, predict
from iqassay.training.kept_pictures import Pictures, gather
from iqassay.training.recipes import Recipe

Answer = Callable[[Pictures], np.ndarray]
UNSEEN = ("lens_blur", "jpeg2000", "white_noise_color", "color_quantization", "jitter")


def ridge(sets: list[Pictures], penalty: float = 0.3) -> Answer:
    """Closed form on standardised statistics, each set standardised by itself: the baseline of frozen features."""
    x = np.concatenate([s.kept[0][: s.train] for s in sets]).astype(np.float64)
    y = np.concatenate([(s.score[: s.train] - s.score[: s.train].mean()) / s.score[: s.train].std() for s in sets])
    centre, scale = x.mean(0), x.std(0) + 1e-6
    z = (x - centre) / scale
    weight = np.linalg.solve(z.T @ z + penalty * len(z) * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return lambda s: ((s.kept[0] - centre) / scale) @ weight


def encoder_only(pictures: Pictures) -> Pictures:
    """The same set with everything but the fixed encoder's statistics blanked."""
    statistics, patch = (np.array(part) for part in pictures.kept)
    statistics[:, : statistics.shape[1] // 2] = 0
    return dataclasses.replace(pictures, kept=[statistics, np.zeros_like(patch)])


def without(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """The synthetic set without the pictures that hold an unseen type, and the validation pictures of only those."""
    unseen = pictures.kind[:, [KINDS.index(name) for name in UNSEEN]].clip(0).sum(1)
    keep = np.flatnonzero(unseen == 0)
    train = int((keep < pictures.train).sum())
    left = np.flatnonzero((unseen > 0.99) & (np.arange(len(unseen)) >= pictures.train))

    def rows(index: np.ndarray, count: int) -> Pictures:
        kept = [part[index] for part in pictures.kept]
        own = (getattr(pictures, name)[index] for name in ("score", "kind", "severity"))
        return Pictures(pictures.name, kept, *own, count)

    return rows(keep, train), rows(left, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--biq", required=True)
    parser.add_argument("--flive", required=True)
    parser.add_argument("--pristine", required=True)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    base = Recipe(data=[args.biq, args.flive], synthetic=[Path(args.pristine)], out=args.folder, batch=256,
                  steps=args.steps, epochs=10, lr=1e-3, decay=0.05)  # fmt: skip
    torch.manual_seed(0)  # the head starts from random weights
    system = build_system(base).eval()
    head = copy.deepcopy(system.regressor)  # as it is before the stage
    load_weights(system, args.folder / "best.ckpt")
    biq, flive, synthetic = gather(base, system)
    rows = []

    def measure(name: str, trained: dict[str, Pictures], answer: Answer, looked_at: dict[str, Pictures]) -> None:
        row = {"variant": name, "trained on": " + ".join(trained)}
        row |= {key: round(srcc(answer(s)[s.train :], s.score[s.train :]), 4) for key, s in looked_at.items()}
        row |= {"left out": ", ".join(key for key in looked_at if key not in trained)}
        rows.append(row)
        print(row, flush=True)
        write(Path(__file__).with_name("left_out.csv"), rows)

    def trained_head(recipe: Recipe, sets: list[Pictures]) -> Answer:
        torch.manual_seed(0)
        best = fit_head(recipe, copy.deepcopy(head), sets)[0]
        return lambda s: predict(best, s)

    everything = {"BIQ2021": biq, "FLIVE-VOC": flive, "synthetic": synthetic}
    blank = {key: encoder_only(s) for key, s in everything.items()}
    unranked = dataclasses.replace(base, rank=0.0)
    for names in (["BIQ2021"], ["FLIVE-VOC"], ["BIQ2021", "FLIVE-VOC"]):
        rated = {key: blank[key] for key in names}
        made = rated | {"synthetic": blank["synthetic"]}
        fused = {key: everything[key] for key in made}
        measure("encoder, ridge regression", rated, ridge(list(rated.values())), blank)
        measure("encoder, head", rated, trained_head(unranked, list(rated.values())), blank)
        measure("encoder, head, ranking", rated, trained_head(base, list(rated.values())), blank)
        measure("encoder, head, ranking", made, trained_head(base, list(made.values())), blank)
        measure("fused, head, ranking", fused, trained_head(base, list(fused.values())), everything)
    seen, unseen = without(blank["synthetic"])
    chosen = {"BIQ2021": blank["BIQ2021"], "FLIVE-VOC": blank["FLIVE-VOC"], "synthetic less 5 types": seen}
    answer = trained_head(base, list(chosen.values()))
    measure("encoder, head, ranking", chosen, answer, {**chosen, "5 types never seen": unseen})


if __name__ == "__main__":
    main()
