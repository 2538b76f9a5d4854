"""The table of SRIJ: 608 grey pictures enlarged by seven methods, their originals, and the opinions of 43 people.

    python benchmarks/make/srij.py SRIJ -o srij.csv

SRIJ is the folder ``Datasets/SRIJ`` of the public repository juanpaberon/IQA_SR: ``Images``, in which
``GroundTruth`` holds the originals of 32 scenes, and two tables of MATLAB. The opinions, of about 25 to 77, are of all
pictures but the originals, which the table of names has too. Scenes of one place are one group.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.io import loadmat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("srij.csv"))
    args = parser.parse_args()
    names = [str(np.ravel(name)[0]) for name in loadmat(args.folder / "addressesSRIJ.mat")["addressesSRIJ"].ravel()]
    names = [name for name in names if not name.startswith("HD-")]
    opinions = loadmat(args.folder / "hScoresSRIJ.mat")["hScoresSRIJ"].ravel()
    with args.out.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("image", "mos", "ref", "group"))
        for name, opinion in zip(names, opinions, strict=True):
            scene = name.split("-", 2)[2]  # Dong11-2-banknotes1.tif: method, factor, scene
            group = Path(scene).stem.rstrip("0123456789")
            table.writerow((f"Images/{name}", round(float(opinion), 3), f"Images/GroundTruth/HD-1-{scene}", group))


if __name__ == "__main__":
    main()
