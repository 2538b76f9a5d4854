"""Learn what iqassay.measures.natural measures with: src/iqassay/measures/{niqe,brisque}.npz.

    python benchmarks/make/train_natural.py niqe PRISTINE [--names cid clic]
    python benchmarks/make/train_natural.py brisque CSV --images DIR --synthetic PRISTINE [--cache DIR]

niqe: the features of the sharp patches of clean photos, as in the authors' estimatemodelparam: those above 0.75 of the
sharpest patch of their photo. No opinion has a part in it. Ours: CID22's training references and CLIC's photos, without
those that training holds out (``sets.held_out`` of PRISTINE, which may hold others too).

brisque: ridge regression with a Gaussian kernel on the standardised features, on about 1,300 of the training pictures
(Nystroem). Trained on the split "train" of the CSV (ours: BIQ2021) and on synthetic pictures of the clean photos that
training does not hold out. Photos as people take them hold hardly any heavy noise or blocks: without synthetic ones,
what is said of those is the mean. Width and smoothness by SRCC on "val"; the weight of a synthetic picture is the
largest that costs less than 0.01 there.
Prints all that was tried. Takes half an hour on two cores, with --cache seconds.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from iqassay.data.ratings import read_ratings
from iqassay.data.synthetic import SyntheticConfig, pristine_files, render
from iqassay.measures import natural
from iqassay.pictures.image import read_image
from iqassay.statistics.correlation import plcc, srcc
from iqassay.training.sets import held_out

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from spread import spread

HERE = Path(natural.__file__).parent
SHARP = 0.75
WIDTHS, RIDGES, WEIGHTS = (0.01, 0.02, 0.04), (0.01, 0.03), (0.0, 0.02, 0.05, 0.1, 0.3)
PHOTOS, MADE = 1000, 300  # support points
COST = 0.01


# --- NIQE ---------------------------------------------------------------------------------------------------


def niqe(arguments: argparse.Namespace) -> None:
    files = pristine_files([arguments.pristine])
    clean = [f for f in files if f.name.startswith(tuple(arguments.names)) and f not in held_out(files)]
    if not clean:
        raise SystemExit(
            f"got {len(files)} photos, none called {', '.join(arguments.names)}... and not held out, want some"
        )
    with ProcessPoolExecutor(2) as pool:
        features = np.concatenate(list(pool.map(sharp_features, clean, chunksize=8)))
    np.savez(HERE / "niqe.npz", mean=features.mean(0), covariance=np.cov(features.T))
    print(f"niqe.npz: {len(features)} patches of {len(clean)} photos")


def sharp_features(file: Path) -> np.ndarray:
    features, sharpness = natural.niqe_features(read_image(file).pixels)
    features = features[sharpness > SHARP * sharpness.max()]
    return features[~np.isnan(features).any(1)]


# --- BRISQUE ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Set:
    """features (N, 36) and score (N,), 0..100."""

    features: np.ndarray
    score: np.ndarray


def brisque(arguments: argparse.Namespace) -> None:
    train, val = (rated(arguments, split) for split in ("train", "val"))
    made, unseen = synthetic(arguments)
    best = {}
    for weight, width, ridge in product(WEIGHTS, WIDTHS, RIDGES):
        model = fitted(train, made, weight, width, ridge)
        said, of_made = (natural.regressed(one.features, model) for one in (val, unseen))
        agree = srcc(said, val.score)
        print(
            f"weight {weight} width {width} ridge {ridge}: val SRCC {agree:.4f} PLCC {plcc(said, val.score):.4f}, "
            f"synthetic SRCC {srcc(of_made, unseen.score):.3f}",
            flush=True,
        )
        best[weight] = max(best.get(weight, (0.0, {}, "")), (agree, model, f"width {width} ridge {ridge}"), key=first)
    enough = max(agree for agree, *_ in best.values()) - COST
    weight = max(weight for weight, (agree, *_) in best.items() if agree > enough)
    np.savez(HERE / "brisque.npz", **best[weight][1])
    print(f"brisque.npz: weight {weight} {best[weight][2]}, val SRCC {best[weight][0]:.4f}")


def first(found: tuple[float, dict[str, np.ndarray], str]) -> float:
    return found[0]


def fitted(train: Set, made: Set, weight: float, width: float, ridge: float) -> dict[str, np.ndarray]:
    """The parameters of ``natural.regressed``, in the precision they are kept in."""
    x = natural.spread_out(train.features)
    model = {"mean": x.mean(0).astype(np.float32), "deviation": x.std(0).astype(np.float32)}
    rows = [(natural.spread_out(one.features) - model["mean"]) / model["deviation"] for one in (train, made)]
    few = [spread(rows[0], PHOTOS, "rated photos"), spread(rows[1], MADE, "synthetic pictures")]
    support = np.concatenate(few).astype(np.float16)
    kernel = [np.exp(-width * cdist(x, support, "sqeuclidean")) for x in (*rows, support)]
    total = len(train.score) + weight * len(made.score)
    offset = (train.score.sum() + weight * made.score.sum()) / total
    gram = kernel[0].T @ kernel[0] + weight * kernel[1].T @ kernel[1] + ridge * kernel[2] + 1e-8 * np.eye(len(support))
    target = kernel[0].T @ (train.score - offset) + weight * kernel[1].T @ (made.score - offset)
    weights = np.linalg.solve(gram, target)
    return {**model, "support": support, "weights": weights, "width": np.array(width), "offset": np.array(offset)}


def rated(arguments: argparse.Namespace, split: str) -> Set:
    rows = read_ratings(arguments.csv, arguments.images).split(split).rows
    features = kept(arguments.cache / f"brisque-{arguments.csv.stem}-{split}.npy", [row.image for row in rows])
    return Set(features, np.array([row.score for row in rows]))


def synthetic(arguments: argparse.Namespace) -> tuple[Set, Set]:
    """Pictures to train on, and fewer of photos held out."""
    files = pristine_files([arguments.synthetic])
    held = held_out(files)
    sets = []
    for photos, count, seed in (([f for f in files if f not in held], 2400, 0), (held, 300, 1)):
        made = render(photos, SyntheticConfig(count, seed=seed), arguments.cache)
        features = kept(arguments.cache / f"brisque-synthetic-{count}.npy", made.pixels)
        some = ~np.isnan(features).any(1)
        sets.append(Set(features[some], made.score[some]))
    return sets[0], sets[1]


def kept(file: Path, pictures: list[Path] | np.ndarray) -> np.ndarray:
    """The features of pictures, from the cache when they are there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2) as pool:
            np.save(file, np.array(list(pool.map(features_of, pictures, chunksize=16))))
    return np.load(file)


def features_of(picture: Path | np.ndarray) -> np.ndarray:
    """nan for a picture of one colour, which some distortions make."""
    try:
        return natural.brisque_features(read_image(picture).pixels)
    except ValueError as error:
        if "one colour" not in str(error):
            raise
        return np.full(36, np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True)
    one = what.add_parser("niqe")
    one.add_argument("pristine", type=Path)
    one.add_argument("--names", nargs="*", default=[""], help="take photos whose names start so")
    one.set_defaults(run=niqe)
    one = what.add_parser("brisque")
    one.add_argument("csv", type=Path, help="rated photos with the splits train and val")
    one.add_argument("--images", type=Path)
    one.add_argument("--synthetic", type=Path, required=True, metavar="PRISTINE", help="the clean photos of training")
    one.add_argument("--cache", type=Path, default=Path("runs/cache"))
    one.set_defaults(run=brisque)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
