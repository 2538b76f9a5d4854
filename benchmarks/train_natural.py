"""Learn what iqassay.bench.natural measures with.

    python benchmarks/train_natural.py niqe PRISTINE [--names cid clic]

niqe: the features of the sharp patches of clean photos, as in the authors' estimatemodelparam: those above 0.75 of the
sharpest patch of their photo. No opinion has a part in it. Ours: CID22's training references and CLIC's photos, without
those that training holds out (``fit.held_out`` of PRISTINE, which may hold others too).
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from iqassay.bench import natural
from iqassay.data.synthetic import pristine_files
from iqassay.image import read_image
from iqassay.training.fit import held_out

HERE = Path(natural.__file__).parent
SHARP = 0.75


def niqe(arguments: argparse.Namespace) -> None:
    files = pristine_files([arguments.pristine])
    kept = [f for f in files if f.name.startswith(tuple(arguments.names)) and f not in held_out(files)]
    with ProcessPoolExecutor(2) as pool:
        features = np.concatenate(list(pool.map(sharp_features, kept, chunksize=8)))
    np.savez(HERE / "niqe.npz", mean=features.mean(0), covariance=np.cov(features.T))
    print(f"niqe.npz: {len(features)} patches of {len(kept)} photos")


def sharp_features(file: Path) -> np.ndarray:
    features, sharpness = natural.niqe_features(read_image(file).pixels)
    features = features[sharpness > SHARP * sharpness.max()]
    return features[~np.isnan(features).any(1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True)
    one = what.add_parser("niqe")
    one.add_argument("pristine", type=Path)
    one.add_argument("--names", nargs="*", default=[""], help="take photos whose names start so")
    one.set_defaults(run=niqe)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
