"""Which frozen encoder is worth its milliseconds: one ridge regression on each, and on pairs of them.

    python benchmarks/ablations/encoder_table.py --data CSV[:FOLDER[:WORST..BEST]] [--data ...]
        [--new CSV:FOLDER:WORST..BEST ...] [--native CSV:FOLDER:WORST..BEST ...]

A picture is described by mean and deviation of every channel of an encoder's four levels: EfficientNet-Lite at native
size (as the scorer's whole view), and shrunk whole to 224 pixels; the vision transformers' tokens, shrunk to 224. The
regression learns the ``train`` rows of --data and answers for their ``val`` rows and for the sets of --new and
--native, which it has not seen. It is fitted on both --data sets, on each alone, and on both together with each new
set, which then answers by folds of whole groups (scenes, near-duplicates). Every set's opinions are standardised, and
the penalty is chosen inside the training rows. --native: large pictures whose quality lies at native pixels, of which
the middle is taken. Milliseconds: one picture of 512x384, one thread, float32, the least of five.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time
from collections.abc import Callable, Sequence
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
from iqassay.systems.vision_transformer import VisionTransformer
from iqassay.training.onnx_pass import whole_view

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from middle import middle
from rows import write_rows

VIEW = 224
PENALTIES = 10.0 ** np.arange(-3, 2.5, 0.5)  # relative to the number of pictures
FOLDS = 5
WAYS = {  # an encoder, and the side that a picture is shrunk to, 0 for native size
    "lite0": ("efficientnet_lite0", 0),
    "lite0 at 224": ("efficientnet_lite0", VIEW),
    "dinov2": ("dinov2_vit_s14", VIEW),
    "clip": ("clip_vit_b16", VIEW),
}
SINGLE = [(name,) for name in WAYS]
PAIRS = [("lite0", "lite0 at 224"), ("lite0", "dinov2"), ("lite0", "clip"), ("dinov2", "clip")]


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
    y = {name: _standardised([r.score for r in part]) for name, part in rows.items()}
    split = {name: np.array([name in trained and r.split == "train" for r in part]) for name, part in rows.items()}
    costs = {name: _milliseconds(name) for name in WAYS}
    described = {way: {n: _described(way, n, part, n in native, args.work) for n, part in rows.items()} for way in WAYS}

    found = []
    for ways in SINGLE + PAIRS:
        x = {name: np.concatenate([described[way][name] for way in ways], 1) for name in rows}
        mixes = [tuple(trained), *((one,) for one in trained if len(trained) > 1)]
        mixes += [(*trained, one) for one in new]
        for mix in mixes:
            known = [one for one in mix if one in trained]
            base = [(x[n][split[n]], y[n][split[n]]) for n in known]
            extra = [n for n in mix if n in new]
            answers = {}
            fitted = _ridge(base + [(x[n], y[n]) for n in extra])
            for name in rows:
                judged = ~split[name]
                if name in extra:
                    said = np.empty(len(rows[name]))
                    for fold in _folds(rows[name]):
                        said[fold] = _ridge([*base, (x[name][~fold], y[name][~fold])])(x[name][fold])
                    answers[name] = said
                else:
                    answers[name] = fitted(x[name][judged])
                of = [r.group or r.image.name for r, counts in zip(rows[name], judged, strict=True) if counts]
                low, high = bootstrap(answers[name], y[name][judged], groups=of)
                found.append(
                    {
                        "encoders": " + ".join(ways),
                        "ms": round(sum(costs[way] for way in ways), 1),
                        "trained on": " + ".join(mix),
                        "judged on": name,
                        "srcc": round(srcc(answers[name], y[name][judged]), 4),
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


def _folds(rows: Sequence[Rating]) -> list[np.ndarray]:
    """Masks of the rows of each fold, whole groups together."""
    groups = sorted({r.group or r.image.name for r in rows})
    order = np.random.default_rng(0).permutation(len(groups))
    number = {group: int(k) % FOLDS for group, k in zip(groups, order, strict=True)}
    fold = np.array([number[r.group or r.image.name] for r in rows])
    return [fold == k for k in range(FOLDS)]


def _ridge(sets: list[tuple[np.ndarray, np.ndarray]]) -> Callable[[np.ndarray], np.ndarray]:
    """Answers of a ridge regression on standardised statistics, in its dual form: as many unknowns as pictures."""
    x, y = np.concatenate([part[0] for part in sets]).astype(np.float64), np.concatenate([part[1] for part in sets])
    centre, scale = x.mean(0), x.std(0) + 1e-6
    z = np.clip((x - centre) / scale, -6, 6) / x.shape[1] ** 0.5
    kernel = z @ z.T
    held = np.random.default_rng(0).random(len(y)) < 0.2
    values, vectors = linalg.eigh(kernel[np.ix_(~held, ~held)])
    turned = vectors.T @ y[~held]
    errors = [
        np.mean((kernel[np.ix_(held, ~held)] @ (vectors @ (turned / (values + p))) - y[held]) ** 2) for p in PENALTIES
    ]
    penalty = PENALTIES[int(np.argmin(errors))]
    weight = z.T @ linalg.solve(kernel + penalty * np.eye(len(y)), y, assume_a="pos")
    return lambda other: (np.clip((other - centre) / scale, -6, 6) / x.shape[1] ** 0.5) @ weight


class Described(torch.nn.Module):
    """Mean and deviation of every channel of the four levels of an encoder, (B, 3, H, W) -> (B, 2 sum C)."""

    def __init__(self, way: str) -> None:
        super().__init__()
        name, self.side = WAYS[way]
        self.network = encoder(name).eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.side:
            x = shrink_to(x, self.side)
        if isinstance(self.network, VisionTransformer):
            return pool_statistics([t[:, 1:].transpose(1, 2)[..., None] for t in self.network.tokens(x)])
        return pool_statistics(self.network.encode(x))


@torch.inference_mode()
def _described(way: str, name: str, rows: Sequence[Rating], native: bool, work: Path) -> np.ndarray:
    digest = hashlib.sha256("\n".join([way, *(str(r.image) for r in rows)]).encode()).hexdigest()[:12]
    file = work / f"{name}-{digest}.npy"
    if file.exists():
        return np.load(file)
    network, out = Described(way), []
    for i, row in enumerate(rows):
        source = middle(row.image) if native else row.image
        out.append(network(torch.from_numpy(whole_view(source)))[0].numpy())
        if i % 500 == 0:
            print(f"{way}, {name}: {i} of {len(rows)}", file=sys.stderr, flush=True)
    work.mkdir(parents=True, exist_ok=True)
    np.save(file, np.stack(out))
    return np.stack(out)


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
