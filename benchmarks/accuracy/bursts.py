"""Whether the best picture of a burst is found, on bursts made of clean photos:

    python benchmarks/accuracy/bursts.py PHOTOS [PHOTOS ...] [--count 100] [--side 512] [--model panel]

Each photo becomes a burst of seven: as it is; shaken (motion blur of 3 to 8 pixels); out of focus (a disc of 1.5 to 3.5
pixels); under- and overexposed by 2 to 3 stops, in linear light; a shutter that stayed closed;
and one more at random, cropped by 4 to 8 % a side. All but the first are also shifted a little, and saved as JPEG at
quality 92 with the capture times of a burst. Prints in how many bursts the photo as it is comes out as the best, the
damage that won elsewhere, whether all seven were put together and no two bursts, and writes bursts.csv beside this
script, a row a picture.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag
from scipy import ndimage

from iqassay.folders.cache import open_cache
from iqassay.folders.finding import find_pictures
from iqassay.folders.folder import Pair, score_pairs
from iqassay.folders.grouping import grouped
from iqassay.models.opening import open_scorer
from iqassay.pictures.image import read_image
from iqassay.scoring.tiles import shrink_to
from iqassay.support.progress import with_bar

START = datetime(2026, 5, 1, 12)
BETWEEN, WITHIN = 60.0, 0.25  # seconds between bursts, and between pictures of one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--model", default="panel")
    arguments = parser.parse_args()
    paths = list(find_pictures(arguments.photos, recursive=True))[: arguments.count]
    scorer = open_scorer(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            make_burst(Path(path), Path(folder), number, arguments.side)
        made = list(find_pictures([folder]))
        with open_cache() or nullcontext() as cache:  # so that a run that was stopped goes on
            results = score_pairs(scorer, [Pair(path) for path in made], cache=cache)
            scored = [result.record() for result in with_bar(results, len(made))]
        records = grouped(scored, scorer)
    report(records, len(paths), f"{scorer.card.name} {scorer.card.version}")


def make_burst(photo: Path, folder: Path, number: int, side: int) -> None:
    """Write the pictures of a burst as NUMBER_KIND.jpg, in an order of their own."""
    rng = np.random.default_rng(number)
    whole = shrink_to(read_image(photo).pixels, side)
    made = {
        "best": whole,
        "shaken": shaken(whole, rng),
        "focus": out_of_focus(whole, rng.uniform(1.5, 3.5)),
        "dark": exposed(whole, -rng.uniform(2, 3)),
        "light": exposed(whole, rng.uniform(2, 3)),
        "closed": np.abs(rng.normal(0, 1 / 255, whole.shape)).astype(np.float32),
    }
    spoiled = [shaken(whole, rng), out_of_focus(whole, rng.uniform(1.5, 3.5)), exposed(whole, -rng.uniform(2, 3))]
    made["cropped"] = cropped(spoiled[number % 3], rng.uniform(0.04, 0.08), rng)
    for place, kind in enumerate(rng.permutation(list(made))):
        pixels = made[kind] if kind in ("best", "closed") else cropped(made[kind], rng.uniform(0, 0.015), rng)
        taken = START + timedelta(seconds=BETWEEN * number + WITHIN * place)
        exif = Image.Exif()
        exif[Tag.Make], exif[Tag.Model] = "Made", "Up"
        exif.get_ifd(IFD.Exif)[Tag.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
        exif.get_ifd(IFD.Exif)[0x9291] = f"{taken.microsecond // 1000:03d}"
        image = Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
        image.save(folder / f"{number:03d}_{kind}.jpg", quality=92, exif=exif)


def shaken(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred along a line."""
    length, angle = rng.uniform(3, 8), rng.uniform(0, np.pi)
    kernel = np.zeros((17, 17), np.float32)
    for at in np.linspace(-length / 2, length / 2, 64):
        kernel[round(8 + at * np.sin(angle)), round(8 + at * np.cos(angle))] += 1
    return _filtered(pixels, kernel)


def out_of_focus(pixels: np.ndarray, radius: float) -> np.ndarray:
    """Blurred by a disc."""
    y, x = np.mgrid[-6:7, -6:7]
    return _filtered(pixels, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32))


def _filtered(pixels: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    kernel = kernel / kernel.sum()
    return np.stack([ndimage.convolve(pixels[..., c], kernel, mode="nearest") for c in range(3)], axis=-1)


def exposed(pixels: np.ndarray, stops: float) -> np.ndarray:
    """Brighter or darker by so many stops, in linear light, where too bright is lost."""
    linear = np.clip(pixels**2.2 * 2**stops, 0, 1)
    return (np.rint(linear ** (1 / 2.2) * 255) / 255).astype(np.float32)


def cropped(pixels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Without such a share of each side, off the middle a little."""
    height, width = pixels.shape[:2]
    down, across = round(2 * share * height), round(2 * share * width)
    top, left = rng.integers(0, down + 1), rng.integers(0, across + 1)
    return pixels[top : top + height - down, left : left + width - across]


def report(records: list[dict], bursts: int, model: str) -> None:
    rows = []
    for record in records:
        number, kind = Path(record["path"]).stem.split("_")
        sizes = record.get("group", 0), record.get("place", 0), record.get("best", 0)
        rows.append((int(number), kind, record["score"], record["low"], record["high"], *sizes))
    rows.sort()
    with Path(__file__).with_suffix(".csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("burst", "picture", "score", "low", "high", "group", "place", "best"))
        writer.writerows(rows)
    groups = [{row[5] for row in rows if row[0] == number} for number in range(bursts)]
    whole = sum(len(group) == 1 and 0 not in group for group in groups)
    owners: dict[int, set[int]] = {}
    for row in rows:
        owners.setdefault(row[5], set()).add(row[0])
    mixed = sum(len(of) > 1 for group, of in owners.items() if group)
    top = [
        max((row for row in rows if row[0] == number), key=lambda row: (row[5] > 0, -row[6]))
        for number in range(bursts)
    ]
    won = Counter(row[1] for row in top)
    certain = [row for row in top if row[7] >= 0.8]
    print(f"{bursts} bursts of seven, scored by {model}")
    print(f"the right one is the best in {won['best']} ({100 * won['best'] / bursts:.1f} %)")
    others = [f"{kind} {count}" for kind, count in won.most_common() if kind != "best"]
    print(f"where another was: {', '.join(others) or '-'}")
    right = sum(row[1] == "best" for row in certain)
    print(f"called the best with probability 0.8 and more: {len(certain)}, right in {right}")
    print(f"bursts put together whole: {whole}; groups that mix bursts: {mixed}")


if __name__ == "__main__":
    main()
