"""What it costs a picture that its parts lie a little beside its reference's, which is bent to it, and if it were not.

    pip install scipy
    python benchmarks/checks/displaced.py [--photos FOLDER] [-o displaced.csv]

Every photo is displaced by as much as the table says, by bicubic interpolation; FOLDER is that of the examples unless
another is given. Scores from 0 to 100: of YOTO as it ships, and as it compares place by place; SSIM and HaarPSI beside
it, which are from 0 to 1, times a hundred. Means over the photos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from iqassay.measures.measure import function_of
from iqassay.pictures.image import read_image
from iqassay.scoring.scorer import Scorer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
from rows import write_rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MARGIN = 16  # pixels that are cut off each side, where nothing is known of what was displaced

Displacement = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # of y, x from the middle


def waves(pixels: float, across: float) -> Displacement:
    """A random field, of so many pixels (standard deviation), that changes over so many."""

    def displaced(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        down, right = (gaussian_filter(rng.standard_normal(y.shape), across / 2) for _ in range(2))
        return pixels * down / down.std(), pixels * right / right.std()

    return displaced


KINDS: dict[str, Displacement] = {
    "nothing": lambda y, x: (0 * y, 0 * x),
    "half a pixel": lambda y, x: (0 * y + 0.5, 0 * x + 0.5),
    "enlarged by 1 %": lambda y, x: (0.01 * y, 0.01 * x),
    "enlarged by 3 %": lambda y, x: (0.03 * y, 0.03 * x),
    "turned by 0.5 degrees": lambda y, x: (np.sin(np.radians(0.5)) * x, -np.sin(np.radians(0.5)) * y),
    "a lens, 4 pixels in the corners": lambda y, x: _lens(y, x, 4),
    "waves of 1 pixel over 64": waves(1, 64),
    "waves of 2 pixels over 64": waves(2, 64),
    "waves of 4 pixels over 64": waves(4, 64),
    "waves of 4 pixels over 16": waves(4, 16),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=EXAMPLES)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    names = ("astronaut", "camera", "chelsea", "coffee")
    files = (
        [args.photos / f"{name}.jpg" for name in names] if args.photos == EXAMPLES else sorted(args.photos.glob("*"))
    )
    photos = [read_image(file).pixels for file in files]

    bent, in_place = Scorer("yoto"), Scorer("yoto")
    in_place.registers = False
    judges = {"YOTO": bent, "in place": in_place} | {name: function_of(name) for name in ("ssim", "haarpsi")}
    rows = []
    for kind, displacement in KINDS.items():
        said: dict[str, list[float]] = {name: [] for name in judges}
        for photo in photos:
            picture, reference = displaced(photo, displacement)
            for name, judge in judges.items():
                if isinstance(judge, Scorer):
                    said[name].append(judge.score(picture, reference).score)
                else:
                    said[name].append(100 * float(judge(picture / np.float32(255), reference / np.float32(255))))
        rows.append(
            {"displaced": kind, "photos": len(photos), **{k: round(float(np.mean(v)), 1) for k, v in said.items()}}
        )
        print(*rows[-1].values(), sep="  ", flush=True)
    write_rows(args.out, rows)


def displaced(photo: np.ndarray, displacement: Displacement) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) with its content displaced, and as it was, both without their margins."""
    height, width = photo.shape[:2]
    y, x = np.mgrid[:height, :width].astype(float)
    down, right = displacement(y - (height - 1) / 2, x - (width - 1) / 2)
    at = y - down, x - right
    moved = np.stack(
        [map_coordinates(photo[..., k].astype(np.float32), at, order=3, mode="mirror") for k in range(3)], 2
    )
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    return np.rint(moved.clip(0, 255)).astype(np.uint8)[inner], np.ascontiguousarray(photo[inner])


def _lens(y: np.ndarray, x: np.ndarray, corners: float) -> tuple[np.ndarray, np.ndarray]:
    far = (y**2 + x**2) / (y**2 + x**2).max()
    size = np.hypot(y, x).max()
    return corners * far * y / size, corners * far * x / size


if __name__ == "__main__":
    main()
