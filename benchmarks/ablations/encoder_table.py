"""Which frozen encoder is worth its milliseconds: one ridge regression on each, and on several together.

    python benchmarks/ablations/encoder_table.py --data CSV[:FOLDER[:WORST..BEST]] [--data ...]
        [--new CSV:FOLDER:WORST..BEST ...] [--native CSV:FOLDER:WORST..BEST ...]

A picture is described by mean and deviation of every channel of an encoder's four levels: EfficientNet-Lite at native
size (as the scorer's whole view), and shrunk whole to 224 pixels; the vision transformers' tokens, shrunk to 224 and
seen in bfloat16; and CLIP's embedding by itself, which is what DRI-IQA has of it. The regression learns the ``train``
rows of --data and answers for their ``val`` rows and for the sets of --new and --native, which it has not seen. It is
fitted on both --data sets, on each alone, and on both together with each new set, which then answers by folds of whole
groups (scenes, near-duplicates). Every set's opinions are standardised, and the penalty is chosen inside the training
rows of --data. --native: large pictures whose quality lies at native pixels, of which the middle is taken.
Milliseconds: one picture of 512x384, one thread, float32, the least of five.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from iqassay.data.opening import open_set
from iqassay.data.rating import Rating
from iqassay.statistics.correlation import bootstrap, srcc
from iqassay.systems.blocks import pool_statistics, shrink_to
from iqassay.systems.encoders import encoder
from iqassay.systems.vision_transformer import MEANING, VisionTransformer
from iqassay.training.whole_pass import whole_view

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle
from rows import write_rows

VIEW = 224
PENALTIES = 10.0 ** np.arange(-3, 2.5, 0.5)  # relative to the number of pictures
FOLDS = 5
ALL = slice(None)
WAYS = {  # an encoder, the side that a picture is shrunk to (0 for native size), and which of the numbers
    "lite0": ("efficientnet_lite0", 0, ALL),
    "lite0 at 224": ("efficientnet_lite0", VIEW, ALL),
    "dinov2": ("dinov2_vit_s14", VIEW, ALL),
    "clip": ("clip_vit_b16", VIEW, slice(-MEANING)),
    "clip embedding": ("clip_vit_b16", VIEW, slice(-MEANING, None)),
}
SINGLE = [(name,) for name in WAYS]
SEVERAL = [
    ("lite0", "lite0 at 224"),
    ("lite0", "dinov2"),
    ("lite0", "clip"),
    ("lite0", "clip embedding"),
    ("lite0", "clip", "clip embedding"),
    ("dinov2", "clip"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--new", action="append", default=[])
    parser.add_argument("--native", action="append", default=[])
    parser.add_argument("--limit", type=int, default=2000, help="train rows of each set")
    parser.add_argument("--work", type=Path, default=Path("runs/encoder_table"))
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    rows, trained, new = {}, [], []
    for argument in args.data:
        ratings = open_set(argument)
        rows[ratings.name] = [*ratings.split("train").rows[: args.limit], *ratings.split("val").rows]
        trained.append(ratings.name)
    for argument in args.new + args.native:
        ratings = open_set(argument)
        rows[ratings.name] = list(ratings.rows)
        new.append(ratings.name)
    native = {Path(argument.split(":")[0]).stem for argument in args.native}
    costs = {seen: _milliseconds(way) for seen, way in {WAYS[way][:2]: way for way in WAYS}.items()}
    described = {way: [_described(way, n, part, n in native, args.work) for n, part in rows.items()] for way in WAYS}

    everything = [(name, row) for name, part in rows.items() for row in part]
    of = np.array([name for name, _ in everything])
    group = np.array([row.group or row.image.name for _, row in everything])
    learned = np.array([name in trained and row.split == "train" for name, row in everything])
    y = np.concatenate([_standardised([r.score for r in part]) for part in rows.values()])
    found = []
    for ways in SINGLE + SEVERAL:
        x = np.concatenate([np.concatenate(described[way]) for way in ways], 1)
        ridge = Ridge(x, y, learned)
        mixes = [tuple(trained), *((one,) for one in trained if len(trained) > 1)]
        mixes += [(*trained, one) for one in new]
        for mix in mixes:
            known = learned & np.isin(of, mix)
            fitted = ridge.answers(known | (np.isin(of, mix) & np.isin(of, new)), known)
            for name in rows:
                judged = (of == name) & ~learned
                answers = fitted
                if name in mix and name in new:
                    answers = np.empty(len(y))
                    for fold in _folds(of == name, group):
                        answers[fold] = ridge.answers(known | ((of == name) & ~fold), known)[fold]
                low, high = bootstrap(answers[judged], y[judged], groups=group[judged])
                found.append(
                    {
                        "encoders": " + ".join(ways),
                        "ms": round(sum(costs[seen] for seen in {WAYS[way][:2] for way in ways}), 1),
                        "trained on": " + ".join(mix),
                        "judged on": name,
                        "srcc": round(srcc(answers[judged], y[judged]), 4),
                        "low": round(low, 4),
                        "high": round(high, 4),
                    }
                )
        shown = [r for r in found if r["encoders"] == " + ".join(ways) and r["trained on"] == " + ".join(trained)]
        print(f"{' + '.join(ways):24} {shown[0]['ms']:7} ms", *(f"{r['judged on']} {r['srcc']:.3f}" for r in shown))
        write_rows(args.out, found)


def _standardised(scores: Sequence[float]) -> np.ndarray:
    values = np.array(scores)
    return (values - values.mean()) / values.std()


def _folds(of_set: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Masks of the pictures of each fold of a set, whole groups together."""
    groups = sorted(set(group[of_set]))
    order = np.random.default_rng(0).permutation(len(groups))
    number = {name: int(k) % FOLDS for name, k in zip(groups, order, strict=True)}
    fold = np.array([number[name] if inside else -1 for name, inside in zip(group, of_set, strict=True)])
    return [fold == k for k in range(FOLDS)]


class Ridge:
    """Ridge regressions of opinions (N,) on statistics (N, D), standardised by the ``learned`` pictures, in their dual
    form: one kernel of all pictures, and as many unknowns as pictures that are learned from."""

    def __init__(self, x: np.ndarray, y: np.ndarray, learned: np.ndarray) -> None:
        centre, scale = x[learned].mean(0), x[learned].std(0) + 1e-6
        z = np.clip((x - centre) / scale, -6, 6).astype(np.float32) / x.shape[1] ** 0.5
        self.kernel, self.y = (z @ z.T).astype(np.float64), y
        self.penalties: dict[bytes, float] = {}

    def answers(self, train: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Of all pictures, by those of the mask ``train``; the penalty is chosen on a fifth of the mask ``known``."""
        key, rows = known.tobytes(), np.flatnonzero(train)
        if key not in self.penalties:
            self.penalties[key] = self._penalty(np.flatnonzero(known))
        inside = self.kernel[np.ix_(rows, rows)] + self.penalties[key] * np.eye(len(rows))
        return self.kernel[:, rows] @ linalg.solve(inside, self.y[rows], assume_a="pos")

    def _penalty(self, known: np.ndarray) -> float:
        held = np.random.default_rng(0).random(len(known)) < 0.2
        rows, asked = known[~held], known[held]
        values, vectors = linalg.eigh(self.kernel[np.ix_(rows, rows)])
        turned, across = vectors.T @ self.y[rows], self.kernel[np.ix_(asked, rows)] @ vectors
        errors = [np.mean((across @ (turned / (values + p)) - self.y[asked]) ** 2) for p in PENALTIES]
        return float(PENALTIES[int(np.argmin(errors))])


class Described(torch.nn.Module):
    """Mean and deviation of every channel of the four levels of an encoder, (B, 3, H, W) -> (B, 2 sum C); of one that
    has an embedding, this too, behind them."""

    def __init__(self, way: str) -> None:
        super().__init__()
        name, self.side, _ = WAYS[way]
        self.network = encoder(name).eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.side:
            x = shrink_to(x, self.side)
        if isinstance(self.network, VisionTransformer):
            tokens = [t.float() for t in self.network.tokens(x.to(self.network.cls.dtype))]
            found = pool_statistics([t[:, 1:].transpose(1, 2)[..., None] for t in tokens])
            if not self.network.shape.embedding:
                return found
            embedding = self.network.embed(tokens[-1].to(self.network.cls.dtype))
            return torch.cat([found, embedding.float()], 1)
        return pool_statistics(self.network.encode(x))


@torch.inference_mode()
def _described(way: str, name: str, rows: Sequence[Rating], native: bool, work: Path) -> np.ndarray:
    *encoder_and_side, part = WAYS[way]
    named = "\n".join([*map(str, encoder_and_side), *(str(r.image) for r in rows)])
    file = work / f"{name}-{hashlib.sha256(named.encode()).hexdigest()[:12]}.npy"
    if file.exists():
        return np.load(file)[:, part]
    network, out = Described(way), []
    if isinstance(network.network, VisionTransformer):
        network.bfloat16()
    for i, row in enumerate(rows):
        source = middle(row.image) if native else row.image
        out.append(network(torch.from_numpy(whole_view(source)))[0].numpy())
        if i % 500 == 0:
            print(f"{way}, {name}: {i} of {len(rows)}", file=sys.stderr, flush=True)
    work.mkdir(parents=True, exist_ok=True)
    np.save(file, np.stack(out))
    return np.stack(out)[:, part]


@torch.inference_mode()
def _milliseconds(way: str) -> float:
    network, x, times = Described(way), torch.rand(1, 3, 384, 512), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in itertools.repeat(None, 6):
        start = time.perf_counter()
        network(x)
        times.append(1000 * (time.perf_counter() - start))
    torch.set_num_threads(threads)
    return min(times[1:])


if __name__ == "__main__":
    main()
