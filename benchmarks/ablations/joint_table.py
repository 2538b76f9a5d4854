"""Joint training against each mode alone, and the parts of YOTO's paper, on the kept tokens of a fixed encoder.

    python benchmarks/ablations/joint_table.py --data CSV[:FOLDER[:WORST..BEST]] [--data ...] --synthetic FOLDER
        [--steps 600] [--seeds 5] [--work runs/joint_table] [-o joint_table.csv]

What is trained is the published network and nothing of ours, in the light configuration, from its embedding on:
LayerNorm of the tokens, channel attention, HA, SDA, merge and head. The encoder is EfficientNet-Lite0 as it comes,
whose levels are kept once for the middle 256x256 pixels of every picture, pooled to one token for every 32x32 pixels.
So a training takes a minute or two, and there are many.

--data are rated pictures without references (``train`` to learn, ``val`` to judge); --synthetic are clean photos, of
which pairs are made, once of 24 photos and once of all, and pairs of photos held out to judge. Every training has
--steps batches of each of its modes: joint training takes turns and so lasts twice as long as a mode alone. The table
has the SRCC of every training; what is printed are differences from "joint" with the same seed: their mean, their
deviation over sqrt(seeds), and the difference that so many seeds would show four times in five (2.8 of these).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iqassay.data.opening import open_set
from iqassay.data.pipeline import standard_of
from iqassay.data.synthetic import SyntheticConfig, pristine_files, render
from iqassay.statistics.correlation import srcc
from iqassay.systems.yoto import YOTO, YOTOConfig
from iqassay.training.losses import SetScales, ranking_loss, score_loss
from iqassay.training.sets import held_out

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle

SIDE, FEW, BATCH = 256, 24, 24
POOL = (8, 4, 2, 1)  # at every level a token is of 32x32 pixels
PAIRS, JUDGED = 3000, 600
Levels = list[np.ndarray]  # of pictures, (N, C, h, w) float16 each
ARMS: dict[str, dict] = {  # what differs from joint training of the whole network on all contents
    "joint": {},
    "no-reference alone": {"modes": ("no-reference",)},
    "full-reference alone": {"modes": ("full-reference",)},
    "joint, 24 contents": {"few": True},
    "full-reference alone, 24 contents": {"modes": ("full-reference",), "few": True},
    "difference instead of HA": {"adapter": "difference"},
    "concatenation instead of HA": {"adapter": "concat"},
    "no SDA": {"sda": False},
    "no windows": {"windows": False},
    "no segments": {"segments": False},
}


@dataclasses.dataclass
class Kept:
    """Pooled levels of pictures, and of their references where they have any; scores (N,)."""

    pictures: Levels
    references: Levels | None
    score: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--synthetic", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=3000, help="train rows of each rated set")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/joint_table"))
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    rated = {}
    for argument in args.data:
        ratings = open_set(argument)
        parts = ratings.split("train").rows[: args.limit], ratings.split("val").rows
        crops = [[square(row.image) for row in rows] for rows in parts]
        rated[ratings.name] = [
            Kept(levels(c, args.work / f"{ratings.name}-{k}"), None, np.array([r.score for r in rows]))
            for k, c, rows in zip(("train", "val"), crops, parts, strict=True)
        ]
    files = pristine_files([args.synthetic])
    held = held_out(files)
    free = [file for file in files if file not in held]
    pairs = {
        "few": made(free[:: max(1, len(free) // FEW)][:FEW], PAIRS, 0, args.work),
        "all": made(free, PAIRS, 0, args.work),
        "val": made(held, JUDGED, 1, args.work),
    }
    found = []
    for seed in range(args.seeds):
        for arm, changes in ARMS.items():
            network = train(rated, pairs, args.steps, seed, **changes)
            modes = changes.get("modes", ("no-reference", "full-reference"))
            judged = {name: parts[1] for name, parts in rated.items()} if "no-reference" in modes else {}
            judged |= {"pairs": pairs["val"]} if "full-reference" in modes else {}
            for name, kept in judged.items():
                row = {
                    "arm": arm,
                    "seed": seed,
                    "set": name,
                    "srcc": round(srcc(answers(network, kept), kept.score), 4),
                }
                found.append(row)
                print(row, flush=True)
            with args.out.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(found[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(found)
    report(found)


def train(
    rated: dict[str, list[Kept]],
    pairs: dict[str, Kept],
    steps: int,
    seed: int,
    modes: tuple[str, ...] = ("no-reference", "full-reference"),
    few: bool = False,
    **switches: object,
) -> YOTO:
    """A network after so many batches of each of its modes, by turns."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = YOTO(YOTOConfig(pretrained=False, pool=POOL, **switches))  # type: ignore[arg-type]  # its encoder is not asked
    sets = [[parts[0] for parts in rated.values()], [pairs["few" if few else "all"]]]
    chosen = [k for k, mode in enumerate(("no-reference", "full-reference")) if mode in modes]
    standards = [standard_of(kept.score) for group in sets for kept in group]
    scales = SetScales(standards)
    learned = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
    optimizer = torch.optim.AdamW([*learned, *scales.parameters()], 1e-3, weight_decay=0.05)
    total = steps * len(chosen)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=total, pct_start=0.1)
    network.train()
    for step in range(total):
        mode = chosen[step % len(chosen)]
        number = int(rng.integers(len(sets[mode])))
        kept, index = sets[mode][number], number + (len(sets[0]) if mode else 0)
        rows = np.sort(rng.choice(len(kept.score), BATCH, replace=False))
        mean, deviation = standards[index]
        target = torch.from_numpy((kept.score[rows] - mean) / deviation).float()
        dataset = torch.full((BATCH,), index)
        raw = said(network, kept, rows)
        loss = score_loss(scales(raw, dataset), target) + 0.5 * ranking_loss(raw, target, dataset)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def said(network: YOTO, kept: Kept, rows: np.ndarray) -> Tensor:
    """The paper's scores of some pictures, beside their references where they have any, (B,)."""
    x = network.embedded(_batch(kept.pictures, rows))
    r = x if kept.references is None else network.embedded(_batch(kept.references, rows))
    paired = x[0].new_tensor(float(kept.references is not None))
    return network.head(network.merged(x, r, paired)).mean()


@torch.no_grad()
def answers(network: YOTO, kept: Kept) -> np.ndarray:
    parts = np.array_split(np.arange(len(kept.score)), 1 + len(kept.score) // 128)
    return np.concatenate([said(network, kept, part).numpy() for part in parts])


def _batch(held: Levels, rows: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(level[rows]).float() for level in held]


def made(files: list[Path], count: int, seed: int, work: Path) -> Kept:
    """Synthetic pairs of these photos."""
    pictures = render(files, SyntheticConfig(count=count, seed=seed, size=SIDE), work)
    name = f"pairs-{len(files)}-{count}-{seed}"
    both = [levels(list(p), work / f"{name}-{k}") for k, p in enumerate((pictures.pixels, pictures.reference))]
    return Kept(*both, pictures.pair_score)


def square(file: Path) -> np.ndarray:
    """The middle 256x256 pixels of a picture; of a smaller one all, repeated at its edges."""
    pixels = middle(file, (SIDE, SIDE))
    missing = [SIDE - side for side in pixels.shape[:2]]
    return np.pad(pixels, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="edge")


def levels(pictures: list[np.ndarray], folder: Path) -> Levels:
    """The encoder's pooled levels of pictures of 256x256, kept in files of a folder."""
    if not (folder / "3.npy").exists():
        network, found = YOTO(YOTOConfig(pool=POOL)).eval(), []
        for start in range(0, len(pictures), 16):
            x = torch.from_numpy(np.stack(pictures[start : start + 16])).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                found.append([f.half().numpy() for f in network.pooled(network.encode(x))])
            if start % 512 == 0:
                print(f"{folder.name}: {start} of {len(pictures)}", file=sys.stderr, flush=True)
        folder.mkdir(exist_ok=True)
        for k, parts in enumerate(zip(*found, strict=True)):
            np.save(folder / f"{k}.npy", np.concatenate(parts))
    return [np.load(folder / f"{k}.npy", mmap_mode="r") for k in range(4)]


def report(found: list[dict]) -> None:
    """Differences from joint training, over the seeds."""
    reached: dict = defaultdict(dict)
    for row in found:
        reached[row["arm"], row["set"]][row["seed"]] = row["srcc"]
    for (arm, name), by_seed in reached.items():
        base = reached["joint", name]
        apart = np.array([value - base[seed] for seed, value in by_seed.items()])
        error = float(apart.std(ddof=1) / len(apart) ** 0.5) if len(apart) > 1 else float("nan")
        level = np.mean(list(by_seed.values()))
        print(f"{arm:36} {name:12} {level:.3f}, from joint {apart.mean():+.4f} +- {error:.4f}, seen {2.8 * error:.4f}")


if __name__ == "__main__":
    main()
