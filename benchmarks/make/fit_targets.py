"""Fit src/iqassay/data/targets.json: what people think of our distortions, and what the measure says of them.

    python benchmarks/make/fit_targets.py DIR [--pictures 20]

DIR holds pristine photos (we used the training references of CID22, 512x512). Every one is distorted 25 x 5 ways, the
measure is related to KADID's mean opinions by a monotone map, and the mean implied opinion is kept per kind and level.
Takes about two minutes for 20 photos on one core.
"""

import argparse
import csv
import json
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from iqassay.data import distortions, targets
from iqassay.data.distortions import KINDS, LEVELS, PARAMETERS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from spread import spread

DATA = Path(distortions.__file__).parent
# KADID's own parameters where ours differ (see distortions.PARAMETERS): its means are read off at our parameters.
KADID_PARAMETERS = {
    "gaussian_blur": (0.1, 0.5, 1, 2, 5),
    "motion_blur": (1, 2, 4, 6, 10),
    "color_saturation_2": (1, 2, 3, 6, 9),
}


def to_100(mean: float | np.ndarray) -> np.ndarray:
    """KADID's 1..5 to 0..100."""
    return (np.asarray(mean) - 1) / 4 * 100


def priors() -> tuple[dict[str, np.ndarray], float]:
    """Mean opinion (0..100) of each of our kinds at levels 1..5, and of a picture with nothing done to it."""
    means: dict[str, np.ndarray] = {kind: np.zeros(5) for kind in KINDS}
    with open(DATA / "kadid_means.csv", newline="") as f:
        for row in csv.DictReader(f):
            means[row["kind"]][int(row["level"]) - 1] = to_100(float(row["mean"]))
    out = dict(means)
    for kind, parameters in KADID_PARAMETERS.items():
        out[kind] = np.interp(PARAMETERS[kind], parameters, means[kind])

    # KADID's levels of these two run through zero; ours are a size with a random sign, so both signs are averaged.
    shift = means["mean_shift"]  # at +0.15, +0.08, 0, -0.08, -0.15
    size = PARAMETERS["mean_shift"]
    out["mean_shift"] = (
        np.interp(size, [0, 0.08, 0.15], shift[[2, 1, 0]]) + np.interp(size, [0, 0.08, 0.15], shift[[2, 3, 4]])
    ) / 2
    contrast = means["contrast_change"]  # at +0.3, +0.15, 0, -0.4, -0.6; nothing happens at -0.2
    size = PARAMETERS["contrast_change"]  # shares of the way to +0.3 and to -0.6
    up = np.interp(size, [0, 0.4, 0.7, 1], [shift[2], *contrast[[2, 1, 0]]])
    down = np.interp(size, [0, 0.5, 1], [shift[2], *contrast[[3, 4]]])
    out["contrast_change"] = (up + down) / 2

    # Blur of 0.1, motion of 1, saturation x1 and shift 0 leave a picture as it is.
    untouched = np.mean([means[kind][0] for kind in KADID_PARAMETERS] + [shift[2]])
    return {kind: np.minimum(values, untouched) for kind, values in out.items()}, float(untouched)


def measures(pictures: list[Path]) -> np.ndarray:
    """The measure of every picture, kind and level: (pictures, 25, 5). Pictures are rounded to 8 bits as in a file."""
    out = np.zeros((len(pictures), len(KINDS), len(LEVELS)))
    for i, path in enumerate(pictures):
        image = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
        for j, kind in enumerate(KINDS):
            for k, level in enumerate(LEVELS):
                rng = np.random.default_rng(zlib.crc32(f"{path.name} {kind} {level}".encode()))
                distorted = np.rint(distortions.distort(image, kind, level, rng) * 255) / np.float32(255)
                out[i, j, k] = targets.full_reference(image, distorted)
    return out


def monotone_map(measure: np.ndarray, opinion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots of a non-decreasing map: the best tenth of the measures becomes the best tenth of the opinions, and so on.

    Least squares would pull every value towards the middle, and no picture would ever be called excellent or ruined.
    """
    shares = np.linspace(0.02, 0.98, 17)
    return np.quantile(measure, shares), np.quantile(opinion, shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--pictures", type=int, default=20)
    arguments = parser.parse_args()
    found = sorted(arguments.dir.glob("*.png"))
    # One alone says nothing of how pictures differ.
    pictures = spread(found, arguments.pictures, f"PNG pictures in {arguments.dir}", least=2)
    prior, untouched = priors()
    measure = measures(pictures)
    opinion = np.broadcast_to(np.stack([prior[kind] for kind in KINDS]), measure.shape)
    x, y = monotone_map(measure.ravel(), opinion.ravel())
    # The ends: nothing in common is 0; identical is what KADID's raters gave to pictures with nothing done to them.
    x, y = np.concatenate([[0], x, [1]]), np.concatenate([[0], y, [untouched]])
    implied = np.interp(measure, x, y).mean(axis=0)
    result = {
        "source": "benchmarks/make/fit_targets.py over kadid_means.csv",
        "pictures": len(pictures),
        "measure": x.round(4).tolist(),
        "opinion": y.round(2).tolist(),
        "prior": {kind: prior[kind].round(2).tolist() for kind in KINDS},
        "implied": {kind: implied[j].round(2).tolist() for j, kind in enumerate(KINDS)},
    }
    lines = [f'"{key}": {json.dumps(value)}' for key, value in result.items() if not isinstance(value, dict)]
    for key in ("prior", "implied"):
        rows = ",\n".join(f'  "{kind}": {json.dumps(values)}' for kind, values in result[key].items())
        lines.append(f'"{key}": {{\n{rows}\n}}')
    (DATA / "targets.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    residual = np.interp(measure, x, y) - opinion
    print(f"{len(pictures)} pictures, root mean square error of the map {np.sqrt((residual**2).mean()):.1f} points")
    deviation = np.interp(measure, x, y).std(axis=0, ddof=1).mean()
    print(f"deviation of the implied opinion between pictures of one kind and level: {deviation:.1f} points on average")


if __name__ == "__main__":
    main()
